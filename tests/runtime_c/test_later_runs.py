"""Runs after one that failed: a handle is whole or says what is wrong, however its last run ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import sweep
from tests.runtime_c import compiling
from tests.runtime_c.running import WRONG_RESULT, Runner, expected_values
from tests.runtime_c.test_self_check import with_short_patience, without_spares
from tests.runtime_c.tiny_package import BINARY, PREAMBLE, TinyPackage, doubling_package

NO_SELF_CHECK = 2
SIZES = ((4, 8), (8, 8))


class SizeRunner(Runner):
    """Runs the sizes of a package in an order that the test chooses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        files = [compiling.HERE / "run_sizes.c", *compiling.sources(".", "core", "opencl", "pose")]
        flags = ["-O1", "-D_GNU_SOURCE", *compiling.sanitizer_flags(folder)]
        self.program = compiling.compile_program(folder / "run_sizes", files, flags)

    def runs(
        self, package: TinyPackage, sizes: list[int], flags: int = 0, faults: str = "none", **environment: str
    ) -> tuple[list[list[float] | str], int]:
        """Of each run its values, or its error's status and text; and how many calls of OpenCL could have failed."""
        path = self.folder / "package.fpk"
        path.write_bytes(package.to_bytes())
        settings = {"FLEETPOSE_LIBOPENCL": str(self.layer), "FAULTS": faults, **environment}
        done = compiling.run_program(self.program, path, flags, "-", *sizes, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split(" ", 3) for line in done.stdout.splitlines() if line.startswith("run ")]
        assert [int(words[1]) for words in lines] == sizes
        counted = done.stderr.split()
        calls = int(counted[counted.index("calls") + 1])
        return [_result(done.stdout.splitlines()[at]) for at in range(len(lines))], calls


def _result(line: str) -> list[float] | str:
    _, _, word, rest = line.split(" ", 3)
    return [float(value) for value in rest.split()] if word == "values" else rest


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> SizeRunner:
    return SizeRunner(tmp_path_factory.mktemp("later"))


def with_own_kernel(package: TinyPackage) -> TinyPackage:
    """The last layer of the second size has a kernel of its own, "late", and no second one."""
    late = package.kernel("late", f"__kernel void late{BINARY} {{ y[INDEX] = x[INDEX] + b[INDEX]; }}\n", 3, PREAMBLE)
    step = without_spares(package).records["steps"][-1]
    package.records["launches"][int(step["first_launch"])]["kernel"] = late
    return package


@pytest.mark.parametrize("fault", ["stall", "corrupt", "refuse"])
def test_other_sizes_run_after_one_that_cannot(runner, fault):
    """A kernel that never ends takes its session with it: the next run has a new one, and the last is told again."""
    package = with_short_patience(with_own_kernel(doubling_package(sizes=SIZES)))
    (first, wrong, second, again), _ = runner.runs(package, [0, 1, 0, 1], faults=f"{fault}:late")
    assert (first, second) == (expected_values(), expected_values())
    assert wrong.startswith(f"{WRONG_RESULT} layer biased (direct) is wrong on ")
    assert again == wrong


@pytest.mark.parametrize("flags", [0, NO_SELF_CHECK])
def test_size_runs_after_its_first_run_failed(runner, flags):
    """Each call of OpenCL that a size's first run makes fails once; nothing that was made until then is left half."""
    package = doubling_package(sizes=SIZES)
    _, before = runner.runs(package, [0], flags=flags)
    (_, whole), after = runner.runs(package, [0, 1], flags=flags)
    assert whole == expected_values(64)
    told = 0
    for number in sweep.sample(range(before, after), 6):  # the last call of both is of closing
        (_, failed, again), _ = runner.runs(package, [0, 1, 1], flags=flags, FAIL_CALL=str(number))
        assert again == whole, f"call {number}: {failed}, then {again}"
        told += failed != whole
    assert told
