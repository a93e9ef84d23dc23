"""`python -m models.train` as processes: killed and started again, several at once, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fleetpose import cli
from models.resolve import create_model
from models.train.__main__ import main, make_parser
from models.zoo.weights import save_weights
from tests.tiny_pose import NAME, NORMLESS, register_tiny, write_coco

DRIVER = Path(__file__).with_name("train_tiny.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    register_tiny()
    return write_coco(tmp_path_factory.mktemp("data") / "coco")


def flags(coco, out, *more, model=NAME):
    common = ["--model", model, "--data", coco, "--crop", 64, "--batch", 4, "--device", "cpu", "-o", out]
    return [str(each) for each in (*common, *more)]


def run(coco, out, *more, **keywords):
    """The command in this process: its exit status."""
    return cli.run(main, make_parser(), flags(coco, out, *more, **keywords))


@pytest.mark.long
def test_train_command_killed_twice_ends_as_if_it_were_not(coco, tmp_path):
    long = ["--steps", 60, "--checkpoint-secs", 0]
    assert run(coco, tmp_path / "whole.safetensors", *long) == 0
    out = tmp_path / "killed.safetensors"
    command = [sys.executable, str(DRIVER), *flags(coco, out, *long)]
    for how in (signal.SIGKILL, signal.SIGTERM):
        _end_in_the_midst(command, tmp_path / "killed.csv", how)
        assert (tmp_path / "killed.checkpoint").exists()
        assert not out.exists()
    assert run(coco, out, *long) == 0
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "killed.csv",
        "killed.safetensors",
        "whole.csv",
        "whole.safetensors",
    ]
    with open(tmp_path / "killed.csv", newline="") as stream:
        steps = [int(row["step"]) for row in csv.DictReader(stream)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60


def _end_in_the_midst(command, log, how):
    """Run the command until it has written another row of its log and ended itself by the signal."""
    environment = {**ENVIRONMENT, "END_BY": str(int(how)), "END_AFTER": str(log)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    if how == signal.SIGTERM:
        assert done.returncode == 130
        assert "run the same command again to resume" in done.stderr
    else:
        assert done.returncode == -how, done.stderr


@pytest.mark.long
def test_train_command_with_two_processes_learns_what_one_does(coco, tmp_path):
    """Without batch norm, whose statistics are each process's own, only the order of sums differs."""
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    assert run(coco, one, "--steps", 6, model=NORMLESS) == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(DRIVER), *flags(coco, two, "--steps", 6, "--json", model=NORMLESS)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["weights"] == str(two)  # one object: one process reports
    theirs = load_file(two)
    for name, value in load_file(one).items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-5)
    start = create_model(NORMLESS).state_dict()
    assert max(float((value - start[name]).abs().max()) for name, value in theirs.items()) > 1e-3


def test_train_command_takes_a_teacher_and_half_precision(coco, tmp_path, capsys):
    """The written file is float16 but for the norms' statistics, and loads."""
    register_tiny()
    save_weights(create_model(NAME, seed=5), tmp_path / "teacher.safetensors")
    teacher = ["--teacher", NAME, "--teacher-weights", tmp_path / "teacher.safetensors"]
    out = tmp_path / "w.safetensors"
    assert run(coco, out, "--epochs", 1.5, "--half", "--json", *teacher) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == str(out)
    with open(tmp_path / "w.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[-1]["step"] == "3"  # 6 photographs, 4 at a time
    assert all(float(rows[-1][name]) > 0 for name in ("labels", "soft", "hints", "loss", "views_per_sec"))
    kinds = {name: value.dtype for name, value in load_file(out).items()}
    assert {kind for name, kind in kinds.items() if "running" in name} == {torch.float32}
    assert {kind for name, kind in kinds.items() if "running" not in name} == {torch.float16}
    create_model(NAME, out)


def test_train_command_ends_after_its_minutes(coco, tmp_path):
    started = time.monotonic()
    assert run(coco, tmp_path / "w.safetensors", "--minutes", 0.03) == 0
    assert time.monotonic() - started >= 1.8
    with open(tmp_path / "w.csv", newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    assert float(last["progress"]) == 1
    assert float(last["lr"]) < 1e-3  # half the highest


def test_train_command_overwrites_nothing(coco, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    out.write_text("mine")
    assert run(coco, out, "--steps", 1) == 2
    assert "exists; add --force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run(coco, out, "--steps", 1, "--force") == 0
    create_model(NAME, out)


def test_train_command_refuses_a_checkpoint_of_other_flags(coco, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    (tmp_path / "w.checkpoint").write_bytes(b"no checkpoint")
    assert run(coco, out, "--steps", 1) == 2
    assert "is no checkpoint that can be read; --restart begins anew" in capsys.readouterr().err
    assert (tmp_path / "w.checkpoint").read_bytes() == b"no checkpoint"
    assert run(coco, out, "--steps", 1, "--restart") == 0


def corrupt(path, name="neck.conv.bias"):
    tensors = load_file(path)
    tensors[name][0] = float("nan")
    save_file(tensors, path)


@pytest.mark.parametrize("flag", ["--weights", "--teacher-weights"])
def test_train_command_refuses_weights_with_nan(coco, tmp_path, capsys, flag):
    bad = tmp_path / "bad.safetensors"
    save_weights(create_model(NAME), bad)
    corrupt(bad)
    more = ["--teacher", NAME] if flag == "--teacher-weights" else []
    assert run(coco, tmp_path / "w.safetensors", "--steps", 1, flag, bad, *more) == 2
    assert "neck.conv.bias has 1 NaN" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_train_command_names_a_photograph_that_breaks_later(tmp_path, capsys, workers):
    """Whole enough for the first look, but not to be decoded."""
    coco = write_coco(tmp_path / "coco")
    path = coco / "images" / "003.png"
    content = bytearray(path.read_bytes())
    pixels = content.index(b"IDAT")
    content[pixels + 60 : pixels + 200] = bytes(140)
    path.write_bytes(content)
    out = tmp_path / "w.safetensors"
    assert run(coco, out, "--steps", 4, "--workers", workers) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert "003.png is not an image" in errors[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--steps", 0], "--steps: '0' is not a whole number of at least 1"),
        (["--steps", 1, "--crop", 60], "--crop 60 is no multiple of 8"),
        (["--steps", 1, "--teacher", "lwop"], "--teacher NAME and --teacher-weights FILE go together"),
        (["--steps", 1, "--scale", 2, 1], "scale must be two positive numbers"),
        (["--steps", 1, "--ema", 1], "--ema: '1' is not a number of at least 0 and below 1"),
        (["--steps", 1, "--model", "resnet5"], "did you mean"),
        ([], "one of the arguments --epochs --steps --minutes is required"),
    ],
)
def test_train_command_refuses_flags_that_do_not_fit(coco, tmp_path, capsys, more, message):
    assert run(coco, tmp_path / "w.safetensors", *more) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
