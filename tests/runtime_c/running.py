"""Runs packages on this machine's OpenCL by a C program of this folder, with a faulty layer above it on demand."""

from __future__ import annotations

import ctypes.util
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests import opencl
from tests.runtime_c import compiling
from tests.runtime_c.tiny_package import TinyPackage, doubling_package

#: flags of fleetpose.h
EVENTS, NO_SELF_CHECK, RECORD, ANY_DEVICE = 1, 2, 4, 8
#: and what fp_status says
NO_OPENCL, WRONG_DEVICE, DEVICE_ERROR, NO_MEMORY, NOT_A_POSE_NETWORK, WRONG_RESULT = 3, 4, 5, 6, 8, 9


def expected_values(size: int = 32) -> list[float]:
    """The output of `doubling_package` for the input 0, 1/8, 2/8, ..."""
    return [2 * i / 8 + i for i in range(size)]


class Runner:
    """Compiled programs in a folder, made when they are first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.library = str(opencl.INTEL) if opencl.by_pip() else ctypes.util.find_library("OpenCL")
        if self.library is None or not (opencl.INTEL.is_file() or not opencl.by_pip()):
            pytest.skip("needs OpenCL")
        compiling.find_compiler()

    def compile(self, name: str, flags: list[str]) -> Path:
        files = [compiling.HERE / "run_package.c", *compiling.sources(".", "core", "opencl", "pose")]
        return compiling.compile_program(self.folder / name, files, ["-O1", "-D_GNU_SOURCE", *flags])

    @cached_property
    def sanitized(self) -> Path:
        return self.compile("sanitized", compiling.sanitizer_flags(self.folder))

    @cached_property
    def plain(self) -> Path:
        return self.compile("plain", [])

    @cached_property
    def counting(self) -> Path:
        return self.compile(
            "counting", ["-DCOUNT_ALLOCATIONS", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free"]
        )

    @cached_property
    def racing(self) -> Path:
        flags = compiling.sanitizer_flags(self.folder, ["-fsanitize=thread"])
        if not flags:
            pytest.skip("the compiler has no thread sanitizer")
        return self.compile("racing", flags)

    @cached_property
    def layer(self) -> Path:
        return self.compile_layer("faulty_opencl")

    @cached_property
    def recording_layer(self) -> Path:
        return self.compile_layer("recordable_queues")

    def compile_layer(self, name: str) -> Path:
        """A layer of this folder, linked with the library that it stands before."""
        path = Path(self.library or "")
        place = [f"-L{path.parent}", f"-Wl,-rpath,{path.parent}"] if path.is_absolute() else []
        flags = ["-shared", "-fPIC", *place, "-Wl,--no-as-needed", f"-l:{path.name}"]
        return compiling.compile_program(self.folder / f"lib{name}.so", [compiling.HERE / f"{name}.c"], flags)

    def run(
        self, package: TinyPackage, *, flags: int = 0, cache: Path | None = None, runs: int = 1, threads: int = 1,
        faults: str = "", program: Path | None = None, **environment: str,
    ) -> dict[str, Any]:  # fmt: skip
        """What the program prints, by the first word of each line, as a list of lines.

        "values" are lists of numbers; "error" and "status" are there once, or not at all. `faults` (any word will do)
        puts the faulty layer before the library, and counts "launches", "compilations" and "calls" that can fail. Where
        they end the process, it is "ended" and nothing else.
        """
        path = self.folder / "package.fpk"
        path.write_bytes(package.to_bytes())
        settings = {"FLEETPOSE_LIBOPENCL": str(self.layer if faults else self.library or ""), "FAULTS": faults}
        program = program or self.sanitized
        done = compiling.run_program(program, path, flags, cache or "-", runs, threads, **{**settings, **environment})
        if "die:" in faults and done.returncode:
            return {"ended": True}
        assert done.returncode == 0, done.stdout + done.stderr
        return _parse(done.stdout, done.stderr if faults else "")


def _parse(printed: str, counted: str) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for line in printed.splitlines():
        word, _, rest = line.partition(" ")
        answer.setdefault(word, []).append([float(v) for v in rest.split()] if word == "values" else rest)
    if "error" in answer:
        status, _, text = answer["error"][0].partition(" ")
        answer.update(status=int(status), error=text)
    words = counted.split()
    answer.update(
        (word, int(words[words.index(word) + 1])) for word in ("launches", "compilations", "calls") if word in words
    )
    return answer


def is_pocl(runner: Runner) -> bool:
    """Whether this machine's device is PoCL's, which has recorded commands and, on most machines, no half precision."""
    return "Portable Computing Language" in runner.run(doubling_package())["device"][0]
