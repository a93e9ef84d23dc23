"""The functions of fleetpose.h: mistakes of the caller, packages in memory and in the library itself, the lock."""

from __future__ import annotations

import pytest

from tests.runtime_c import compiling
from tests.runtime_c.running import Runner
from tests.runtime_c.tiny_package import doubling_package

OWN = """
#include <stdint.h>
__attribute__((aligned(16384))) const uint8_t fp_own_package[] = {%s};
const uint64_t fp_own_package_bytes = sizeof(fp_own_package);
"""


@pytest.mark.slow
@pytest.mark.parametrize("has_own", [False, True])
def test_mistakes_are_refused(tmp_path, has_own):
    """The C program prints a line for everything that is not as it should be."""
    library = Runner(tmp_path).library
    package, own, folder = tmp_path / "tiny.fpk", tmp_path / "own.c", tmp_path / "folder"
    package.write_bytes(doubling_package().to_bytes())
    folder.mkdir()
    own.write_text(OWN % ",".join(map(str, package.read_bytes())), encoding="utf-8")
    files = [compiling.HERE / "call_functions.c", *compiling.sources(".", "core", "opencl", "pose")]
    flags = [*compiling.sanitizer_flags(tmp_path), "-D_GNU_SOURCE", *(["-DOWN_PACKAGE"] if has_own else [])]
    program = compiling.compile_program(tmp_path / "call", files + [own] * has_own, flags)
    done = compiling.run_program(program, package, folder, FLEETPOSE_LIBOPENCL=str(library))
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_parts_of_the_core(tmp_path):
    """The C program prints a line for everything that is not as it should be."""
    files = [compiling.HERE / "check_parts.c", *compiling.sources("core"), compiling.RUNTIME / "src/opencl/select.c"]
    program = compiling.compile_program(tmp_path / "parts", files, [*compiling.sanitizer_flags(tmp_path), "-O1"])
    done = compiling.run_program(program)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_lock_orders_threads(tmp_path):
    flags = compiling.sanitizer_flags(tmp_path, ["-fsanitize=thread"])
    files = [compiling.HERE / "contend_for_lock.c", *compiling.sources("core")]
    program = compiling.compile_program(tmp_path / "lock", files, [*flags, "-O1"])
    done = compiling.run_program(program)
    assert done.returncode == 0, done.stdout + done.stderr


def test_library_exports_its_interface_alone(tmp_path):
    """Whatever is inside stays inside, so that an app's own names cannot meet it."""
    library = tmp_path / "libfleetpose.so"
    compiling.compile_program(library, compiling.sources(".", "core", "opencl", "pose"), ["-shared", "-fPIC"])
    header = (compiling.RUNTIME / "include" / "fleetpose.h").read_text(encoding="utf-8")
    exported = compiling.dynamic_symbols(library)
    assert exported
    assert all(f" {name}(" in header or f"* {name}(" in header for name in exported), exported
