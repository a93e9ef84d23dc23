"""What codegen.build reads is never among what it writes or removes."""

import json
from pathlib import Path

import pytest

from codegen import build as command
from codegen import layer as layer_command
from fleetpose import cli
from models.resolve import create_model
from models.zoo.weights import save_weights
from tests.small_network import register_small


def run(*flags) -> int:
    return cli.run(command.main, command.make_parser(), ["--profile", "host", "--size", "32x32", *map(str, flags)])


@pytest.fixture
def weights(tmp_path) -> Path:
    """Weights of the small network, by the name that an artifact's own weights would have."""
    path = tmp_path / "pose.weights.safetensors"
    save_weights(create_model(register_small(), seed=3), path)
    return path


def test_build_leaves_its_weights_where_they_are(tmp_path, weights):
    before = weights.read_bytes()
    flags = ("--model", register_small(), "--weights", weights, "-o", tmp_path / "pose.so")
    assert run(*flags) == 0
    assert weights.read_bytes() == before


def test_build_refuses_to_write_weights_over_those_it_reads(tmp_path, weights, capsys):
    flags = ("--model", register_small(), "--weights", weights, "-o", tmp_path / "pose.so", "--weights-file")
    assert run(*flags, "--force") == 2
    assert f"its weights {str(weights)[-80:]} would replace --weights" in capsys.readouterr().err
    assert not (tmp_path / "pose.so").exists()


@pytest.mark.parametrize("flag", ["--model", "--plan"])
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_build_refuses_a_manifest_over_what_it_reads(tmp_path, capsys, flag, force):
    (tmp_path / "pose.json").write_text("{}")
    model = () if flag == "--model" else ("--model", register_small())
    assert run(*model, flag, tmp_path / "pose.json", "-o", tmp_path / "pose.so", *force) == 2
    assert f"would replace {flag}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pose.json"]
    assert (tmp_path / "pose.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["module.py", "kernels.cl", "manifest.json"])
def test_build_dumps_over_nothing_that_exists(tmp_path, capsys, name):
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / name).write_text("mine")
    flags = ("--model", register_small(), "-o", tmp_path / "pose.so", "--dump", tmp_path / "dump")
    assert run(*flags) == 2
    assert "exists; add --force" in capsys.readouterr().err
    assert (tmp_path / "dump" / name).read_text() == "mine"
    assert not (tmp_path / "pose.so").exists()
    if name == "manifest.json":
        assert run(*flags, "--force") == 0
        assert json.loads((tmp_path / "dump" / name).read_text())["model"] == register_small()


def test_layer_dumps_over_nothing_that_exists(tmp_path, capsys):
    (tmp_path / "kernel.cl").write_text("mine")
    flags = ["--conv", "3", "4", "8", "8", "--dump", str(tmp_path)]
    assert cli.run(layer_command.main, layer_command.make_parser(), flags) == 2
    assert "kernel.cl exists; add --force" in capsys.readouterr().err
    assert (tmp_path / "kernel.cl").read_text() == "mine"
