"""A network built in half precision: photographs say what is float32, and its outputs are then float64's."""

import json

import cv2
import numpy as np
import pytest

from codegen import build, verify
from codegen.artifact.reading import read_manifest
from fleetpose import cli

#: a network of one's own whose second layer has sums that pass 65,504 and come back
SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 64, 3, padding=1)
        self.huge = nn.Conv2d(128, 8, 1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)
        with torch.no_grad():
            half = 32768 * torch.ones(8, 64, 1, 1)
            self.huge.weight.copy_(torch.cat([half, -half], 1))
            self.huge.weight[:, 0] += 512

    def forward(self, x):
        x = self.first(x).relu()
        return self.last(self.huge(torch.cat([x, x], 1)).relu())


def net():
    return Net().eval()


net.fleetpose = {"size": [24, 32], "preprocessing": {"mean": [128, 128, 128], "scale": 0.00390625, "channels": "RGB"}}
"""


@pytest.fixture
def model(tmp_path):
    """A network's factory, and a folder of photographs."""
    source, photographs = tmp_path / f"own_of_{tmp_path.name}.py", tmp_path / "photographs"
    source.write_text(SOURCE)
    photographs.mkdir()
    random = np.random.default_rng(0)
    for number in range(2):
        assert cv2.imwrite(str(photographs / f"{number}.png"), random.integers(0, 256, (48, 64, 3), np.uint8))
    return f"{source}:net", photographs


def widened_of(out):
    """What of the layers of an artifact is float32, and what said so."""
    manifest = read_manifest(out)
    parts = {layer.layer: layer.widened for layer in manifest.entries[0].layers if layer.widened}
    return parts, manifest.widened


def run(command, *flags):
    return cli.run(command.main, command.make_parser(), [str(flag) for flag in (*flags, "--json", "--trust")])


def test_photographs_choose_the_layers_that_sum_in_float32(half, model, tmp_path, capsys):
    name, photographs = model
    common = ("--model", name, "--device", "host", "--dtype", "float16", "--size", "24x32")
    wide, narrow = tmp_path / "wide.so", tmp_path / "narrow.so"
    assert run(build, *common, "--data", photographs, "-o", wide) == 0
    assert run(build, *common, "--no-check", "-o", narrow) == 0
    assert widened_of(wide) == ({"huge": "products"}, {"by": "photographs"})
    assert widened_of(narrow) == ({}, {"by": "length"})
    capsys.readouterr()
    assert run(verify, "--artifact", wide, "--device", "host") == 0
    assert json.loads(capsys.readouterr().out)["max_relative_error"] < 5e-3
    assert run(verify, "--artifact", narrow, "--device", "host") == 1
    assert json.loads(capsys.readouterr().out)["not_finite"]
