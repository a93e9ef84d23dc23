"""Networks from outside the registry on this machine's OpenCL: built, compared with PyTorch, timed."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch

from codegen import build, run, verify
from codegen.artifact.loaded import Artifact
from devices import open_device
from fleetpose import cli
from tests.small_network import Small

SOURCE = """
from tests.small_network import Small
class Own(Small):
    fleetpose = {"size": [32, 48], "preprocessing": {"mean": [0, 0, 0], "scale": 1.0, "channels": "RGB"}}
    def forward(self, x):
        return {"pooled": super().forward(x)[1]}
"""


@pytest.fixture(params=["module", "program"])
def model(request, tmp_path, monkeypatch):
    """A network with one output and a key, by import path and as an exported program."""
    (tmp_path / "own_small.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    from own_small import Own  # type: ignore[import-not-found]

    if request.param == "module":
        yield "own_small:Own"
    else:
        program = torch.export.export(Own().eval(), (torch.zeros(1, 3, 32, 48),))
        torch.export.save(program, "own.pt2", extra_files={"fleetpose.json": json.dumps(Own.fleetpose)})
        yield "own.pt2"
    sys.modules.pop("own_small", None)


NESTED = """
import torch
from torch import nn
class Nested(nn.Module):
    fleetpose = {"size": [32, 48], "preprocessing": {"mean": [0, 0, 0], "scale": 1.0, "channels": "RGB"}}
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 4, 1)
        self.register_buffer("anchors", torch.tensor([[1, 2], [3, 4]]))
    def forward(self, x):
        x = torch.relu(self.first(x))
        heat = self.second(x)
        best = heat.flatten(2).argmax(2)
        return {"tokens": [x.flatten(2).transpose(1, 2), None], "anchors": self.anchors, "best": best}
"""


def said(capsys, command, *argv) -> dict:
    capsys.readouterr()
    assert cli.run(command.main, command.make_parser(), [*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_outside_network_is_built_verified_and_timed(model, host, capsys):
    built = said(capsys, build, "--model", model, "--device", "host", "--size", "32x48", "-o", "own.so")
    assert built["preprocessing"]["channels"] == "RGB"
    assert said(capsys, verify, "--artifact", "own.so")["max_relative_error_pooled"] < 1e-5
    cv2.imwrite("x.png", np.full((32, 48, 3), 100, np.uint8))
    flags = ("--artifact", "own.so", "--image", "x.png", "--repeats", "2")
    assert said(capsys, run, *flags, "--no-people", "--layers")["layers"]
    assert cli.run(run.main, run.make_parser(), list(flags)) == 2
    assert "is no pose network" in capsys.readouterr().err


def test_other_weights_than_those_that_were_built_in_are_refused(host, capsys, tmp_path, monkeypatch):
    """A file that is exported anew under the same name, after training, say."""
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        torch.manual_seed(seed)
        program = torch.export.export(Small().eval(), (torch.zeros(1, 3, 32, 48),))
        torch.export.save(program, "own.pt2")
        if seed == 1:
            said(capsys, build, "--model", "own.pt2", "--device", "host", "-o", "own.so")
            assert said(capsys, verify, "--artifact", "own.so")["ok"]
    assert cli.run(verify.main, verify.make_parser(), ["--artifact", "own.so"]) == 2
    assert "the weights that own.pt2 brings are not those of the artifact" in capsys.readouterr().err


def test_a_program_serves_the_size_it_was_exported_for(model, host, capsys):
    if not model.endswith(".pt2"):
        pytest.skip("a module takes every size")
    argv = ["--model", model, "--device", "host", "--size", "32x64", "-o", "own.so"]
    assert cli.run(build.main, build.make_parser(), argv) == 2
    assert "own.pt2 takes 32x48 only" in capsys.readouterr().err


def test_nested_outputs_views_constants_and_a_cut_reach_the_artifact(host, capsys, tmp_path, monkeypatch, caplog):
    (tmp_path / "own_nested.py").write_text(NESTED)
    monkeypatch.chdir(tmp_path)
    built = said(capsys, build, "--model", "own_nested:Nested", "--device", "host", "--size", "32x48", "-o", "own.so")
    assert "cut before 'argmax' in the root module (own_nested.py:13)" in caplog.text
    cut = {"op": "argmax", "module": "", "line": "own_nested.py:13", "lost": ["best"], "given": ["second"]}
    assert built["cuts"] == [cut]
    assert said(capsys, verify, "--artifact", "own.so")["ok"]
    with open_device("host") as session:
        outputs = Artifact("own.so", session).run(np.ones((1, 3, 32, 48), np.float32))
    shapes = {name: array.shape for name, array in outputs.items()}
    assert shapes == {"tokens.0": (1, 384, 6), "second": (1, 4, 16, 24), "anchors": (2, 2)}
    np.testing.assert_array_equal(outputs["anchors"], [[1, 2], [3, 4]])
    sys.modules.pop("own_nested", None)
