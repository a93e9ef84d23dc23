"""From a picture to people by the interface alone: a package whose kernels copy known maps to its outputs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.synthetic_people import RENDERERS, crowd
from models.pose.decoding.decoders import decoder
from models.preprocess import Placement, contained_size
from tests.runtime_c import compiling
from tests.runtime_c.running import NOT_A_POSE_NETWORK, Runner
from tests.runtime_c.tiny_package import BUFFER, CONSTANT, PREAMBLE, TinyPackage, doubling_package

MAP_SIZE, INPUT_SIZE, IMAGE_SIZE = (24, 32), (192, 256), (480, 640)
#: how many the C program asks for
CAPACITY = 3


@pytest.fixture(scope="module")
def find_people(tmp_path_factory):
    """People that the C program prints, as (how many, identities, scores, keypoints of 18 x 3), or its error."""
    folder = tmp_path_factory.mktemp("people")
    library = Runner(folder).library
    files = [compiling.HERE / "find_people.c", *compiling.sources(".", "core", "opencl", "pose")]
    program = compiling.compile_program(folder / "find", files, ["-O1", *compiling.sanitizer_flags(folder)])

    def run(package: TinyPackage, frames: int = 0):
        path = folder / "maps.fpk"
        path.write_bytes(package.to_bytes())
        height, width = IMAGE_SIZE
        done = compiling.run_program(program, path, width, height, frames, FLEETPOSE_LIBOPENCL=str(library))
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        if lines[0][0] == "error":
            return done.stdout
        people = [list(map(float, line[1:])) for line in lines if line[0] == "person"]
        assert [line[1] for line in lines if line[0] == "restarted"] == [lines[0][1]] * (frames > 0)
        return int(lines[0][1]), [(int(row[0]), row[1], np.array(row[2:]).reshape(18, 3)) for row in people]

    return run


def package_of_maps(maps: dict[str, np.ndarray], decoder_name: str) -> TinyPackage:
    """A network of a grey picture whose outputs are these maps whatever it sees."""
    package = TinyPackage()
    body = "(__global const float* x, __global const float* map, __global float* y)"
    kernel = package.kernel("copy", f"__kernel void copy{body} {{ y[INDEX] = map[INDEX] + 0 * x[0]; }}\n", 3, PREAMBLE)
    texts = {"decoder": decoder_name, "preprocessing.channels": "GREY"}
    for name, text in texts.items():
        package.add("settings", name=package.string(name), text=package.string(text), is_text=1)
    for name, number in {"preprocessing.scale": 1 / 256, "preprocessing.mean.0": 128}.items():
        package.add("settings", name=package.string(name), number=number)
    height, width = INPUT_SIZE
    sizes = [4 * height * width, *(4 * values.size for values in maps.values())]
    offsets = np.cumsum([0, *(-(-size // 4096) * 4096 for size in sizes)]).tolist()
    for offset, size in zip(offsets, sizes, strict=False):
        package.add("buffers", offset=offset, bytes=size)
    for number, (name, values) in enumerate(maps.items(), 1):
        constant = package.constant(values.astype(np.float32).tobytes())
        launch = package.launch(kernel, [(BUFFER, 0), (CONSTANT, constant), (BUFFER, number)], values.size)
        channels, rows, columns = values.shape
        package.add("outputs", name=package.string(name), buffer=number, channels=channels, height=rows, width=columns)
        package.add("steps", name=package.string(f"layer {name}"), first_launch=launch, launch_count=1)
    package.add(
        "entries", channels=1, height=height, width=width, output_count=len(maps), buffer_count=len(sizes),
        step_count=len(maps), arena_bytes=offsets[-1],
    )  # fmt: skip
    return package


def maps_of_crowd(name: str, number: int) -> dict[str, np.ndarray]:
    """The outputs of a network that sees so many people, by the name of its decoder."""
    random = np.random.default_rng(number)
    maps = RENDERERS[name](crowd(random, number, MAP_SIZE, 0.0), MAP_SIZE, 0.0, random)
    return {title: np.ascontiguousarray(values, np.float32) for title, values in maps.items()}


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("number", [1, 5])
def test_people_are_those_of_python(find_people, name, number):
    maps = maps_of_crowd(name, number)
    placement = Placement(IMAGE_SIZE, INPUT_SIZE, contained_size(IMAGE_SIZE, INPUT_SIZE))
    expected = decoder(name).decode(maps, placement)
    assert expected
    for frames in (0, 3):
        count, people = find_people(package_of_maps(maps, name), frames)
        assert count == len(expected)
        assert len(people) == min(count, CAPACITY)
        if frames:
            assert len({identity for identity, _, _ in people}) == len(people)
            continue
        for (identity, score, keypoints), person in zip(people, expected, strict=False):
            assert identity == 0
            assert score == pytest.approx(person.score, rel=1e-4)
            np.testing.assert_allclose(keypoints[:, :2], person.keypoints[:, :2], atol=1e-3, equal_nan=True)


def test_network_of_no_people_says_so(find_people):
    answer = find_people(doubling_package())
    assert answer.startswith(f"error {NOT_A_POSE_NETWORK} none decoding is not in this runtime, which has paf, ")
    maps = {"heatmaps": np.zeros((19, *MAP_SIZE)), "unknown": np.zeros((38, *MAP_SIZE))}
    assert "outputs heatmaps and pafs, which are not both there" in find_people(package_of_maps(maps, "paf"))


def test_settings_that_are_none_are_refused(find_people):
    package = package_of_maps({"heatmaps": np.zeros((19, *MAP_SIZE)), "pafs": np.zeros((38, *MAP_SIZE))}, "paf")
    package.add("settings", name=package.string("decoding.samples"), number=0.5)
    assert find_people(package).startswith("error 2 the setting decoding.samples")
