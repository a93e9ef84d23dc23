"""`python -m models.prune`: every method ends in weights that packing takes as they are; kills, refusals."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from codegen.lowering.planned import planned_graphs
from fleetpose import cli
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.__main__ import main, make_parser
from models.prune.reconstruction.calibration import judging_photographs
from models.resolve import create_model
from models.zoo.weights import save_weights
from tests import sweep
from tests.tiny_pose import NAME, NORMLESS, register_tiny, write_coco

DRIVER = Path(__file__).with_name("run_tiny.py")
LAYERS = ("backbone.1", "backbone.2", "neck")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with coco/, w.safetensors and plan.json of the tiny network."""
    register_tiny()
    folder = tmp_path_factory.mktemp("prune")
    write_coco(folder / "coco")
    save_weights(create_model(NAME), folder / "w.safetensors")
    plan_of(dict.fromkeys(LAYERS, "columns:0.5:4x1")).save(folder / "plan.json")
    return folder


def graph_of(weights: Path | None = None):
    return trace(create_model(NAME, weights), (3, 64, 64), NAME)


def plan_of(variants: dict[str, str]) -> Plan:
    return Plan.of(NAME, graph_of().layers, {name: Sparsity.parse(text) for name, text in variants.items()})


def flags(place, out, *more):
    common = ("--model", NAME, "--weights", place / "w.safetensors", "--plan", place / "plan.json", "-o", out)
    return [str(each) for each in (*common, *more)]


def run(place, out, *more):
    return cli.run(main, make_parser(), flags(place, out, *more))


def training(place, *more):
    return ("--data", place / "coco", "--photographs", 4, "--crop", 64, "--batch", 4, "--device", "cpu", *more)


@sweep.part(2)
@pytest.mark.slow
@pytest.mark.parametrize("method", ["plain", "oneshot", "retrained", "magnitude", "admm", "reweighted"])
def test_every_methods_weights_are_packed_as_they_are(place, tmp_path, method):
    out = tmp_path / "p.safetensors"
    reconstructed = ("--data", place / "coco", "--photographs", 4, "--recovery-minutes", 0.02)
    more = {"plain": (), "oneshot": reconstructed}.get(method)
    if more is None:
        more = training(place, "--steps", 16, "--method", "oneshot" if method == "retrained" else method)
    assert run(place, out, *more) == 0
    plan = Plan.load(place / "plan.json")
    [_], had_to_prune = planned_graphs([graph_of(out)], plan)
    assert not had_to_prune
    before, after = graph_of(place / "w.safetensors").weights, graph_of(out).weights
    for name in LAYERS:
        assert (after[f"{name}.weight"] != 0).mean() == 0.5
        assert (before[f"{name}.weight"] != 0).all()
    assert [path.suffix for path in tmp_path.iterdir() if path != out] in ([], [".csv"])


