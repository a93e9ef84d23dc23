"""Real photographs through trained weights: the runtime's inputs, maps to people, and videos of them (../shared)."""

from functools import cache

import numpy as np
import pytest

from benchmarks.runtime_pose import Picture, RuntimePose
from models.pose.decoding.paf import decode
from models.preprocess import Placement, fit, free_size, read_image
from models.resolve import create_model, model_spec
from tests import sweep
from tests.runtime_pose.comparing import assert_same_people

MODEL = "human_pose_0001"


@pytest.fixture(scope="module")
def maps_of(shared_dir):
    """A path of a photograph -> its maps by name, and where it lies in the input."""
    import torch

    network = create_model(MODEL, weights=shared_dir / "data/lwop/human_pose_0001.safetensors")

    @cache
    def run(path):
        image = read_image(path)
        tensor, placement = fit(image, free_size(image.shape[:2]), model_spec(MODEL).preprocessing)
        with torch.inference_mode():
            heatmaps, pafs = (np.ascontiguousarray(maps[0].numpy()) for maps in network(torch.from_numpy(tensor))[-2:])
        return {"heatmaps": heatmaps, "pafs": pafs}, placement

    return run


@pytest.fixture(scope="module")
def photographs(shared_dir):
    return sweep.sample(sorted((shared_dir / "data/photos_val/images").glob("*.jpg")), 5)


@pytest.mark.slow
def test_people_of_photographs(library, maps_of, photographs):
    pose, number = RuntimePose(library, "paf"), 0
    for path in photographs:
        maps, placement = maps_of(path)
        pose.place(placement)
        expected = decode(maps["heatmaps"], maps["pafs"], placement)
        assert_same_people(expected, pose.decode(maps))
        number += len(expected)
    assert number >= len(photographs)


@pytest.mark.slow
def test_people_of_shifted_and_of_smaller_maps(library, maps_of, photographs):
    """Parts of maps cut people at the border; every second cell makes peaks sharp."""
    pose = RuntimePose(library, "paf")
    for path in photographs:
        maps, _ = maps_of(path)
        for cut in (np.s_[:, 5:, 3:], np.s_[:, :-7, :-9], np.s_[:, ::2, ::2]):
            part = {title: np.ascontiguousarray(values[cut]) for title, values in maps.items()}
            size = tuple(8 * side for side in part["pafs"].shape[1:])
            placement = Placement(size, size, size)
            pose.place(placement)
            assert_same_people(decode(part["heatmaps"], part["pafs"], placement), pose.decode(part))


def test_inputs_of_photographs(library, plain_opencv, photographs):
    preprocessing = model_spec(MODEL).preprocessing
    pose = RuntimePose(library, "paf", preprocessing)
    for path in photographs:
        image = read_image(path)
        for size in (free_size(image.shape[:2]), (256, 256), (160, 320), (800, 800)):
            expected, _ = fit(image, size, preprocessing)
            gap = np.abs(pose.fill(Picture("BGR", [image]), size) - expected)
            # OpenCV's vectors and the last columns, which fill none, round a half to different sides.
            assert gap.max() < 1.01 / 255
            assert (gap > 0.5 / 255).mean() < 1e-5
