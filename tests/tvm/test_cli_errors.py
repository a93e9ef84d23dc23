"""Bad input to the commands: one clear line, the exit status of the design, and nothing half-written."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from codegen import build, layer, verify
from fleetpose import cli
from models.resolve import create_model


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "x.so"


def refuse(capsys, module, argv) -> tuple[int, str]:
    status = cli.run(module.main, module.make_parser(), list(map(str, argv)))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert 1 <= printed.err.count("\n") <= 2, printed.err
    return status, printed.err


def test_build_refuses(capsys, out, tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_text("not weights")
    wrong = tmp_path / "wrong.safetensors"
    tensors = create_model("lwop").state_dict()
    save_file({**tensors, "model.0.conv.weight": torch.zeros(32, 3, 5, 5)}, wrong)
    cases = [
        (["--model", "lwpo", "--profile", "host"], "unknown model 'lwpo'; did you mean 'lwop'?"),
        (["--model", "lwop", "--profile", "hots"], "unknown device profile 'hots'; did you mean 'host'?"),
        (["--model", "lwop", "--profile", "host", "--target-host", "arm"], "unknown host 'arm'"),
        (["--model", "lwop", "--profile", "host", "--linker", "ldd"], "unknown linker 'ldd'; did you mean 'lld'?"),
        (["--model", "lwop"], "give --device host"),
        (["--model", "lwop", "--profile", "host", "--weights", tmp_path / "no.pth"], "no such file"),
        (["--model", "lwop", "--profile", "host", "--weights", bad], "not a safetensors file"),
        (["--model", "lwop", "--profile", "host", "--size", "64x64", "--size", "64x64"], "the same input size"),
        (["--model", "lwop", "--profile", "host", "--size", "370x368"], "wants multiples of 8, such as 376x368"),
        (["--model", "lwop", "--profile", "host", "--weights", wrong], "model.0.conv.weight"),
        (["--model", "lwop", "--profile", "host", "--dump", bad], "not a folder"),
        (["--model", "lwop", "--device", "nul"], "unknown device 'nul'; did you mean 'null'?"),
    ]
    for argv, text in cases:
        status, printed = refuse(capsys, build, [*argv, "-o", out])
        assert (status, text in printed) == (2, True), f"{argv}: {status} {printed}"
    assert not out.parent.exists() or not list(out.parent.iterdir()), "something half-written"


def test_build_does_not_replace_without_force(capsys, tmp_path):
    (tmp_path / "x.json").write_text("mine")
    status, printed = refuse(capsys, build, ["--model", "lwop", "--profile", "host", "-o", tmp_path / "x.so"])
    assert (status, "x.json exists; add --force" in printed) == (2, True)
    assert (tmp_path / "x.json").read_text() == "mine"


def test_build_reports_unreachable_devices(capsys, out, monkeypatch):
    monkeypatch.delenv("TVM_TRACKER_HOST", raising=False)
    argv = ["--model", "lwop", "--device", "rpc:pixel", "-o", out]
    status, printed = refuse(capsys, build, argv)
    assert (status, "TVM_TRACKER_HOST is not set" in printed) == (3, True)
    monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
    monkeypatch.setenv("TVM_TRACKER_PORT", "1")
    status, printed = refuse(capsys, build, argv)
    assert (status, "127.0.0.1:1" in printed) == (3, True), printed


def test_verify_refuses(capsys, tmp_path):
    status, printed = refuse(capsys, verify, ["--artifact", tmp_path / "none.so"])
    assert (status, "no artifact at" in printed) == (2, True)


def test_an_unforeseen_error_is_one_line_too(capsys):
    def fail(arguments):
        raise OSError("the disk is on fire")

    status = cli.run(fail, build.make_parser(), ["--model", "lwop", "-o", "x.so"])
    printed = capsys.readouterr().err
    assert (status, printed.count("\n")) == (1, 2)
    assert printed.startswith("python -m codegen.build: the disk is on fire\n")


def test_layer_refuses(capsys):
    cases = [
        (["--conv", 8, 8, 4, 4, "--groups", 3], "--groups 3 does not divide 8 and 8"),
        (["--conv", 8, 8, 4, 4, "--kernel", 9, "--padding", 0], "a 9x9 kernel does not fit into 4x4"),
        (["--conv", 8, 0, 4, 4], "at least 1"),
        (["--conv", 8, 8, 4, 4, "--epilogue", "rlu"], "unknown epilogue step 'rlu'; did you mean 'relu'?"),
        (["--conv", 8, 8, 4, 4, "--epilogue", "elu:1:2"], "'elu:1:2' should be elu:ALPHA"),
        (["--model", "lwop"], "--model needs --layer"),
        (["--model", "lwop", "--layer", "cpm.con"], "unknown layer 'cpm.con'; did you mean 'cpm.conv'?"),
    ]
    for argv, text in cases:
        status, printed = refuse(capsys, layer, argv)
        assert (status, text in printed) == (2, True), f"{argv}: {status} {printed}"


def test_run_refuses(tmp_path):
    """In a process of its own: it wants a TVM without compiler, which this one has already loaded."""
    text = tmp_path / "not.jpg"
    text.write_text("not an image")
    cases = [
        (["--image", text, "--artifact", "x.so"], "not an image"),
        (["--image", tmp_path / "none.jpg", "--artifact", "x.so"], "cannot read image"),
        (["--image", text, "--artifact", "x.so", "-o", tmp_path / "x.gif"], "pictures are written as"),
    ]
    for argv, expected in cases:
        command = [sys.executable, "-m", "codegen.run", *map(str, argv)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, expected in done.stderr, done.stdout) == (2, True, ""), done.stderr
        assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["not.jpg"]


@pytest.mark.parametrize("verb", ["build", "verify", "run", "layer"])
def test_commands_of_codegen_have_help(verb):
    done = subprocess.run(
        [sys.executable, "-m", f"codegen.{verb}", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m codegen.{verb}")
