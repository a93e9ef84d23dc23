"""The runtime's pose/ under address and undefined-behaviour sanitizers, on maps and pictures of all kinds."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.runtime_pose import FLAGS, INCLUDES, compile_pose_library
from benchmarks.synthetic_people import RENDERERS, crowd, hide
from tests import sweep
from tests.runtime_pose.test_decoding import CHANNELS, KINDS, SIZES

HERE = Path(__file__).parent
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
PICTURES = 9 * 9 * 6 * 4 * 2


@pytest.fixture(scope="module")
def sanitizers(compiler, tmp_path_factory):
    """Flags of sanitizers that work here; none where the compiler comes without their libraries."""
    probe = tmp_path_factory.mktemp("probe") / "probe"
    probe.with_suffix(".c").write_text("int main(void) { return 0; }\n")
    made = subprocess.run([*compiler, *SANITIZERS, str(probe.with_suffix(".c")), "-o", str(probe)], capture_output=True)
    if made.returncode or subprocess.run([str(probe)], capture_output=True).returncode:
        pytest.skip("the compiler has no address sanitizer")
    return SANITIZERS


@pytest.fixture(scope="module")
def run(compiler, sanitizers, tmp_path_factory):
    """Compiles a C file of this folder with the runtime, runs it, and answers what it prints."""
    folder = tmp_path_factory.mktemp("sanitized")
    library = compile_pose_library(folder / "libpose.so", compiler, sanitizers)

    def compiled(name, *arguments):
        program = folder / name
        command = [*compiler, *FLAGS, *INCLUDES, *sanitizers, str(HERE / f"{name}.c"), str(library), "-lm"]
        subprocess.run([*command, f"-Wl,-rpath,{folder}", "-o", str(program)], check=True)
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return compiled


def write_case(file, name, maps, image_size=(90, 70), size=(368, 368)):
    file.write(" ".join(map(str, [name, len(maps), *image_size, *size])).encode() + b"\n")
    for title, values in maps.items():
        file.write(" ".join(map(str, [title, *values.shape])).encode() + b"\n")
        file.write(values.astype("<f4").tobytes() + b"\n")


def damaged(random, maps):
    """One output with a value that no network should answer, or of another size."""
    title = random.choice(list(maps))
    if random.random() < 0.3:
        return {**maps, title: maps[title][:, :, : max(1, maps[title].shape[2] - 1)]}
    values = maps[title].copy()
    values.flat[random.integers(values.size)] = random.choice([np.nan, np.inf, -np.inf, 1e7, -1e30])
    return {**maps, title: values}


@pytest.mark.long
def test_maps(run, tmp_path):
    random, count = np.random.default_rng(0), 0
    with (tmp_path / "cases").open("wb") as file:
        for name, channels in CHANNELS.items():
            for kind in KINDS:
                for size in sweep.sample(SIZES):
                    maps = {title: kind(random, (number, *size)) for title, number in channels.items()}
                    for case in (maps, damaged(random, maps)):
                        write_case(file, name, case, size=(8 * size[0], 8 * size[1]))
                        count += 1
            for number in (1, 8, 60):
                people = hide(random, crowd(random, number, (46, 46), 0.3), 0.1)
                write_case(file, name, RENDERERS[name](people, (46, 46), 0.05, random))
                count += 1
    lines = run("decode_maps", str(tmp_path / "cases")).splitlines()
    assert len(lines) == count
    statuses = [int(line.split()[0]) for line in lines]
    assert set(statuses) == {0, 1}
    assert statuses.count(0) > count / 2


@pytest.mark.slow
def test_pictures(run):
    assert run("fill_inputs").split() == [str(PICTURES)]
