"""What a phone would be given, run: the library and an executable for Android's arm64, emulated, on PoCL for arm64.

Another processor, another compiler of kernels, other vectors: people have to be those that Python finds.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic_people import RENDERERS, crowd
from codegen.building.android_archive import HOST, LIBRARY
from codegen.building.package import build_package
from codegen.building.shared_library import make_library
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.tuning.database import load_tuned
from devices.profile import load_profile
from models.pose.decoding.decoders import decoder
from models.preprocess import Placement, contained_size, fit, read_image
from models.resolve import create_model, model_spec
from tests.arm64.linking import link_executable
from tests.arm64.machine import EmulatedMachine
from tests.runtime_c.test_people import IMAGE_SIZE, INPUT_SIZE, MAP_SIZE, package_of_maps

HERE = Path(__file__).parent
MODEL, SIZE = "human_pose_0001", (128, 128)
#: in which the network finds people at that size, two to six in each
PHOTOGRAPHS = ("000000192699", "000000197388", "000000350679", "000000434204", "000000488673")
MOST_PIXELS = 0.5

pytestmark = pytest.mark.long


class App:
    """A library with a package inside, and the executable that is linked with it."""

    def __init__(self, folder: Path, package: bytes, machine: EmulatedMachine) -> None:
        self.folder, self.machine = folder, machine
        make_library(package, folder / LIBRARY, LIBRARY, HOST)
        self.program = link_executable(HERE / "show_people.c", folder / LIBRARY, folder / "show_people")

    def run(self, *arguments: object, **environment: str):
        cache = Path(os.environ.get("POCL_CACHE_DIR", self.machine.folder / "kernels")).absolute()
        return self.machine.run(self.program, *arguments, libraries=self.folder, cache=cache, **environment)

    def people(self, *images: np.ndarray, cache: Path | str = "-") -> list[list[np.ndarray]]:
        """Of each image its people, each a score and 18 x (x, y, score), flat."""
        given: list[object] = [cache]
        for number, image in enumerate(images):
            (self.folder / f"{number}.bgr").write_bytes(image.tobytes())
            given += [self.folder / f"{number}.bgr", image.shape[1], image.shape[0]]
        done = self.run(*given)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].startswith("device ")
        pictures: list[list[np.ndarray]] = []
        counts = []
        for line in lines[1:]:
            word, _, rest = line.partition(" ")
            if word == "people":
                pictures.append([])
                counts.append(int(rest))
            else:
                pictures[-1].append(np.array(line.split(), np.float64))
        assert counts == [len(people) for people in pictures]
        return pictures


@pytest.fixture(scope="module")
def known_maps():
    random = np.random.default_rng(3)
    maps = RENDERERS["paf"](crowd(random, 5, MAP_SIZE, 0.0), MAP_SIZE, 0.0, random)
    return {name: np.ascontiguousarray(values, np.float32) for name, values in maps.items()}


@pytest.fixture(scope="module")
def app_of_maps(known_maps, emulated, tmp_path_factory):
    """An app whose network answers known maps whatever it sees, by one kernel."""
    package = package_of_maps(known_maps, "paf").to_bytes()
    return App(tmp_path_factory.mktemp("maps"), package, emulated)


def assert_same_people(found: list[np.ndarray], expected, most_pixels: float) -> float:
    """The same people, whatever their order; answers how far a keypoint is off at most."""
    assert len(found) == len(expected)
    keypoints = [row[1:].reshape(18, 3) for row in found]
    worst = 0.0
    for person in expected:
        wanted = np.where(person.keypoints[:, 2:] > 0, person.keypoints[:, :2], np.nan)
        shifts = [_shift(own[:, :2], wanted) for own in keypoints]
        nearest = int(np.argmin(shifts))
        worst = max(worst, shifts[nearest])
        keypoints.pop(nearest)
    assert worst <= most_pixels
    return worst


def _shift(own: np.ndarray, wanted: np.ndarray) -> float:
    """The longest way between the same keypoints; infinite where they are not of the same parts."""
    if not np.array_equal(np.isnan(own), np.isnan(wanted)):
        return np.inf
    return float(np.nanmax(np.hypot(*(own - wanted).T)))


def test_known_maps_give_pythons_people(app_of_maps, known_maps, tmp_path):
    image = np.zeros((*IMAGE_SIZE, 3), np.uint8)
    placement = Placement(IMAGE_SIZE, INPUT_SIZE, contained_size(IMAGE_SIZE, INPUT_SIZE))
    expected = decoder("paf").decode(known_maps, placement)
    assert len(expected) > 1
    for _ in range(2):  # the second start takes its kernel from the cache
        (people,) = app_of_maps.people(image, cache=tmp_path)
        assert_same_people(people, expected, 1e-3)
        assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "said"),
    [("/no/libOpenCL.so", "open: no usable OpenCL: /no/libOpenCL.so"), ("libm.so", "open: no usable OpenCL: libm.so")],
)
def test_machine_without_opencl_is_told(app_of_maps, path, said):
    done = app_of_maps.run("-", FLEETPOSE_LIBOPENCL=path)
    assert done.returncode == 1
    assert done.stdout.startswith(said)
    assert done.stdout.count("\n") == 1


def test_damaged_package_inside_a_library_is_refused(known_maps, emulated, tmp_path):
    package = bytearray(package_of_maps(known_maps, "paf").to_bytes())
    package[len(package) // 2] ^= 1
    done = App(tmp_path, bytes(package), emulated).run("-")
    assert done.returncode == 1
    assert done.stdout.startswith("open: ")
    assert "damaged" in done.stdout


def test_people_of_photographs_are_those_of_python(emulated, shared_dir, tmp_path):
    import torch

    weights = shared_dir / "data/lwop/human_pose_0001.safetensors"
    profile = load_profile(str(HERE / "cpu-arm64.toml"))
    network = trace_network(MODEL, weights, 0, [SIZE])
    built = build_package(network, BuildTarget(profile), load_tuned(profile, "none"))
    images = [read_image(shared_dir / f"data/photos_val/images/{name}.jpg") for name in PHOTOGRAPHS]
    found = App(tmp_path, built.content, emulated).people(*images)
    module = create_model(MODEL, weights=weights)
    for name, image, people in zip(PHOTOGRAPHS, images, found, strict=True):
        tensor, placement = fit(image, SIZE, model_spec(MODEL).preprocessing)
        with torch.inference_mode():
            heatmaps, pafs = (np.ascontiguousarray(maps[0].numpy()) for maps in module(torch.from_numpy(tensor))[-2:])
        expected = decoder("paf").decode({"heatmaps": heatmaps, "pafs": pafs}, placement)
        assert expected
        worst = assert_same_people(people, expected, MOST_PIXELS)
        print(f"{name}: {len(people)} people, keypoints within {worst:.2g} pixels")
