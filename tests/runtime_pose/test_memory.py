"""After the first frame of a size nothing is allocated, whoever is in the next ones."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from benchmarks.runtime_pose import Picture, PoseLibrary, RuntimePose, compile_pose_library
from benchmarks.synthetic_people import RENDERERS, crowd
from models.preprocess import Placement

COUNTED = ("-Drealloc=fp_counted_realloc", str(Path(__file__).with_name("count_reallocs.c")))
PLACEMENT = Placement((368, 368), (368, 368), (368, 368))


@pytest.fixture(scope="module")
def counting_library(compiler, tmp_path_factory):
    return PoseLibrary(compile_pose_library(tmp_path_factory.mktemp("counting") / "libpose.so", compiler, COUNTED))


def calls_in(library):
    return ctypes.c_uint.in_dll(library.calls, "fp_realloc_calls").value


def frame(name, random, people, noise):
    maps = RENDERERS[name](crowd(random, people, (46, 46)), (46, 46), noise, random)
    return {title: np.ascontiguousarray(values, np.float32) for title, values in maps.items()}


@pytest.mark.parametrize("name", RENDERERS)
def test_decoding_and_following(counting_library, name):
    random = np.random.default_rng(0)
    pose = RuntimePose(counting_library, name)
    pose.place(PLACEMENT)
    before = calls_in(counting_library)
    pose.follow(frame(name, random, 0, 0.0), 0.0)
    after_first = calls_in(counting_library)
    assert after_first > before
    for number, people in enumerate((1, 5, 30, 60, 2), 1):
        maps = frame(name, random, people, 0.02)
        pose.follow(maps, number / 30)
        pose.decode(maps)
    noise = {title: random.normal(0, 1, values.shape).astype(np.float32) for title, values in maps.items()}
    pose.decode(noise)
    assert calls_in(counting_library) == after_first


def test_pictures(counting_library):
    pose = RuntimePose(counting_library, "paf")
    pictures = [
        Picture("BGR", [np.zeros((480, 640, 3), np.uint8)]),
        Picture("RGB", [np.ones((900, 1200, 3), np.uint8)]),
    ]
    for picture in pictures:
        pose.fill(picture, (368, 496))
    calls = calls_in(counting_library)
    for picture in pictures * 2:
        pose.fill(picture, (368, 496))
    assert calls_in(counting_library) == calls