def test_prune_command_says_what_is_left(place, tmp_path, capsys):
    assert run(place, tmp_path / "p.safetensors", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    weights = sum(graph_of().weights[f"{name}.weight"].size for name in LAYERS)
    assert found["params"] - found["params_left"] == weights / 2
    assert found["agreement"] is None, "no photographs were given"


@pytest.mark.slow
@pytest.mark.parametrize(("used", "held_out"), [(2, True), (9, False)])
def test_agreement_is_measured_on_photographs_that_were_not_pruned_on(place, tmp_path, capsys, used, held_out):
    write_coco(tmp_path / "many", images=12)
    given = ("--data", tmp_path / "many", "--photographs", used, "--recovery-minutes", 0)
    assert run(place, tmp_path / "p.safetensors", *given, "--agreement", 9, "--json") == 0
    facts = json.loads(capsys.readouterr().out)["agreement"]
    assert (facts["photographs"], facts["held_out"]) == (9, held_out)
    assert facts["divergence"] > 0
    assert facts["agreement"] is None or 0 <= facts["agreement"] <= 1
    assert run(place, tmp_path / "q.safetensors", *given, "--agreement", 3) == 0
    assert "agreement with the dense network" in capsys.readouterr().out
    assert run(place, tmp_path / "r.safetensors", *given, "--agreement", 0) == 0
    assert "agreement with" not in capsys.readouterr().out


def test_held_out_photographs_are_those_that_calibration_leaves(tmp_path):
    folders = [write_coco(tmp_path / name, images=count, seed=count) for name, count in (("a", 12), ("b", 3))]
    drawn, _ = judging_photographs(folders, None, 15, seed=4)
    held, held_out = judging_photographs(folders, 5, 15, seed=4)
    assert held_out
    assert held == drawn[5:]
    assert len(set(drawn)) == 15
    assert judging_photographs(folders, 8, 15, seed=4) == (drawn, False), "7 photographs are too few"
    assert judging_photographs(folders, None, 4, seed=4) == (drawn[:4], False)


@pytest.mark.long
def test_prune_command_resumes_a_killed_retraining(place, tmp_path):
    more = training(place, "--steps", 60, "--checkpoint-secs", 0)
    assert run(place, tmp_path / "whole.safetensors", *more) == 0
    out, log = tmp_path / "killed.safetensors", tmp_path / "killed.csv"
    for how in (signal.SIGKILL, signal.SIGTERM):
        command = [sys.executable, str(DRIVER), "models.prune.__main__", *flags(place, out, *more)]
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
        rows, until = _rows(log), time.monotonic() + 900
        while _rows(log) <= rows and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(how)
        assert process.wait(900) != 0, process.stderr.read()
        assert (tmp_path / "killed.checkpoint").exists()
    assert run(place, out, *more) == 0
    mine, whole = load_file(out), load_file(tmp_path / "whole.safetensors")
    assert all(torch.equal(mine[name], whole[name]) for name in whole)
    assert not (tmp_path / "killed.start").exists()


def _rows(path: Path) -> int:
    if not path.exists():
        return 0
    with open(path, newline="") as stream:
        return len(list(csv.DictReader(stream)))


def test_prune_command_takes_ratios_at_both_ends(place, tmp_path):
    """A plan that is dense, or keeps everything, changes nothing; one that keeps nothing is refused as it is read."""
    for text in (None, "columns:0.0:4x1"):
        plan = plan_of({} if text is None else {"neck": text})
        plan.save(place / "ends.json", force=True)
        out = tmp_path / f"{text}.safetensors"
        assert cli.run(main, make_parser(), [*flags(place, out), "--plan", str(place / "ends.json")]) == 0
        mine, whole = load_file(out), load_file(place / "w.safetensors")
        assert all(torch.equal(mine[name], whole[name]) for name in whole)


def bad_plan(place, **changes):
    content = {**json.loads((place / "plan.json").read_text()), **changes}
    path = place / f"bad{len(list(place.iterdir()))}.json"
    path.write_text(json.dumps(content))
    return path


def test_prune_command_leaves_no_file_where_it_refuses(place, tmp_path, capsys):
    out = tmp_path / "p.safetensors"
    poisoned = load_file(place / "w.safetensors")
    poisoned["neck.conv.weight"][0, 0, 0, 0] = float("nan")
    save_file(poisoned, place / "nan.safetensors")
    layers = json.loads((place / "plan.json").read_text())["layers"]
    everything = {**layers, "neck": {"variant": "columns:1.0:4x1", "reason": ""}}
    few = {name: entry for name, entry in layers.items() if name != "neck"}
    cases = [
        (["--plan", bad_plan(place, model=NORMLESS)], f"is a plan of {NORMLESS}, not of {NAME}"),
        (["--plan", bad_plan(place, layers=few)], "lacks layer 'neck'"),
        (["--plan", bad_plan(place, layers=everything)], "not from 0 to below 1"),
        (["--plan", place / "none.json"], "cannot read the plan"),
        (["--weights", place / "nan.safetensors"], "1 NaN or infinite"),
        (["--method", "admm"], "give --minutes, --steps or --epochs"),
        (["--steps", 3], "give --data"),
        (["--data", place / "nowhere"], "no such folder"),
        (["--agreement", -1], "--agreement: '-1' is not a whole number of at least 0"),
        (["--data", place / "coco", "--photographs", 0], "--photographs: '0' is not a whole number of at least 1"),
    ]
    for more, message in cases:
        assert run(place, out, *more) == 2, message
        text = capsys.readouterr().err
        assert message in text
        assert text.count("\n") <= 2
        assert not list(tmp_path.iterdir()), message


def test_prune_command_keeps_existing_files(place, tmp_path, capsys):
    out = tmp_path / "p.safetensors"
    out.write_bytes(b"mine")
    assert run(place, out) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    assert run(place, out, "--force") == 0
    assert np.isfinite(load_file(out)["neck.conv.weight"].numpy()).all()


def test_a_teacher_of_another_network_is_learnt_from(place, tmp_path):
    save_weights(create_model(NAME, seed=3), tmp_path / "teacher.safetensors")
    taught, untaught = tmp_path / "taught.safetensors", tmp_path / "untaught.safetensors"
    teacher = ("--teacher", NAME, "--teacher-weights", tmp_path / "teacher.safetensors")
    assert run(place, taught, *training(place, "--steps", 4), *teacher) == 0
    assert run(place, untaught, *training(place, "--steps", 4)) == 0
    first, second = load_file(taught), load_file(untaught)
    assert any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_prune_command_without_a_teacher_learns_from_the_dense_network(tmp_path):
    """Its own weights, given as a teacher's, are another network's: adaptors then start at random, and say so."""
    register_tiny()
    write_coco(tmp_path / "coco")
    weights, plan = tmp_path / "w.safetensors", tmp_path / "plan.json"
    save_weights(create_model(NORMLESS), weights)
    layers = trace(create_model(NORMLESS), (3, 64, 64), NORMLESS).layers
    Plan.of(NORMLESS, layers, {"backbone.1": Sparsity.parse("columns:0.05:4x1")}).save(plan)
    hints = []
    for name, teacher in (("own", ()), ("other", ("--teacher", NORMLESS, "--teacher-weights", weights))):
        out = tmp_path / f"{name}.safetensors"
        given = ("--model", NORMLESS, "--weights", weights, "--plan", plan, "-o", out, *teacher)
        assert cli.run(main, make_parser(), [str(each) for each in (*given, *training(tmp_path, "--steps", 1))]) == 0
        with open(out.with_suffix(".csv"), newline="") as stream:
            hints.append(float(next(csv.DictReader(stream))["hints"]))
    assert hints[0] < 0.5 * hints[1], hints


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--teacher", NAME, "--steps", "4"), "go together"),
        (("--teacher", NAME, "--teacher-weights", "t.safetensors"), "needs a training"),
    ],
)
def test_prune_command_refuses_half_a_teacher(place, tmp_path, capsys, more, said):
    assert run(place, tmp_path / "p.safetensors", *more) == 2
    assert said in capsys.readouterr().err
