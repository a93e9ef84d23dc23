"""PoseNet with its published weights: its people, and its artifact against PyTorch (needs ../shared)."""

from __future__ import annotations

import pytest

from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.verifying.verify import verify
from devices import open_device


@pytest.mark.long
def test_posenet_artifact_finds_the_people_that_pytorch_finds(shared_dir, few, tmp_path):
    weights, path = shared_dir / "data/weights/posenet_mobilenet_v1_075.safetensors", tmp_path / "posenet.so"
    if not weights.is_file():
        pytest.skip(f"no weights at {weights}")
    with open_device("host") as session:
        network = trace_network("posenet", weights, sizes=[(368, 560)])
        build(network, BuildTarget.of(session)).write(path)
        verdict = verify(Artifact(path, session), weights, few)
    assert verdict["max_relative_error_heatmaps"] <= 1e-4
    assert abs(verdict["ap_artifact"] - verdict["ap_reference"]) <= 0.002
    assert abs(verdict["ap_free_width"] - verdict["ap_reference"]) <= 0.1
