"""latency.optimize on this machine: the whole way, stopped at several stages and resumed, from Python, and refusals."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from fleetpose import cli
from fleetpose.errors import UsageError
from latency.optimize import __main__ as command
from latency.optimize import loss_calibration
from latency.optimize import request as requests
from latency.optimize.api import optimize, optimize_frontier
from latency.optimize.flow import STAGES
from latency.optimize.request import Request
from latency.planning.choosing import Goal
from latency.profiling import bench
from latency.records.read import read_records
from models.accuracy.lost import MeasuredLoss
from models.frontend.trace import trace
from models.plans.explain import explain
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.resolve import create_model
from models.zoo.weights import save_weights
from tests.scatter import no_scatter, overlook_scatter
from tests.tiny_pose import register_tiny, write_coco

MODEL = register_tiny()
SPARSE = "columns:0.5:4x1"
FLAGS = ("--model", MODEL, "--sparsity", SPARSE, "--no-tune", "--around", "6", "--rounds", "3", "--wait-secs", "0")
NAMES = [stage.name for stage in STAGES]
WAIT_SECS = 900.0

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["latency.optimize.__main__", "tests.tiny_pose"])


@pytest.fixture(autouse=True)
def scatter_overlooked(monkeypatch) -> None:
    monkeypatch.setattr(bench, "roughness", no_scatter)


class Optimization:
    """`python -m latency.optimize` in a process of its own, forked from one that has imported everything."""

    def __init__(self, out: Path, *flags: str) -> None:
        self.out, self.said = out, out.with_suffix(".err")
        self.printed = out.with_suffix(".out")
        work = ([*FLAGS, "-o", str(out), *flags], str(self.printed), str(self.said))
        self.process = FORKS.Process(target=optimize_in_child, args=work, daemon=True)
        self.process.start()

    def wait_for(self, happened) -> None:
        limit = time.monotonic() + WAIT_SECS
        while not happened():
            assert self.process.is_alive(), self.said.read_text()
            assert time.monotonic() < limit
            time.sleep(0.01)

    def end(self) -> tuple[int, str]:
        """Exit status and standard error."""
        self.process.join(WAIT_SECS)
        return self.process.exitcode, self.said.read_text()


def optimize_in_child(flags: list[str], out: str, err: str) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    register_tiny()
    overlook_scatter()
    sys.exit(cli.run(command.main, command.make_parser(), flags))


def state_of(folder: Path) -> dict:
    path = folder / "state.json"
    return json.loads(path.read_text())["stages"] if path.exists() else {}


def done(folder: Path, stage: str) -> bool:
    return bool(state_of(folder).get(stage, {}).get("said"))


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> tuple[Path, Path]:
    """Weights, and a plan of two sparse layers."""
    folder = tmp_path_factory.mktemp("given")
    network = create_model(MODEL, seed=3)
    save_weights(network, folder / "w.safetensors")
    graph = trace(network, (3, 64, 64), MODEL)
    names = [layer.name for layer in graph.layers if layer.op == "conv" and layer.kernel == (3, 3)][1:3]
    sparsity = requests.Sparsity.parse(SPARSE)
    Plan.of(MODEL, graph.layers, dict.fromkeys(names, sparsity)).save(folder / "plan.json")
    return folder / "w.safetensors", folder / "plan.json"


@pytest.fixture(scope="module")
def whole(host, given, tmp_path_factory) -> Path:
    """The folder of an uninterrupted run under the given plan."""
    out = tmp_path_factory.mktemp("whole") / "out"
    flags = ("--weights", str(given[0]), "--network-plan", str(given[1]), "--sustained", "0.05")
    status, said = Optimization(out, *flags).end()
    assert status == 0, said
    return out


@pytest.mark.slow
def test_optimize_writes_every_file(whole, given):
    assert [name for name in NAMES if done(whole, name)] == NAMES
    result = json.loads((whole / "result.json").read_text())
    assert result["format"] == "fleetpose.result/1"
    assert (result["model"], result["size"], result["weights"]) == (MODEL, [64, 64], str(given[0]))
    assert result["device"]["host"] is True
    head = result["headline"]
    assert min(head["dense_ms"], head["sparse_ms"], head["speedup"], head["predicted_speedup"]) > 0
    sustained = head["sustained"]
    assert sustained["minutes"] == 0.05
    assert sustained["rounds"] > sustained["last"]["rounds"] > 0
    assert sustained["last"]["from_secs"] > sustained["first"]["until_secs"]
    assert "Latency after 0.05 minutes" in (whole / "report.html").read_text()
    assert head["params_kept"] < head["params_dense"]
    assert head["agreement"]["photographs"] == 1, "the photograph that people are looked for in"
    assert head["agreement"]["divergence"] > 0
    assert result["verify"]["ok"]
    assert result["people"]["image"] == "people.png"
    assert (whole / "people.png").is_file()
    sparse = [layer for layer in result["layers"] if layer["decision"] == "sparse"]
    assert [layer["variant"] for layer in sparse] == [SPARSE, SPARSE]
    for layer in sparse:
        assert layer["zeros"] == pytest.approx(0.5)
        assert min(layer[name] for name in ("predicted_dense_ms", "predicted_sparse_ms", "predicted_ratio")) > 0
        measured = [layer[name] for name in ("dense_ms", "sparse_ms", "measured_ratio")]
        assert all(value is None or value > 0 for value in measured), "a machine too unsteady to time it leaves None"
    assert all({"ratios", "speedups", "measured"} <= curve.keys() for curve in result["curves"])
    assert {"report.html", "report.md"} <= {path.name for path in whole.iterdir()}


@pytest.mark.long
def test_optimize_makes_a_network_that_computes_in_half_precision(host, given, tmp_path):
    out = tmp_path / "half"
    status, said = Optimization(
        out, "--weights", str(given[0]), "--network-plan", str(given[1]), "--dtype", "float16"
    ).end()
    if not host.profile.fp16:
        assert (status, state_of(out)) == (2, {}), "refused before any work"
        assert "does not compute in float16" in said.splitlines()[-1]
        return
    assert status == 0, said
    result = json.loads((out / "result.json").read_text())
    assert (result["dtype"], result["verify"]["ok"]) == ("float16", True)
    assert all(json.loads((out / f"{name}.json").read_text())["dtype"] == "float16" for name in ("dense", "pose"))
    assert {record.dtype for record in read_records(out / "timings.jsonl")} == {"float16"}
    assert result["headline"]["speedup"] > 0


@pytest.mark.slow
def test_optimize_prints_what_came_of_each_stage(whole):
    printed = whole.with_suffix(".out").read_text()
    assert all(f"\n{name} " in printed for name in NAMES[1:])
    assert "times as fast, measured" in printed
    assert "agreement with the dense network" in printed
    assert "\x1b[" not in printed, "colours are for terminals"
    assert str(whole / "pose.so") in printed


@pytest.mark.long
def test_optimize_stopped_at_several_stages_ends_as_if_never_stopped(whole, given, tmp_path):
    out = tmp_path / "out"
    flags = ("--weights", str(given[0]), "--network-plan", str(given[1]))
    moments = (
        (signal.SIGINT, lambda: records_of(out)),
        (signal.SIGTERM, lambda: done(out, "collect")),
        (signal.SIGINT, lambda: done(out, "prune")),
    )
    kept = b""
    for sent, moment in moments:
        running = Optimization(out, *flags)
        running.wait_for(moment)
        os.kill(running.process.pid, sent)
        status, said = running.end()
        assert status == 130, said
        assert "the same command goes on from here" in said
        assert not done(out, "report")
        assert records_of(out).startswith(kept), "what was measured is never measured again"
        kept = records_of(out)
        if not done(out, "collect"):  # as if it had measured most of the rest before it was stopped, for time's sake
            kept = first_of_each(kept + b"".join(records_of(whole).splitlines(True)[:-4]))
            (out / "timings.jsonl").write_bytes(kept)
    status, said = Optimization(out, *flags).end()
    assert status == 0, said
    assert said.count("done before") >= NAMES.index("prune")
    same = [{record.id for record in read_records(folder / "timings.jsonl")} for folder in (out, whole)]
    assert same[0] == same[1]
    for name in ("plan.json", "pruned.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert [name for name in NAMES if done(out, name)] == NAMES


def records_of(folder: Path) -> bytes:
    path = folder / "timings.jsonl"
    return path.read_bytes() if path.exists() else b""


def first_of_each(lines: bytes) -> bytes:
    """Of several records with one id the first."""
    found: dict[str, bytes] = {}
    for line in lines.splitlines(True):
        found.setdefault(json.loads(line)["id"], line)
    return b"".join(found.values())


@pytest.mark.slow
def test_optimize_again_does_nothing_but_the_report(whole, given):
    before = state_of(whole)
    flags = ("--weights", str(given[0]), "--network-plan", str(given[1]), "--sustained", "0.05", "--json")
    status, said = Optimization(whole, *flags).end()
    assert status == 0, said
    assert said.count("done before") == len(NAMES) - 1
    assert {name: each["digest"] for name, each in state_of(whole).items()} == {
        name: each["digest"] for name, each in before.items()
    }
    printed = json.loads(whole.with_suffix(".out").read_text())
    assert printed["ok"] is True
    assert printed["headline"]["params_kept"] < printed["headline"]["params_dense"]


@pytest.mark.slow
def test_optimize_runs_from_python_with_photographs(host, given, whole, tmp_path, monkeypatch):
    """Decided by measurement, reconstructed and trained on photographs, judged on others."""
    monkeypatch.setattr(requests, "LEAST_MINUTES", 0.0)
    monkeypatch.setitem(requests.SHARES, "prune", 0.005)
    (tmp_path / "out").mkdir()
    shutil.copy(whole / "timings.jsonl", tmp_path / "out")  # what is measured is measured
    model = create_model(MODEL, weights=given[0])
    request = Request(
        MODEL, tmp_path / "out", goal=Goal(max_loss=1.0), tune=False, around=4, rounds=3, wait_secs=0.0,
        budget_minutes=10.0, sparsities=(Sparsity.parse(SPARSE),),
        data=(write_coco(tmp_path / "data", images=3),), val=write_coco(tmp_path / "val", images=2, seed=5),
    )  # fmt: skip
    result = optimize(model, host, request, force=True)
    assert host.alive(), "the caller's session stays open"
    assert result.ok
    assert result.artifact.is_file()
    assert "convolution" in explain(result.plan) or MODEL in explain(result.plan)
    assert result.facts["goal"] == {"kind": "max_loss", "value": 1.0}
    assert result.facts["headline"]["ap_dense"] is not None
    agreement = result.facts["headline"]["agreement"]
    assert (agreement["photographs"], agreement["held_out"]) == (2, True), "those of --val"
    sensitivity = result.facts["sensitivity"]
    assert sensitivity["measure"] == "output divergence"
    assert sensitivity["measured"] == {"photographs": 3, "about": "3 photographs", "shipped": False}
    layers = {layer["name"] for layer in result.facts["layers"] if layer["decision"] == "sparse"}
    assert layers <= set(sensitivity["points"])
    assert all(loss > 0 for points in sensitivity["points"].values() for loss in points.values())
    assert result.plan.network is not None
    losses = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert losses["unit"] is None, "the dense network is sure of nobody, so nothing can be lost"
    assert "divergence of the outputs" in " ".join(result.plan.network.notes)
    assert any("reconstructed" in said or "nothing is sparse" in said for name, said, _ in result.stages)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--speedup", "-1"), "above 0"),
        (("--speedup", "2", "--target-ms", "3"), "not allowed with"),
        (("--budget-minutes", "0"), "--budget-minutes: '0' is not a number above 0"),
        (("--rounds", "0"), "--rounds: '0' is not a whole number of at least 1"),
        (("--weights", "nowhere.safetensors"), "--weights nowhere.safetensors: no such file"),
        (("--data", "nowhere"), "--data nowhere: no such folder"),
        (("--val", "."), "no person_keypoints.json"),
        (("--size", "65x64"), "multiples of 8"),
        (("--sparsity", "dense"), "leaves nothing to decide"),
        (("--target-host", "androids"), "unknown host"),
        (("--dtype", "float8"), "--dtype: invalid choice"),
        (("--device", "null"), "null"),
        (("--model", "resnet"), "did you mean"),
    ],
)
def test_optimize_refuses_what_makes_no_sense_before_any_work(capsys, tmp_path, flags, text):
    out = tmp_path / "out"
    status = cli.run(command.main, command.make_parser(), [*FLAGS, "-o", str(out), *flags])
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert text in printed.err
    assert len(printed.err.strip().splitlines()) <= 2
    assert not out.exists()


@pytest.mark.slow
def test_optimize_leaves_a_folder_of_something_else_alone(capsys, tmp_path, whole):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    for out, text in ((tmp_path / "mine", "--force"), (whole, "give another -o")):
        argv = [*FLAGS, "-o", str(out), "--size", "72x64"]
        assert cli.run(command.main, command.make_parser(), argv) == 2
        assert text in capsys.readouterr().err


def test_optimize_refuses_networks_that_are_not_the_requests(host, given, tmp_path):
    from torch import nn

    request = Request(MODEL, tmp_path / "out")
    with pytest.raises(UsageError, match="create_model"):
        optimize(nn.Conv2d(3, 3, 1), host, request)
    with pytest.raises(UsageError, match="the request is of resnet50_3"):
        optimize(create_model(MODEL), host, Request("resnet50_3", tmp_path / "out"))
    with pytest.raises(UsageError, match="leave out weights"):
        optimize(create_model(MODEL), host, Request(MODEL, tmp_path / "out", weights=given[0]))
    assert not (tmp_path / "out").exists()


class ZerosJudge:
    """A judge by whom half the share of zeros in a network's convolutions is lost of an AP of 0.4."""

    unit, ceiling, photographs = "AP", 0.4, ()

    def __init__(self, network) -> None:
        self.network = network

    def judge(self, changed, _seed=0, _report=None) -> MeasuredLoss:
        weights = [value for value in changed.parameters() if value.ndim == 4]
        zeros = sum(int((value == 0).sum()) for value in weights) / sum(value.numel() for value in weights)
        assert zeros > 0
        return MeasuredLoss(0.5 * zeros, 0.01)


