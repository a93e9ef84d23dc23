"""A network with a fallback, built and loaded as an artifact, and collected: its borders have names and times."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from codegen.artifact.breakdown import break_down
from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.verifying.verify import verify
from fleetpose import cli
from latency import collect
from latency.cost_model.features import extract
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample
from latency.profiling import bench
from latency.records.read import read_records
from models.preprocess import Preprocessing
from models.zoo.registry import model_names, register_model
from models.zoo.spec import ModelSpec
from tests.scatter import no_scatter

NAME = "sampling_of_the_tests"


class Sampling(nn.Module):
    """Samples a map where another one says."""

    def __init__(self):
        super().__init__()
        self.stem, self.places = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 2, 3, padding=1)
        self.head = nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        sampled = F.grid_sample(x, torch.tanh(self.places(x)).permute(0, 2, 3, 1), align_corners=False)
        return self.head(sampled)


@pytest.fixture(scope="module")
def model():
    if NAME not in model_names():
        plain = Preprocessing((0.0, 0.0, 0.0), 1.0)
        register_model(ModelSpec(NAME, Sampling, plain, size=(22, 34), outputs=("maps",), stride=2))
    return NAME


def test_artifact_with_a_fallback_is_right_and_times_its_borders(host, model, tmp_path):
    path = tmp_path / "pose.so"
    build(trace_network(model, sizes=[(22, 34), (30, 18)]), BuildTarget.of(host)).write(path)
    loaded = Artifact(path, host)
    checked = verify(loaded, None)
    assert checked["ok"]
    assert checked["max_abs_error"] < 1e-4
    (part,) = break_down({"this": loaded}, np.zeros((1, 3, 22, 34), np.float32), rounds=2).values()
    secs = {layer.code.layer: layer.secs for layer in part.layers()}
    operations = {layer.code.layer: layer.code.op for layer in part.layers()}
    for op in ("unpack", "pack"):
        assert secs[f"grid_sampler ({op})"] > 0
        assert operations[f"grid_sampler ({op})"] == op
    assert operations["grid_sampler"] == "fallback"
    assert secs["grid_sampler"] > 0


def test_collection_times_a_fallback_and_features_say_what_it_reads(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "roughness", no_scatter)
    out = tmp_path / "timings.jsonl"
    flags = ["--model", model, "--layer", "grid_sampler", "--rounds", "3", "--wait-secs", "0", "--json", "-o", str(out)]
    assert cli.run(collect.main, collect.make_parser(), flags) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)
    (record,) = [record for record in read_records(out) if record.layer and record.layer.op == "fallback"]
    assert record.ok
    assert record.layer.foreign.name == "grid_sampler"
    (row,) = extract([Sample(record.layer, "fallback", grids=record.grids)], Hardware())
    assert record.grids >= 4
    assert np.isfinite(row).any()
