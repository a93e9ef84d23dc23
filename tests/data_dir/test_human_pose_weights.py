"""The trained weights of human_pose_0001: they load, trace exactly, and see a person where there is one."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.resolve import create_model, model_spec

PARAMS = 4_099_058


@pytest.fixture(scope="module")
def weights(shared_dir):
    return shared_dir / "data/lwop/human_pose_0001.safetensors"


@pytest.fixture(scope="module")
def module(weights):
    return create_model("human_pose_0001", weights)


def test_every_value_of_the_file_is_in_the_module(module, weights):
    from safetensors.torch import load_file

    in_file = np.sort(np.concatenate([tensor.numpy().ravel() for tensor in load_file(weights).values()]))
    in_module = np.sort(np.concatenate([tensor.numpy().ravel() for tensor in module.state_dict().values()]))
    assert in_file.size == PARAMS
    assert np.array_equal(in_file, in_module)


def test_lwop_refuses_the_sisters_weights_and_says_whose_they_are(weights):
    with pytest.raises(UsageError, match=r"does not fit lwop: .*; it fits --model human_pose_0001$"):
        create_model("lwop", weights)


@pytest.mark.long
def test_the_graph_computes_what_torch_does_on_trained_weights(module):
    graph = trace(module, (3, 128, 160), "human_pose_0001")
    assert graph.params == PARAMS
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3, 128, 160))
    with torch.no_grad():
        expected = create_copy_in_double(module)(torch.from_numpy(x))
    for ours, theirs in zip(run_graph(graph, x), expected, strict=True):
        assert np.abs(ours - theirs.numpy()).max() <= 1e-10 * theirs.abs().max().item()


def create_copy_in_double(module):
    import copy

    return copy.deepcopy(module).double()


def test_annotated_noses_are_seen(module, shared_dir):
    """Of the annotated, visible noses of large people, most have a nose heatmap above 0.3 within two cells."""
    folder = shared_dir / "data/photos_val"
    coco = json.loads((folder / "person_keypoints.json").read_text())
    large = [one for one in coco["annotations"] if one["keypoints"][2] == 2 and one["area"] > 128**2][:12]
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    spec = model_spec("human_pose_0001")
    seen = 0
    for one in large:
        image = cv2.imread(str(next(folder.rglob(names[one["image_id"]]))))
        scale = 368 / image.shape[0]
        width = round(image.shape[1] * scale / 8) * 8
        pixels = cv2.resize(image, (width, 368)).astype(np.float32)
        x = (pixels - np.float32(spec.preprocessing.mean)) * np.float32(spec.preprocessing.scale)
        with torch.no_grad():
            heatmaps, _ = module(torch.from_numpy(x.transpose(2, 0, 1)[None].copy()))
        row, column = (int(value * scale / 8) for value in one["keypoints"][1::-1])
        near = heatmaps[0, 0, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        seen += near.numel() > 0 and near.max().item() > 0.3
    assert len(large) >= 8
    assert seen >= 0.75 * len(large), f"{seen} of {len(large)}"
