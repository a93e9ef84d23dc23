"""From pseudo times to a plan, and a plan confirmed on this machine: collect, fit, predict, decide."""

import json
import math
from dataclasses import replace

import pytest

from codegen.lowering.sizes import trace_sizes
from codegen.tuning.database import load_tuned
from devices import open_device
from devices.profile import load_profile
from devices.timing.measure import device_of
from fleetpose import cli
from latency import audit, collect, decide, fit, predict
from latency.cost_model.predictor import Predictor
from latency.network_model.forecast import Forecaster
from latency.planning import planner
from latency.planning.assignment import LayerOptions, OutOfReach
from latency.planning.choosing import Goal
from latency.planning.gains import KernelOption
from latency.planning.known_times import KnownTimes
from latency.planning.losses import losses_of
from latency.planning.planner import Measuring
from latency.profiling import bench
from latency.profiling.prepare import Recipe
from latency.profiling.space import Group, network_workloads
from latency.records.read import read_records
from latency.records.record import Failure
from models.plans.explain import explain
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from tests.printing_solver import make_solver_print
from tests.scatter import no_scatter
from tests.small_network import register_small

MODEL = register_small()
#: of which shapes the pseudo device of the mali-g76 profile is asked
SPARSITIES = ("columns:0.5:4x1", "columns:0.75:4x1", "columns:0.875:4x1")


def run(command, *argv) -> None:
    assert cli.run(command.main, command.make_parser(), [str(each) for each in argv]) == 0


def said(capsys, command, *argv) -> dict:
    capsys.readouterr()
    run(command, *argv, "--json")
    return json.loads(capsys.readouterr().out)


def fitted(folder, *flags):
    """A predictor of records collected with `flags`."""
    run(collect, "--model", MODEL, "--around", 40, "--sparsity", *SPARSITIES, *flags, "-o", folder / "timings.jsonl")
    run(fit, "--data", folder / "timings.jsonl", "--no-search", "-o", folder / "made.predictor")
    return folder / "made.predictor"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("null"), "--device", "null", "--profile", "mali-g76")


def test_predict_sums_a_networks_layers(capsys, predictor):
    found = said(capsys, predict, "--model", MODEL, "--predictor", predictor)
    assert found["network"]["sum_ms"] == pytest.approx(sum(layer["ms"] for layer in found["layers"]))
    assert found["network"]["ms"] == pytest.approx(found["network"]["sum_ms"])
    assert not found["network"]["calibrated"]
    assert {"stem", "one", "two", "wide"} <= {layer["layer"] for layer in found["layers"]}
    assert all(layer["low_ms"] is None or layer["low_ms"] < layer["ms"] for layer in found["layers"])


def test_zeros_are_predicted_to_pay(capsys, predictor):
    dense, sparse = (
        said(capsys, predict, "--model", MODEL, "--predictor", predictor, *flags)["network"]["ms"]
        for flags in ((), ("--sparsity", SPARSITIES[-1]))
    )
    assert sparse < dense


def test_decide_leaves_the_first_and_the_last_dense(capsys, predictor, tmp_path):
    out = tmp_path / "plan.json"
    said(capsys, decide, "--model", MODEL, "--predictor", predictor, "--sparsity", *SPARSITIES, "-o", out)
    plan = Plan.load(out)
    choices = {choice.layer: choice for choice in plan.choices}
    assert choices["stem"].sparsity is choices["wide"].sparsity is None
    assert "first" in choices["stem"].reason
    assert all(choice.reason and choice.dense.ms > 0 for choice in plan.choices)
    pruned = [choice for choice in plan.choices if choice.sparsity is not None]
    assert pruned
    assert all(choice.sparse.ms < choice.dense.ms for choice in pruned)
    text = explain(plan)
    assert all(choice.layer in text for choice in plan.choices)


def test_decide_json_holds_nothing_that_the_solver_prints(capfd, monkeypatch, predictor, tmp_path):
    solved = make_solver_print(monkeypatch)
    flags = ("--model", MODEL, "--predictor", predictor, "--sparsity", *SPARSITIES, "--max-loss", 100)
    assert said(capfd, decide, *flags, "-o", tmp_path / "plan.json")
    assert solved


def test_layers_are_timed_as_a_plan_has_them_and_its_decisions_audited(capsys, predictor, tmp_path):
    plan, after = tmp_path / "plan.json", tmp_path / "after.jsonl"
    said(capsys, decide, "--model", MODEL, "--predictor", predictor, "--sparsity", *SPARSITIES, "-o", plan)
    sparsities = Plan.load(plan).sparsities
    assert sparsities
    run(collect, "--model", MODEL, "--plan", plan, "--sparsity", "dense", "--device", "null", "--profile", "mali-g76",
        "-o", after)  # fmt: skip
    timed = {json.loads(line)["sparsity"] for line in after.read_text().splitlines()}
    assert timed == {"dense", *map(str, sparsities.values())}
    found = said(capsys, audit, "--plan", plan, "--data", after)
    assert set(sparsities) <= {verdict["layer"] for verdict in found["verdicts"]}
    assert not found["unmeasured"]
    assert found["lost_ms"] == pytest.approx(sum(each["chosen_ms"] - each["best_ms"] for each in found["verdicts"]))
    run(audit, "--plan", plan, "--data", after)
    assert f"{found['n']} decisions" in capsys.readouterr().out