@pytest.mark.slow
def test_frontier_makes_several_plans_and_resumes(host, given, whole, tmp_path, monkeypatch):
    """Two plans by one collection and one sensitivity, each in its folder; again, nothing is done but the reports."""
    monkeypatch.setattr(loss_calibration.LossJudge, "of", lambda network, *_: ZerosJudge(network))
    (tmp_path / "out").mkdir()
    shutil.copy(whole / "timings.jsonl", tmp_path / "out")  # what is measured is measured
    request = Request(
        MODEL, tmp_path / "out", weights=given[0], frontier=(1.1, 1.02), tune=False, train=False, around=4, rounds=3,
        wait_secs=0.0, budget_minutes=10.0, sparsities=(Sparsity.parse(SPARSE),), photographs=2,
        data=(write_coco(tmp_path / "data", images=3),),
    )  # fmt: skip
    result = optimize_frontier(None, host, request, force=True)
    assert result.ok
    assert [point.name for point in result.points] == ["dense", "1.02x", "1.1x"]
    assert all(Path(point.artifact).is_file() for point in result.points)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"frontier.json", "frontier.png", "dense.so"}
    assert not list(tmp_path.glob("out/*x/timings.jsonl")), "layers are timed once"
    plans = result.plans
    assert all(plan.facts["goal"] == {"kind": "speedup", "value": value} for value, plan in plans.items())
    assert all(plan.report.is_file() for plan in plans.values())
    assert len({plan.facts["headline"]["dense_ms"] for plan in plans.values()}) == 1, "compared in one run"
    losses = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert (losses["unit"], losses["ceiling"]) == ("AP", 0.4)
    for point in result.points[1:]:
        plan = plans[point.asked]
        if losses["plans"] and plan.plan.sparsities:
            assert point.predicted_lost is not None
            assert point.predicted_lost[1] <= point.predicted_lost[0] <= point.predicted_lost[2] <= 0.4
            assert "AP lost" in " ".join(plan.plan.network.notes)
    before = [state_of(tmp_path / "out"), *(state_of(plan.folder) for plan in plans.values())]
    again = optimize_frontier(None, host, request)
    after = [state_of(tmp_path / "out"), *(state_of(plan.folder) for plan in plans.values())]
    assert [{name: each["secs"] for name, each in stages.items() if name != "report"} for stages in before] == [
        {name: each["secs"] for name, each in stages.items() if name != "report"} for stages in after
    ]
    assert [point.ms for point in again.points] == [point.ms for point in result.points]
