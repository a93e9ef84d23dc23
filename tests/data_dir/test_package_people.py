"""A trained network as a package: the people that the C runtime finds in photographs are those that Python finds."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import find_people
from codegen.building.build import build
from codegen.building.package import build_package
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from devices import open_device
from models.pose.person import Person
from models.pose.tracking.track import Tracker
from models.preprocess import read_image
from runtime.package import Package, PackageOptions
from tests import sweep

SIZES = [(184, 184), (184, 248)] if sweep.EVERYTHING else [(184, 216)]
#: pixels that a keypoint may be off: what differs is the last bits of float32 results
CLOSE = 1e-3


@pytest.fixture(scope="module")
def folder(shared_dir, tmp_path_factory):
    """A folder with a trained network as an artifact and as a package."""
    folder = tmp_path_factory.mktemp("people")
    network = trace_network("human_pose_0001", shared_dir / "data/lwop/human_pose_0001.safetensors", sizes=SIZES)
    with open_device("host") as session:
        target = BuildTarget.of(session)
    build(network, target).write(folder / "pose.so")
    build_package(network, target).write(folder / "pose.fpk")
    return folder


@pytest.fixture(scope="module")
def photographs(shared_dir):
    return sorted((shared_dir / "data/photos_val").rglob("*.jpg"))[: 12 if sweep.EVERYTHING else 5]


@pytest.fixture
def package(folder):
    with Package(folder / "pose.fpk", PackageOptions(cache=str(folder / "cache"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def wanted(folder, photographs):
    """The people that Python finds, for each photograph."""
    with open_device("host") as session:
        artifact = Artifact(folder / "pose.so", session)
        return [find_people(artifact, read_image(path), decodes=1).people for path in photographs]


@pytest.fixture(scope="module")
def crowded(wanted):
    """The number of the photograph with the most people."""
    return max(range(len(wanted)), key=lambda number: len(wanted[number]))


def test_people_in_photographs_are_pythons(package, photographs, wanted):
    for path, people in zip(photographs, wanted, strict=True):
        given = package.people(read_image(path))
        assert len(given) == len(people), path.name
        for person, other in zip(given, people, strict=True):
            np.testing.assert_allclose(person.keypoints, other.keypoints, atol=CLOSE, err_msg=path.name)
            assert person.score == pytest.approx(other.score, rel=1e-4)
            assert person.identity == 0
    assert sum(map(len, wanted)) > 4


def test_pictures_of_other_formats_have_the_same_people(package, photographs, wanted, crowded):
    image = read_image(photographs[crowded])
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    turned = np.ascontiguousarray(np.rot90(image))  # a quarter turn to the left, which one to the right undoes
    for picture, turns in ((np.concatenate([image, alpha], axis=2), 0), (image[:, ::1], 0), (turned, 1)):
        given = package.people(picture, turns=turns)
        assert len(given) == len(wanted[crowded])
        for person, other in zip(given, wanted[crowded], strict=True):
            np.testing.assert_allclose(person.keypoints, other.keypoints, atol=CLOSE)


def test_people_keep_their_identities_through_a_video(package, photographs, crowded):
    image = read_image(photographs[crowded])
    frames = [np.roll(image, 3 * number, axis=1) for number in range(6)]
    tracker, seen = Tracker(), []
    for number, frame in enumerate(frames):
        tracked = package.people(frame, secs=number / 15)
        alone = package_people_of(package, frame)
        expected = tracker.update(alone, number / 15)
        assert [person.identity for person in tracked] == [person.identity or 0 for person in expected]
        seen += [person.identity for person in tracked if person.identity]
    assert seen
    package.restart()
    anew = [person.identity for person in package.people(image, secs=0.0) if person.identity]
    assert sorted(anew) == list(range(1, len(anew) + 1))


def package_people_of(package, frame):
    """People of one picture as the tracker takes them."""
    return [Person(person.keypoints.astype(np.float64), person.score) for person in package.people(frame)]


def test_starting_loads_no_compiler_and_finds_people(folder, photographs, wanted, crowded):
    program = (
        "import json, sys, fleetpose, numpy as np\n"
        f"package = fleetpose.Package({str(folder / 'pose.fpk')!r})\n"
        "image = np.load(sys.argv[1])\n"
        "print(json.dumps([len(package.people(image)), sorted({'torch', 'tvm', 'cv2'} & set(sys.modules))]))\n"
    )
    np.save(folder / "image.npy", read_image(photographs[crowded]))
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "image.npy")], capture_output=True, text=True, check=True
    )
    count, loaded = json.loads(done.stdout)
    assert count == len(wanted[crowded]) > 0
    assert loaded == []
