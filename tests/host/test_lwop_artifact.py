"""Lightweight OpenPose itself, built and run on this machine's OpenCL, against float64 PyTorch."""

from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.verifying.verify import verify


def test_artifact_outputs_of_lwop_equal_float64_pytorch(host, tmp_path):
    path = tmp_path / "pose.so"
    build(trace_network("lwop", sizes=[(64, 96)]), BuildTarget.of(host)).write(path)
    found = verify(Artifact(path, host), None)
    assert found["ok"]
    assert found["max_abs_error"] < 1e-4
    assert found["input_sizes"] == {"64x96": 1}
