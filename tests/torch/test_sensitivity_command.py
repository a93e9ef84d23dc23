"""`python -m models.sensitivity`, `models.allocate` and `models.evaluate` on a tiny network: one feeds the next."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fleetpose import cli
from latency.planning.losses import read_losses
from models import allocate, evaluate, sensitivity
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.response.journal import ResponseJournal
from models.prune.response.outputs import divergence, layer_curves
from models.resolve import create_model, model_spec
from models.zoo.weights import save_weights
from tests.printing_solver import make_solver_print
from tests.tiny_pose import NAME, register_tiny, write_coco

DRIVER = Path(__file__).with_name("run_tiny.py")
BLOCK_ZEROS = [0.02 * n for n in range(10, 45)]
LAYERS = ["backbone.1", "backbone.2", "neck"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with coco/, w.safetensors, v.safetensors, and what models.sensitivity makes of them, s.json."""
    register_tiny()
    folder = tmp_path_factory.mktemp("sensitivity")
    write_coco(folder / "coco", images=4)
    save_weights(create_model(NAME), folder / "w.safetensors")
    save_weights(create_model(NAME, seed=1), folder / "v.safetensors")
    assert measure(folder, folder / "s.json", "--plot", folder / "s.png") == 0
    return folder


def flags(place, out, *more):
    common = ("--model", NAME, "--weights", place / "w.safetensors", "--data", place / "coco", "-o", out)
    chosen = ("--zeros", 0.25, 0.5, 0.75, "--block-zeros", 0.5, "--photographs", 4, "--family", "columns:4x1")
    return [str(each) for each in (*common, *chosen, *more)]


def measure(place, out, *more):
    return cli.run(sensitivity.main, sensitivity.make_parser(), flags(place, out, *more))


def plan(place, out, *more):
    arguments = ["--model", NAME, "--sensitivity", place / "s.json", "-o", out, *more]
    return cli.run(allocate.main, allocate.make_parser(), [str(each) for each in arguments])


def judge(place, *more):
    arguments = ["--model", NAME, "--weights", place / "w.safetensors", "--data", place / "coco", *more]
    return cli.run(evaluate.main, evaluate.make_parser(), [str(each) for each in arguments])


def test_curves_rise_and_are_read_by_latency_decide(place):
    content = json.loads((place / "s.json").read_text())
    assert content["measure"] == "output divergence"
    assert list(content["layers"]) == LAYERS
    for curve in content["layers"].values():
        assert 0 < curve["0.25"] < curve["0.5"] < curve["0.75"]
    graph = trace(create_model(NAME), (3, 64, 64), NAME)
    losses = read_losses(place / "s.json", NAME, graph.layers, model_spec(NAME).blocks)
    half = Sparsity.parse("columns:0.5:4x1")
    assert losses.of(graph.layer("neck"), half) == pytest.approx(content["layers"]["neck"]["0.5"])
    assert (place / "s.png").stat().st_size > 10_000
    assert not (place / "s.journal").exists()


@pytest.mark.long
def test_what_was_measured_before_a_kill_is_not_measured_again(place, tmp_path):
    out, journal = tmp_path / "s.json", tmp_path / "s.journal"
    command = [sys.executable, str(DRIVER), "models.sensitivity", *flags(place, out, "--block-zeros", *BLOCK_ZEROS)]
    process, until = subprocess.Popen(command), time.monotonic() + 900
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 2) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(900) != 0
    assert not out.exists()
    lines = journal.read_text().splitlines()
    key, curve = json.loads(lines[1])
    lines[1] = json.dumps([key, {**curve, "0.5": 0.123}])  # would be something else if it were measured again
    journal.write_text("\n".join(lines) + "\n")
    assert measure(place, out, "--block-zeros", *BLOCK_ZEROS) == 0
    mine, whole = (json.loads((each / "s.json").read_text())["layers"] for each in (tmp_path, place))
    assert mine["backbone.1"] == {**whole["backbone.1"], "0.5": 0.123}
    assert not journal.exists()


def test_sensitivity_of_annotated_photographs_is_in_ap(place, tmp_path):
    assert measure(place, tmp_path / "s.json", "--annotated", place / "coco") == 0
    content = json.loads((tmp_path / "s.json").read_text())
    assert content["ap"]["columns:4x1"]["dense"] == 0, "a random network finds nobody"
    assert set(content["ap"]["columns:4x1"]["blocks"]) == set(content["divergence"]["columns:4x1"]["blocks"])


def test_divergence_is_0_of_equals_and_1_of_means():
    x = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    mean = x.mean(dim=(0, 2, 3), keepdim=True).expand_as(x)
    assert divergence([x, x], [x, x]) == 0
    assert divergence([mean, x], [x, x]) == pytest.approx(0.5)


