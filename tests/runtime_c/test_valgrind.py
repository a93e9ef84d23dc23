"""The runtime under valgrind: reads and writes outside of what it has, values never written, memory never given back.

Valgrind sees the driver, too, which may do as it likes here: what counts is what the runtime's own code did last.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks.synthetic_people import RENDERERS
from tests.runtime_c import compiling
from tests.runtime_c.running import EVENTS, RECORD, Runner
from tests.runtime_c.test_people import IMAGE_SIZE, maps_of_crowd, package_of_maps
from tests.runtime_c.tiny_package import doubling_package

pytestmark = pytest.mark.long
WRONG = """
#include <stdlib.h>
static int* volatile kept;
static int read_behind(void) {
  kept = calloc(4, sizeof(int));
  const int behind = kept[4];
  free(kept);
  return behind;
}
static int decide_by(void) {
  int answer = 1;
  kept = malloc(sizeof(int));
  if (*kept > 3) answer = 2;
  free(kept);
  return answer;
}
static void forget(void) {
  kept = malloc(24);
  kept = NULL;
}
int main(void) {
  read_behind();
  decide_by();
  forget();
  return 0;
}
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    if shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")
    return Runner(tmp_path_factory.mktemp("valgrind"))


def faults_of(program: Path, folder: Path, library: str | None, *arguments: object) -> list[str]:
    """What valgrind says of the program's own code, a line each: the kind and the function."""
    report = folder / "report.xml"
    command = ["valgrind", "--leak-check=full", "--xml=yes", f"--xml-file={report}", program, *arguments]
    # kernels are compiled for the processor that valgrind makes believe
    settings = {"FLEETPOSE_LIBOPENCL": str(library or ""), "POCL_CACHE_DIR": str(folder / "pocl")}
    done = subprocess.run([*map(str, command)], env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout, done.stdout
    errors = ElementTree.parse(report).getroot().findall("error")
    own = ((error.findtext("kind"), own_frame(error, program)) for error in errors)
    return [f"{kind} in {frame.findtext('fn')}" for kind, frame in own if frame is not None]


def own_frame(error: ElementTree.Element, program: Path) -> ElementTree.Element | None:
    """The innermost frame of an error but those of valgrind and the C library, where it is the program's."""
    outer = (frame for frame in error.findall("stack[1]/frame") if not is_of_libc(frame.findtext("obj") or ""))
    last = next(outer, None)
    return last if last is not None and last.findtext("obj") == str(program) else None


def is_of_libc(path: str) -> bool:
    return Path(path).name.startswith(("vgpreload", "libc.so", "libm.so", "ld-linux"))


def test_valgrind_sees_what_is_wrong(runner, tmp_path):
    """A read behind an end, a value never written and a leak, each in a function of its own."""
    source = tmp_path / "wrong.c"
    source.write_text(WRONG, encoding="utf-8")
    program = compiling.compile_program(tmp_path / "wrong", [source], ["-O0", "-g"])
    faults = faults_of(program, tmp_path, runner.library)
    assert faults == ["InvalidRead in read_behind", "UninitCondition in decide_by", "Leak_DefinitelyLost in forget"]


@pytest.mark.parametrize("flags", [0, EVENTS, RECORD])
def test_runs_and_checks_are_clean(runner, flags, tmp_path):
    package = tmp_path / "package.fpk"
    package.write_bytes(doubling_package().to_bytes())
    for _ in ("without a cache", "with one"):
        assert faults_of(runner.plain, tmp_path, runner.library, package, flags, tmp_path / "cache", 3, 2) == []


@pytest.mark.parametrize("name", RENDERERS)
def test_people_of_a_video_are_clean(runner, name, tmp_path):
    package = tmp_path / "maps.fpk"
    package.write_bytes(package_of_maps(maps_of_crowd(name, 5), name).to_bytes())
    files = [compiling.HERE / "find_people.c", *compiling.sources(".", "core", "opencl", "pose")]
    program = compiling.compile_program(tmp_path / "find", files, ["-O1", "-g"])
    height, width = IMAGE_SIZE
    assert faults_of(program, tmp_path, runner.library, package, width, height, 3) == []
