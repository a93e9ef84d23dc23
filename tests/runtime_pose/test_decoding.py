"""Maps to people: the runtime against `models.pose.decoding` on crowds, noise, plateaus, borders."""

from itertools import product

import cv2
import numpy as np
import pytest

from benchmarks.runtime_pose import RuntimePose
from benchmarks.synthetic_people import RENDERERS, crowd, hide
from codegen.packaging.settings import numbers_of
from models.pose.decoding.decoders import Decoding, decoder, decoder_for
from models.pose.decoding.embedding import EmbeddingSettings
from models.pose.decoding.paf import PafSettings
from models.pose.decoding.regression import RegressionSettings
from models.preprocess import Placement, contained_size
from tests import sweep
from tests.runtime_pose.comparing import assert_same_people

CHANNELS = {
    "paf": {"heatmaps": 19, "pafs": 38},
    "associative_embedding": {"heatmaps": 17, "tags": 17},
    "keypoint_regression": {"centres": 1, "offsets": 34, "heatmaps": 17},
}


def placed(random, map_size):
    """A picture of some size in the input of these maps."""
    image_size, input_size = tuple(random.integers(1, 2000, 2).tolist()), (8 * map_size[0], 8 * map_size[1])
    return Placement(image_size, input_size, contained_size(image_size, input_size))


def compare(library, name, maps, placement, **tolerance):
    pose = RuntimePose(library, name)
    pose.place(placement)
    maps = {title: np.ascontiguousarray(values, np.float32) for title, values in maps.items()}
    people = decoder(name).decode(maps, placement)
    assert_same_people(people, pose.decode(maps), **tolerance)
    return people


@sweep.part(16)
@pytest.mark.parametrize(
    ("name", "number", "noise", "overlap"),
    list(product(RENDERERS, [1, 2, 3, 5, 9, 14, 20, 30, 43, 60], [0.0, 0.02, 0.1], [0.0, 0.4])),
)
def test_crowd(library, plain_opencv, name, number, noise, overlap):
    random = np.random.default_rng([number, int(100 * noise)])
    map_size = (46, 46) if number % 2 else (46, 82)
    people = hide(random, crowd(random, number, map_size, overlap), 0.1 if noise else 0)
    maps = RENDERERS[name](people, map_size, noise, random)
    assert compare(library, name, maps, placed(random, map_size))


def noise(random, shape):
    return random.normal(0, 1, shape)


def uniform(random, shape):
    return random.uniform(0, 1, shape)


def faint(random, shape):
    return random.normal(0, 0.1, shape)


def smooth(random, shape):
    return np.stack([cv2.GaussianBlur(channel, (0, 0), 1.5) * 4 for channel in noise(random, shape)])


def sparse(random, shape):
    return np.where(random.random(shape) < 0.02, 1.0, 0.0)


def constant(random, shape):
    return np.full(shape, random.choice([0.0, 0.5, 1.0, -1.0]))


def one_cell(random, shape):
    maps = np.zeros(shape)
    maps[:, random.choice([0, shape[1] - 1]), random.choice([0, shape[2] - 1])] = 1
    return maps


def steps(random, shape):
    return np.round(4 * random.uniform(-0.2, 1, shape)) / 4


def plateaus(random, shape):
    return np.clip(smooth(random, shape), 0, 1)


KINDS = [noise, uniform, faint, smooth, sparse, constant, one_cell, steps, plateaus]
SIZES = [(46, 46), (1, 1), (1, 9), (7, 1), (2, 3), (5, 40), (33, 21), (64, 90)]


def quiet_border(maps):
    """Two cells of 0 around. Peaks that noise leaves in corners lie in the same place on all maps, and whether a limb
    points from one to the other is then decided by the last digit."""
    inside = np.zeros_like(maps)
    inside[:, 2:-2, 2:-2] = maps[:, 2:-2, 2:-2]
    return inside


def decided(name, kind, size):
    """Whether rounding has no part in what is found.

    PAF's peaks are at the best of 64 places of a cell: where all along a line are equal, as in maps one cell wide or
    between equal cells, the last digits choose.
    """
    if name == "paf":
        return kind not in {steps, plateaus} and (kind in {sparse, constant, one_cell} or min(size) > 4)
    return True


