"""The built artifact on real photographs with trained weights, against float64 PyTorch (needs ../shared)."""

import pytest

from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.verifying.verify import verify
from devices import open_device

MODEL = "human_pose_0001"


@pytest.fixture(scope="module")
def found(shared_dir, few, tmp_path_factory):
    """One upright and one wide input size keep the build short; `make demo` and the docs use five."""
    weights, path = shared_dir / "data/lwop/human_pose_0001.safetensors", tmp_path_factory.mktemp("ap") / "pose.so"
    with open_device("host") as session:
        network = trace_network(MODEL, weights, sizes=[(368, 280), (368, 656)])
        build(network, BuildTarget.of(session)).write(path)
        return verify(Artifact(path, session), weights, few)


@pytest.mark.long
def test_artifact_heatmaps_equal_float64(found):
    assert found["inputs"] == 11
    assert found["input_sizes"].keys() == {"368x280", "368x656"}
    assert found["max_abs_error"] <= 1e-3


@pytest.mark.long
def test_artifact_keeps_the_average_precision(found):
    assert found["ok"]
    assert found["ap_reference"] >= 0.3  # 0.34; of all 32 photographs 0.46
    assert abs(found["ap_artifact"] - found["ap_reference"]) <= 0.002
    assert found["ap_free_width"] >= 0.3


@pytest.mark.long
def test_half_precision_finds_the_same_people(shared_dir, few, tmp_path):
    """Where the machine's OpenCL has half precision, as the one from PyPI has."""
    weights, path = shared_dir / "data/lwop/human_pose_0001.safetensors", tmp_path / "half.so"
    with open_device("host") as session:
        if not session.profile.fp16:
            pytest.skip(f"{session.info.name} by {session.info.platform} does not compute in half precision")
        network = trace_network(MODEL, weights, sizes=[(368, 368)])
        build(network, BuildTarget.of(session, dtype="float16")).write(path)
        half = verify(Artifact(path, session), weights, few)
    assert half["ok"], half["faults"]
    assert half["dtype"] == "float16"
    assert 1e-6 < half["mean_relative_error"] <= 2e-3  # it is half precision that was compared
    assert half["people_both"] >= 15
    assert half["keypoints_far"] <= 0.02
