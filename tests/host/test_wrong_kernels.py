"""Kernels that are wrong, on this machine: they never win, are never timed, never decided for, never built."""

from __future__ import annotations

import numpy as np
import pytest

from codegen import build, layer, tune
from codegen.judging.layers import RightResult
from codegen.judging.networks import judge_network
from codegen.lowering.compile import compile_network
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.lowering.network import Options
from codegen.schedules import candidates
from codegen.tuning.contest import Contest
from codegen.tuning.database import Tuned
from devices.session import Session
from fleetpose import cli
from fleetpose.errors import UsageError
from latency.planning.refine import Stand
from latency.profiling.bench import LayerBench
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.network_timing import NetworkVariant, network_record
from latency.profiling.outcomes import layer_records
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Patience, ReferenceKernel
from latency.profiling.space import network_groups
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.resolve import create_model
from tests import sweep
from tests.host.kernel_cases import ADD, RELU, window
from tests.host.wrong_schedule import FAULTS, choice_of, prefer
from tests.small_network import register_small

QUICK = RunSettings(rounds=3, sample_secs=0.0005, timeout_secs=20.0, patience=Patience(wait_secs=0.0, useless=1e9))
MODEL = register_small()
#: a layer of the small network, by its label: dilated 3x3, 24 to 5 channels
ONE_LAYER = "conv_3x3_d2"


@pytest.fixture(scope="module")
def graph():
    return trace(create_model(MODEL, seed=1), (3, 32, 32), MODEL)


def test_wrong_kernel_that_comes_first_never_wins(host, monkeypatch):
    """All wrong ones are asked before the right ones, as the default would be."""
    workload = standalone_planes(window("conv", (16, 24), (23, 29), (3, 3), epilogue=(ADD, RELU)), host.profile.lanes)
    right = list(candidates(workload, host.profile))[:2]
    prefer(monkeypatch, "a zeroed channel")
    inputs, weights = random_operands(workload.layer, 5)
    contest = Contest(host, workload, weights, inputs)
    for fault in FAULTS:
        trial = contest.enter(choice_of(fault))
        assert trial.secs is None, fault
        assert ("not finite" if fault == "a NaN" else "is wrong in") in trial.failure
    assert [contest.enter(choice).failure for choice in right] == [None, None]
    verdict = contest.decide(3)
    assert verdict.best in right
    assert verdict.default_secs is None
    assert len(verdict.failures) == len(FAULTS)


def test_tune_keeps_a_right_schedule_where_the_default_is_wrong(host, monkeypatch, capsys, tmp_path):
    prefer(monkeypatch, "a zeroed channel")
    flags = ["--model", MODEL, "--layer", "wide", "--rounds", "3", "--out", str(tmp_path / "x.jsonl")]
    assert cli.run(tune.main, tune.make_parser(), flags) == 0, capsys.readouterr().err
    (row,) = Tuned.load(tmp_path / "x.jsonl").rows.values()
    assert row.default == choice_of("a zeroed channel").to_dict()
    assert row.default_ms is None
    assert row.best["schedule"] != "wrong"
    assert [failure["choice"] for failure in row.failures] == ["wrong a zeroed channel"]


@sweep.part(2)
@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_kernel_is_a_record_without_a_time(host, monkeypatch, graph, fault):
    prefer(monkeypatch, fault)
    (group,) = network_groups([graph], host.profile, [None], layers=["wide"])
    prepared = Recipe(host.profile, lambda *_: choice_of(fault)).prepare(group)
    (record,) = layer_records(group, *LayerBench(host, QUICK).time(group, prepared), host)
    assert record.failure.kind == "wrong", record.failure
    assert record.wall_ms is None


@sweep.part(2)
@pytest.mark.parametrize("fault", FAULTS)
def test_network_with_one_wrong_layer_is_neither_timed_nor_decided_for(host, monkeypatch, graph, fault):
    prefer(monkeypatch, fault, ONE_LAYER)
    recipe = Recipe(host.profile)
    record = network_record(host, NetworkVariant(graph), recipe, QUICK, ReferenceKernel(host, QUICK.patience))
    assert record.failure.kind == "wrong", record.failure
    assert record.wall_ms is None
    plan = Plan.of(MODEL, graph.layers, {"one": Sparsity.parse("columns:0.75:4x1")})
    with pytest.raises(UsageError, match="network is wrong on the device"):
        Stand(host, graph, recipe, QUICK, "float32").time(plan)


@sweep.part(2)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("host")
def test_network_with_one_wrong_layer_is_not_built(monkeypatch, capsys, tmp_path, fault):
    prefer(monkeypatch, fault, ONE_LAYER)
    out = tmp_path / "x.so"
    flags = ["--model", MODEL, "--size", "32x32", "--device", "host", "--tuned", "none", "-o", str(out)]
    assert cli.run(build.main, build.make_parser(), flags) == 1
    said = capsys.readouterr().err
    assert "what was built is wrong on" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert cli.run(build.main, build.make_parser(), [*flags, "--no-check"]) == 0
    assert out.exists()


@pytest.mark.usefixtures("host")
def test_layer_command_ends_with_1_where_a_kernel_is_wrong(monkeypatch, capsys):
    flags = ["--conv", "16", "24", "23", "29", "--repeats", "3", "--tuned", "none"]
    assert cli.run(layer.main, layer.make_parser(), flags) == 0, capsys.readouterr().err
    prefer(monkeypatch, "an error of 5e-4")
    assert cli.run(layer.main, layer.make_parser(), flags) == 1
    assert "its result is wrong in" in capsys.readouterr().err


def test_right_networks_are_not_called_wrong(host: Session, graph):
    options = Options(choose=lambda workload, profile: list(candidates(workload, profile))[-1])
    for lowering in (Options(), options, Options(weights_inside=False)):
        compiled = compile_network([graph], host.profile, lowering)
        assert judge_network(compiled, [graph], host, 60.0) is None


def test_what_float64_cannot_say_is_not_held_against_a_kernel(host):
    """The logarithm of what is negative; all else is judged."""
    from models.graph.layer import Step

    case = window("conv", (6, 9), (9, 20), (3, 3), epilogue=(Step("log"),))
    inputs, weights = random_operands(case, 3)
    workload = standalone_planes(case, host.profile.lanes)
    right = RightResult(case, "float32", inputs, weights)
    compiled = compile_layer(workload, weights, host.profile)
    found = workload.output.unpack(LoadedLayer(compiled, host).run(inputs))
    assert np.isnan(found).any()
    assert right.fault(found) is None
    known = np.argwhere(np.isfinite(found))[0]
    found[tuple(known)] += 1e-3
    assert "is wrong in 1 of" in right.fault(found)
