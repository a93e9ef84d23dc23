"""A pan over a photograph with trained weights: the same people in all frames, steadier when smoothed."""

import cv2
import numpy as np
import pytest

from codegen.artifact.follow import follow
from codegen.artifact.loaded import Artifact
from codegen.artifact.video import Frame
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from devices import open_device
from models.preprocess import read_image

PHOTOGRAPH, FRAMES = "000000252219.jpg", 24


def pan(image):
    """The photograph under a camera that sways once and hisses."""
    random = np.random.default_rng(0)
    for number in range(FRAMES):
        turn = 2 * np.pi * number / FRAMES
        moved = np.array([[1, 0, 20 * np.sin(turn)], [0, 1, 6 * np.cos(turn)]], float)
        frame = cv2.warpAffine(image, moved, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT).astype(float)
        noisy = np.clip(frame + random.normal(0, 8, frame.shape), 0, 255).astype(np.uint8)
        yield moved[:, 2], Frame(number, number / 25, noisy)


@pytest.fixture(scope="module")
def followed(shared_dir, tmp_path_factory):
    """{smooth: list of (camera's shift, Followed)}"""
    weights, path = shared_dir / "data/lwop/human_pose_0001.safetensors", tmp_path_factory.mktemp("pan") / "pose.so"
    shifts, frames = zip(*pan(read_image(shared_dir / "data/photos_val/images" / PHOTOGRAPH)), strict=True)
    with open_device("host") as session:
        network = trace_network("human_pose_0001", weights, sizes=[(256, 384)])
        build(network, BuildTarget.of(session)).write(path)
        artifact = Artifact(path, session)
        return {smooth: list(zip(shifts, follow(artifact, frames, smooth), strict=True)) for smooth in (False, True)}


def places(followed):
    """identity -> (frames, 18, 2) in the photograph's pixels: the camera's shift is taken off."""
    found = {}
    for shift, one in followed:
        for person in one.people:
            if person.identity is not None:
                found.setdefault(person.identity, []).append(person.keypoints[:, :2] - shift)
    return {identity: np.array(each) for identity, each in found.items() if len(each) > FRAMES // 2}


@pytest.mark.long
def test_follow_keeps_one_identity_for_everyone(followed):
    found = places(followed[False])
    assert sorted(found) == [1, 2, 3]
    for each in found.values():
        assert len(each) == FRAMES
        neck = each[:, 1]
        assert np.ptp(neck, axis=0).max() < 15


@pytest.mark.long
def test_follow_smoothing_takes_jitter_away(followed):
    """Second differences: of the pan itself they are at most 1.4 pixels."""

    def jitter(each):
        return np.nanmean(np.abs(np.diff(each, n=2, axis=0)))

    plain, smooth = (np.mean([jitter(each) for each in places(followed[key]).values()]) for key in (False, True))
    assert smooth < 0.7 * plain
