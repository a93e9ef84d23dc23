"""Trained weights pruned on real photographs: accuracy is kept, and the artifact has it, too (needs ../shared)."""

import pytest
import torch

from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.verifying.verify import verify
from devices import open_device
from fleetpose import cli
from models.accuracy.protocol import evaluate_network
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.__main__ import main, make_parser
from models.prune.reconstruction.calibration import calibration_inputs, find_photographs
from models.resolve import create_model, model_spec

MODEL = "human_pose_0001"
LAYERS = [f"model.{index}.pointwise" for index in (8, 9, 10, 11)] + ["refinement_stages.0.trunk.4.trunk.0"]


@pytest.fixture(scope="module")
def pruned(shared_dir, few, tmp_path_factory):
    """(folder with plan.json, magnitude.safetensors and reconstructed.safetensors, AP by their names)."""
    folder, data = tmp_path_factory.mktemp("pruned"), shared_dir / "data"
    weights = data / "lwop/human_pose_0001.safetensors"
    graph = trace(create_model(MODEL, weights), (3, 368, 368), MODEL)
    half = Sparsity.parse("columns:0.6:8x1")
    Plan.of(MODEL, graph.layers, dict.fromkeys(LAYERS, half)).save(folder / "plan.json")
    aps = {}
    for name, more in (
        ("magnitude", []),
        ("reconstructed", ["--data", data / "photos_train", "--photographs", 12, "--recovery-minutes", 0]),
    ):
        out = folder / f"{name}.safetensors"
        flags = ["--model", MODEL, "--weights", weights, "--plan", folder / "plan.json", "-o", out, *more]
        assert cli.run(main, make_parser(), [str(flag) for flag in flags]) == 0
        network = create_model(MODEL, out)
        aps[name] = evaluate_network(network, model_spec(MODEL), few).ap
    return folder, aps


@pytest.mark.long
def test_reconstruction_keeps_what_magnitude_loses(pruned):
    _, aps = pruned
    assert aps["reconstructed"] >= max(0.20, aps["magnitude"] + 0.05), aps  # 0.25; the dense network has 0.34


@pytest.mark.long
def test_the_artifact_has_the_pruned_networks_ap(pruned, few):
    folder, _ = pruned
    weights, path = folder / "reconstructed.safetensors", folder / "pose.so"
    with open_device("host") as session:
        network = trace_network(MODEL, weights, sizes=[(368, 280), (368, 656)]).under(Plan.load(folder / "plan.json"))
        manifest = build(network, BuildTarget.of(session)).write(path)
        found = verify(Artifact(path, session), weights, few)
    assert found["ap_reference"] > 0.2
    assert manifest.plan["zeros"] == "given"
    assert abs(found["ap_artifact"] - found["ap_reference"]) <= 0.002


def test_calibration_inputs_are_the_networks_own_kind(shared_dir):
    spec, folders = model_spec(MODEL), [shared_dir / "data/photos_train", shared_dir / "data/photos_more"]
    inputs = calibration_inputs(spec, folders, 6)
    assert inputs.shape == (6, 3, 368, 368)
    assert abs(inputs).max() <= 1
    assert (inputs == calibration_inputs(spec, folders, 6)).all()
    assert (inputs != calibration_inputs(spec, folders, 6, seed=1)).any()
    assert len(find_photographs(folders)) > 2000
    assert torch.from_numpy(inputs).flatten(1).std(dim=1).min() > 0.05, "no photograph is mostly padding"