@sweep.part(40)
@pytest.mark.parametrize(("name", "kind", "size", "seed"), list(product(CHANNELS, KINDS, SIZES, range(3))))
def test_random_maps(library, plain_opencv, name, kind, size, seed):
    random = np.random.default_rng([seed, *size])
    placement = placed(random, size)
    maps = {title: kind(random, (channels, *size)) for title, channels in CHANNELS[name].items()}
    if name == "keypoint_regression" and seed == 0:
        del maps["heatmaps"]
    if name == "paf" and kind in {noise, uniform, faint, smooth}:
        maps = {title: quiet_border(values) for title, values in maps.items()}
    if decided(name, kind, size):
        compare(library, name, maps, placement)
    else:
        pose = RuntimePose(library, name)
        pose.place(placement)
        people = pose.decode({title: values.astype(np.float32) for title, values in maps.items()})
        assert all(np.isfinite(person.keypoints[person.found]).all() for person in people)


def test_constant_maps_have_nobody(library):
    random = np.random.default_rng(0)
    for name, channels in CHANNELS.items():
        maps = {title: np.full((count, 12, 20), 0.7) for title, count in channels.items()}
        assert compare(library, name, maps, placed(random, (12, 20))) == []


@pytest.mark.parametrize("numbers", [1, 2, 5])
@pytest.mark.parametrize("tag_size", [(46, 46), (23, 30), (92, 92)])
def test_tags_of_several_numbers_and_of_another_size(library, plain_opencv, numbers, tag_size):
    random = np.random.default_rng(numbers)
    people = hide(random, crowd(random, 7, (46, 46)), 0.2)
    maps = RENDERERS["associative_embedding"](people, (46, 46), 0.02, random)
    tags = [cv2.resize(channel, tag_size[::-1], interpolation=cv2.INTER_NEAREST) for channel in maps["tags"]]
    maps["tags"] = np.stack([np.stack([(number + 1) * tag for number in range(numbers)]) for tag in tags])
    assert compare(library, "associative_embedding", maps, placed(random, (46, 46)))


SETTINGS = [
    ("paf", PafSettings(peak_threshold=0.3)),
    ("paf", PafSettings(peak_threshold=-0.1)),
    ("paf", PafSettings(radius=3.0)),
    ("paf", PafSettings(samples=1)),
    ("paf", PafSettings(samples=37, counted_share=0.5)),
    ("paf", PafSettings(counted_share=1.0)),
    ("paf", PafSettings(counted_share=0.0, sample_threshold=0.3)),
    ("paf", PafSettings(least_keypoints=12, least_score=0.9)),
    ("paf", PafSettings(most_peaks=4)),
    ("associative_embedding", EmbeddingSettings(kernel=11, peak_threshold=0.4)),
    ("associative_embedding", EmbeddingSettings(most_people=3)),
    ("associative_embedding", EmbeddingSettings(tag_threshold=0.05)),
    ("associative_embedding", EmbeddingSettings(refine=False, least_keypoints=1)),
    ("keypoint_regression", RegressionSettings(kernels=((60, 9), (0, 5)))),
    ("keypoint_regression", RegressionSettings(centre_threshold=0.5, most_people=5)),
    ("keypoint_regression", RegressionSettings(near=0.4, same_joints=3)),
]


def test_names_of_settings_in_tuples():
    numbers = numbers_of("decoding", RegressionSettings(kernels=((60, 9), (0, 5))))
    assert {name: value for name, value in numbers.items() if "kernels" in name} == {
        "decoding.kernels.0.0": 60, "decoding.kernels.0.1": 9, "decoding.kernels.1.0": 0, "decoding.kernels.1.1": 5,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=lambda value: str(value)[:60])
def test_settings(library, plain_opencv, name, settings):
    random = np.random.default_rng(9)
    maps = RENDERERS[name](hide(random, crowd(random, 12, (46, 62), 0.2), 0.1), (46, 62), 0.03, random)
    maps = {title: values.astype(np.float32) for title, values in maps.items()}
    placement = placed(random, (46, 62))
    described = decoder_for(maps, Decoding(settings=vars(settings)))
    pose = RuntimePose(library, name, settings=numbers_of("decoding", settings))
    pose.place(placement)
    assert_same_people(described.decode(maps, placement), pose.decode(maps))
