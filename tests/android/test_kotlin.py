"""The library's Kotlin and C at work on this machine's JVM, with a network of known maps; only Android is missing."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from benchmarks.synthetic_people import RENDERERS, crowd
from codegen.building.android_archive import LIBRARY
from codegen.building.shared_library import make_library
from models.pose.decoding.decoders import decoder
from models.preprocess import Placement, contained_size
from tests.android.kotlin import PROJECT, compile_jni, compile_kotlin, find_java
from tests.runtime_c.compiling import HERE as RUNTIME_TESTS
from tests.runtime_c.running import Runner
from tests.runtime_c.test_people import IMAGE_SIZE, INPUT_SIZE, MAP_SIZE, package_of_maps

PROGRAM = RUNTIME_TESTS.parent / "android" / "ShowPeople.kt"


@pytest.fixture(scope="module")
def maps():
    random = np.random.default_rng(1)
    rendered = RENDERERS["paf"](crowd(random, 4, MAP_SIZE, 0.0), MAP_SIZE, 0.0, random)
    return {name: np.ascontiguousarray(values, np.float32) for name, values in rendered.items()}


@pytest.fixture(scope="module")
def printed(maps, tmp_path_factory):
    """Lines that the program prints, by their first word."""
    folder = tmp_path_factory.mktemp("jvm")
    opencl = Runner(folder).library
    package = package_of_maps(maps, "paf").to_bytes()
    (folder / "maps.fpk").write_bytes(package)
    make_library(package, folder / LIBRARY, LIBRARY)
    compile_jni(folder, [folder / LIBRARY])
    sources = sorted((PROJECT / "fleetpose/src/main/kotlin/org/fleetpose").glob("*.kt"))
    pure = [path for path in sources if "import android" not in path.read_text(encoding="utf-8")]
    assert [path.name for path in sources if path not in pure] == ["CameraImages.kt"]
    classes = compile_kotlin([*pure, PROGRAM], folder / "people.jar")
    command = [find_java(), "-Xcheck:jni", f"-Djava.library.path={folder}", "-cp", ":".join(map(str, classes))]
    height, width = IMAGE_SIZE
    command += ["org.fleetpose.tests.ShowPeopleKt", folder / "cache", folder / "maps.fpk", width, height]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env={"FLEETPOSE_LIBOPENCL": str(opencl)}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING in native method" not in done.stdout + done.stderr
    lines: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        lines.setdefault(word, []).append(rest)
    return lines


@pytest.mark.long
def test_people_in_kotlin_are_those_of_python(printed, maps):
    expected = decoder("paf").decode(maps, Placement(IMAGE_SIZE, INPUT_SIZE, contained_size(IMAGE_SIZE, INPUT_SIZE)))
    rows = [np.array(line.split(), np.float64) for line in printed["person"]]
    assert len(rows) == len(expected) > 1
    for row, person in zip(rows, expected, strict=True):
        assert row[0] == pytest.approx(person.score, rel=1e-4)
        np.testing.assert_allclose(row[1:].reshape(18, 3)[:, :2], person.keypoints[:, :2], atol=1e-3, equal_nan=True)


@pytest.mark.long
def test_frames_of_a_camera_are_followed_without_more_room_than_asked_for(printed):
    assert printed["upright"] == ["480 640"]
    assert [line.split()[0] for line in printed["frame"]] == ["3"] * 4
    last = printed["frame"][-1]
    identities = last[last.index("[") + 1 : last.index("]")].split(", ")
    assert len({*identities}) == 3
    assert "0" not in identities
    assert printed["copied"] == ["2 true"]


@pytest.mark.long
def test_network_says_what_it_is(printed):
    height, width = INPUT_SIZE
    assert printed["sizes"] == [f"[({height}, {width})] replaced [] manifest {{}}"]
    assert printed["file"] == [f"[({height}, {width})]"]
    assert printed["device"][0]


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("short", "BAD_ARGUMENT the picture's buffer is not direct, or too short for its size"),
        ("heap", "BAD_ARGUMENT the picture's buffer is not direct, or too short for its size"),
        ("empty", "BAD_ARGUMENT the picture has no pixels"),
        ("closed", "state the network is closed"),
        ("missing", "FILE_ERROR "),
        ("opencl", "NO_OPENCL no usable OpenCL: "),
    ],
)
def test_kotlin_is_told_what_is_wrong(printed, what, said):
    assert printed[what][0].startswith(said)