def test_a_target_is_met_or_said_to_be_out_of_reach(capsys, predictor, tmp_path):
    flags = ("--model", MODEL, "--predictor", predictor, "--sparsity", *SPARSITIES)
    dense = said(capsys, predict, "--model", MODEL, "--predictor", predictor)["network"]["ms"]
    found = said(capsys, decide, *flags, "--target-ms", 2 * dense, "-o", tmp_path / "lax.json")
    assert found["sparse_layers"] == 0
    status = cli.run(
        decide.main, decide.make_parser(), [*map(str, flags), "--speedup", "50", "-o", str(tmp_path / "x")]
    )
    assert status == 2
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2
    assert not (tmp_path / "x").exists()


def test_the_fastest_plan_is_taken_where_a_goal_is_out_of_reach_and_may_be(predictor):
    known, graph = Predictor.load(predictor), trace_sizes(MODEL, None, 0, [(32, 32)])[0]
    sparsities = [Sparsity.parse(text) for text in SPARSITIES]
    losses = losses_of(graph, {}, None)
    with open_device("null", "mali-g76") as session:
        forecaster = Forecaster(known, session.profile, load_tuned(session.profile).choice)
        measuring = Measuring(session, strict=False)
        plan = planner.decide(graph, forecaster, losses, Goal(speedup=50), sparsities, measuring=measuring)
        with pytest.raises(OutOfReach, match="cannot take"):
            planner.decide(graph, forecaster, losses, Goal(speedup=50), sparsities, measuring=Measuring(session))
    assert plan.sparsities
    assert any("the goal is out of reach" in note for note in plan.network.notes)
    for choice in plan.choices:
        assert choice.sparse is None or choice.sparsity is None or choice.sparse.ms < choice.dense.ms


def test_decide_times_on_the_device_what_is_open(capsys, tmp_path, host, monkeypatch):
    """The predictor's intervals have no end, and it knows nothing of ratios, so all gains are open."""
    monkeypatch.setattr(bench, "roughness", no_scatter)
    flags = ("--device", "host", "--rounds", 3, "--wait-secs", 0, "--around", 10, "--layer", "one", "--tuned", "none")
    predictor, out = tmp_path / "unsure.predictor", tmp_path / "plan.json"
    sure = Predictor.load(fitted(tmp_path, *flags))
    replace(sure, conformal=replace(sure.conformal, quantile=math.inf), pair_spread=None).save(predictor)
    found = said(
        capsys, decide, "--model", MODEL, "--predictor", predictor, "--sparsity", *SPARSITIES, "--measure",
        "--rounds", 3, "--tuned", "none", "-o", out,
    )  # fmt: skip
    plan = Plan.load(out)
    assert any("timed on" in note for note in plan.network.notes)
    measured = [choice for choice in plan.choices if choice.dense.measured]
    assert measured
    assert all(choice.sparse is None or choice.sparse.measured for choice in measured)
    assert found["sparse_layers"] == len(plan.sparsities)


def test_what_records_tell_is_not_timed_again(predictor):
    """Of the null device, whose times are the same each time: a schedule that is not the recipe's is not taken."""
    records = read_records(predictor.with_name("timings.jsonl"))
    graph, sparsity = trace_sizes(MODEL, None, 0, [(32, 32)])[0], Sparsity.parse(SPARSITIES[0])
    layer = LayerOptions("one", KernelOption(1.0, 0.9, 1.1, None), (KernelOption(1.0, 0.9, 1.1, sparsity),))
    workload = dict(network_workloads(graph, load_profile("mali-g76")))["one"]
    with open_device("null", "mali-g76") as session:
        recipe = Recipe(session.profile, load_tuned(session.profile, None).choice, runs_nothing=True)
        ids = {Group(workload, ()).identity(variant, device_of(session)): variant for variant in (None, sparsity)}
        own = {ids[record.id]: record for record in records if record.id in ids}
        assert set(own) == {None, sparsity}
        told = KnownTimes(own.values()).layer(workload, layer, recipe, session)
        assert told.times[None].ms == pytest.approx(own[None].event_ms or own[None].wall_ms)
        ratio = own[sparsity].ratio_to_dense
        expected = told.times[None].ms * ratio.median if ratio else own[sparsity].event_ms or own[sparsity].wall_ms
        assert told.times[sparsity].ms == pytest.approx(expected)
        options = told.replace_in(layer)
        assert all(option.measured for option in (options.dense, *options.variants))
        other = [replace(record, schedule={"schedule": "other"}) for record in own.values()]
        assert KnownTimes(other).layer(workload, layer, recipe, session).times == {}
        failed = replace(own[sparsity], failure=Failure("wrong", "off\nby 2"), event_ms=None, wall_ms=None,
                         event_iqr_ms=None, wall_iqr_ms=None, ratio_to_dense=None)  # fmt: skip
        assert KnownTimes([failed]).layer(workload, layer, recipe, session).replace_in(layer).variants == ()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--rounds", "3"), "--rounds is of --measure"),
        (("--margin", "1.5"), "below 1"),
        (("--target-ms", "-1"), "above 0"),
        (("--sparsity", "dense"), "leaves nothing to decide"),
        (("--measure", "--device", "host"), "fit to its own records"),
    ],
)
def test_decide_refuses_what_makes_no_sense_in_a_line(capsys, predictor, tmp_path, flags, text):
    argv = ["--model", MODEL, "--predictor", str(predictor), "-o", str(tmp_path / "plan.json"), *flags]
    status = cli.run(decide.main, decide.make_parser(), argv)
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert text in printed.err
    assert len(printed.err.strip().splitlines()) <= 2
    assert not (tmp_path / "plan.json").exists()