def test_layers_curves_are_what_pruning_just_that_layer_does():
    register_tiny()
    graph = trace(create_model(NAME), (3, 64, 64), NAME)
    x = np.random.default_rng(0).standard_normal((6, 3, 64, 64)).astype(np.float32)
    family = Sparsity.parse("columns:0.5:4x1")
    found = dict(layer_curves(graph, LAYERS, family, [0.5, 0.75], x[:4], x[4:], ReconstructionSettings(samples=400)))
    assert list(found) == LAYERS
    again = dict(layer_curves(graph, ["neck"], family, [0.75], x[:4], x[4:], ReconstructionSettings(samples=400)))
    assert again["neck"][0.75] == pytest.approx(found["neck"][0.75], rel=0.3), "other samples"
    few = dict(layer_curves(graph, ["neck"], Sparsity.parse("pattern:0.75"), [0.5, 0.7], x[:4], x[4:]))
    assert list(few["neck"]) == [0.7], "kernel patterns have 5/9 zeros at the least"


@pytest.mark.parametrize("counted", ["params", "macs"])
def test_allocate_plans_reach_the_ratio(place, tmp_path, counted, capsys):
    assert plan(place, tmp_path / "plan.json", "--ratio", "1.2x", "--counted", counted, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found[counted] / found[f"{counted}_left"] == pytest.approx(1.2, rel=0.03)
    chosen = Plan.load(tmp_path / "plan.json")
    chosen.check(trace(create_model(NAME), (3, 64, 64), NAME).layers)
    assert set(chosen.sparsities) <= set(LAYERS)


def test_without_a_sensitivity_all_layers_have_the_same_zeros(place, tmp_path, capsys):
    arguments = ["--model", NAME, "--ratio", "1.2", "-o", str(tmp_path / "plan.json")]
    assert cli.run(allocate.main, allocate.make_parser(), arguments) == 2
    assert "--family such as" in capsys.readouterr().err
    assert cli.run(allocate.main, allocate.make_parser(), [*arguments, "--family", "columns:4x1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["params"] / found["params_left"] == pytest.approx(1.2, rel=0.03)
    assert len({sparsity.zeros for sparsity in Plan.load(tmp_path / "plan.json").sparsities.values()}) == 1


def test_allocate_json_holds_nothing_that_the_solver_prints(capfd, monkeypatch, place, tmp_path):
    solved = make_solver_print(monkeypatch)
    assert plan(place, tmp_path / "plan.json", "--ratio", "1.2x", "--json") == 0
    assert json.loads(capfd.readouterr().out)["plan"] == str(tmp_path / "plan.json")
    assert solved


def test_allocate_refuses_plans_that_cannot_be(place, tmp_path, capsys):
    cases = [
        (["--ratio", "9x"], "the most by these curves is"),
        (["--ratio", "0.5"], "at least 1"),
        (["--ratio", "much"], "'much' is not a number of at least 1"),
        (["--ratio", "1.2", "--family", "columns:8x1"], "did you mean 'columns:4x1'"),
    ]
    for more, message in cases:
        assert plan(place, tmp_path / "plan.json", *more) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_sensitivity_refuses_before_it_works(place, tmp_path, capsys):
    out = tmp_path / "s.json"
    cases = [
        (["--zeros", "1.0"], "above 0 and below 1"),
        (["--family", "colums:4x1"], "did you mean 'columns'"),
        (["--data", str(tmp_path)], "no photographs"),
    ]
    for more, message in cases:
        assert measure(place, out, *more) == 2
        assert message in capsys.readouterr().err
    with ResponseJournal(out.with_suffix(".journal"), {"seed": 99}):
        pass
    assert measure(place, out) == 2
    assert "--restart" in capsys.readouterr().err
    assert measure(place, out, "--restart", "--block-zeros", 0.5) == 0


def test_evaluate_compares_two_weight_files(place, capsys):
    assert judge(place, "--against", place / "v.safetensors", "--draws", 20, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == found["against"]["images"] == 4
    assert found["gain"]["ap"] == found["ap"] - found["against"]["ap"]
    low, high = found["gain"]["ap_interval"]
    assert low <= found["gain"]["ap"] <= high
    assert judge(place) == 0
    text = capsys.readouterr().out
    assert "95% interval" in text
    assert "photographs" in text


def test_evaluate_refuses_files_and_flags_that_do_not_fit(place, capsys):
    for more, message in (
        (["--against-model", NAME], "needs --against"),
        (["--coverage", "1"], "above 0 and below 1"),
        (["--draws", "2"], "at least 10"),
        (["--data", place / "none"], "cannot read the annotations"),
    ):
        assert judge(place, *more) == 2
        assert message in capsys.readouterr().err
