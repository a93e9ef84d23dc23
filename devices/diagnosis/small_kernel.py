"""A kernel small enough to check a device with: B = A applied `steps` times to 2 x + 1, over 1000 elements.

Written in TVM's TIR and linked without a compiler, so that building it checks TVM's OpenCL code generation and the
linker. Importing this module imports TVM with its compiler.
"""
# mypy: disable-error-code="valid-type"

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.script import ir as I
from tvm.script import tirx as T

from devices.info import PACKAGE
from devices.rpc_session import SUFFIXES
from fleetpose.disk.memory_files import MemoryFiles
from fleetpose.disk.refusals import full_disk_in, write_error
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import unknown_name
from runtime import package_format
from runtime.package_format import RECORDS, Strings, write_package

LENGTH = 1000
LANES = 64
TRIPLES = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
EMULATIONS = {"x86_64": "elf_x86_64", "aarch64": "aarch64linux"}
#: what TVM writes to be linked
OBJECTS = ("lib0.o", "devc.o")


def build(path: Path, steps: int = 1, machine: str | None = None) -> Path:
    """Compile the kernel for any OpenCL device, into the shared object, or the package (*.fpk), `path`.

    Args:
        path: where to write it.
        steps: times the formula is applied; 1 << 40 is a kernel that never ends.
        machine: the processor of the machine that loads it, "x86_64" or "aarch64"; None: this one's.

    Raises:
        UsageError: no code can be made for `machine`.
        RuntimeError: the linker failed.
    """
    machine = (machine or platform.machine()).lower()
    if machine not in TRIPLES:
        raise unknown_name("machine", machine, TRIPLES)

    @I.ir_module(s_tir=True)
    class Small:
        @T.prim_func(s_tir=True)
        def main(A: T.Buffer((LENGTH,), "float32"), B: T.Buffer((LENGTH,), "float32")):  # type: ignore[no-untyped-def]
            T.func_attr({"tirx.noalias": True})
            for block in T.thread_binding((LENGTH + LANES - 1) // LANES, thread="blockIdx.x"):
                for thread in T.thread_binding(LANES, thread="threadIdx.x"):
                    for step in range(T.int64(steps)):
                        with T.sblock("B"):
                            i = T.axis.spatial(LENGTH, block * LANES + thread)
                            T.axis.reduce(T.int64(steps), step)
                            T.where(block * LANES + thread < LENGTH)
                            with T.init():
                                B[i] = A[i]
                            B[i] = B[i] * T.float32(2) + T.float32(1)

    target = tvm.target.Target(
        {"kind": "opencl", "max_threads_per_block": LANES}, host={"kind": "llvm", "mtriple": TRIPLES[machine]}
    )
    module = tvm.tirx.build(Small, target=target)
    if path.suffix in SUFFIXES[PACKAGE]:
        path.write_bytes(_package(module.imports[0].inspect_source()))
        return path
    link = linker(machine)
    with WorkFolder() as workspace, MemoryFiles(workspace, OBJECTS) as written:

        def store_and_link(output: str, files: list[str], **_: Any) -> None:
            written.store()
            link(output, files)

        module.export_library(str(path), workspace_dir=str(workspace), fcompile=store_and_link)
    return path


def _package(source: str) -> bytes:
    """The kernel of an OpenCL text as a package: a function "main" of two buffers."""
    strings = Strings()
    name, head = re.findall(r"__kernel void (\w+)\(([^)]*)\)", source)[-1]
    order = [0 if re.search(r"\bA\w*$", part.strip()) else 1 for part in head.split(",")]
    text = source.encode()
    items = -(-LENGTH // LANES) * LANES
    rows: dict[int, list[tuple[Any, ...]]] = {
        package_format.KERNELS: [(strings.add(name), 0, 0, 0, len(text), 2)],
        package_format.BUFFERS: [(0, 4 * LENGTH)] * 2,
        package_format.LAUNCHES: [(0, 0, 1, items, 1, 1, LANES, 1, 1, 0)],
        package_format.ARGUMENTS: [(package_format.BUFFER_ARGUMENT, number) for number in order],
        package_format.FUNCTIONS: [(strings.add("main"), 2, 0, 2, 0, 1, 0)],
    }
    tables = {kind: package_format.records(record, rows.get(kind, [])) for kind, record in RECORDS.items()}
    texts = {package_format.STRINGS: bytes(strings.content), package_format.MANIFEST: b"{}\0"}
    return write_package({**tables, **texts, package_format.SOURCES: text, package_format.WEIGHTS: b""})


def linker(machine: str | None = None) -> Any:
    """What `export_library` calls to link object files for `machine` (None: this one): pip's lld (`ziglang`)."""
    emulation = EMULATIONS[machine or platform.machine()]

    def link(output: str, files: list[str], **_: Any) -> None:
        command = [sys.executable, "-m", "ziglang", "ld.lld", "-shared", "-m", emulation, "-o", output, *files]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if full := full_disk_in(done.stderr):
            raise write_error(output, full)
        if done.returncode:
            raise RuntimeError(f"ld.lld failed: {done.stderr.strip()[-500:]}")

    setattr(link, "object_format", "o")  # noqa: B010  (export_library asks for it)
    return link


def suffix_of(session: Any) -> str:
    """How files that a session loads are called."""
    return SUFFIXES[session.loads][0]


def machine_of(session: Any) -> str:
    """The processor behind `session`, as its server says; a server that cannot say is taken for a phone's."""
    return (session.ask("fleetpose.conditions") or {}).get("machine", "aarch64")


def error_on(session: Any, module: Any, steps: int = 1) -> float:
    """Run the loaded kernel in `session`; the largest absolute difference from NumPy."""
    given = np.linspace(-3, 3, LENGTH, dtype=np.float32)
    source = tvm.runtime.tensor(given, device=session.device)
    result = tvm.runtime.tensor(np.full(LENGTH, np.nan, dtype=np.float32), device=session.device)
    module["main"](source, result)
    expected = given
    for _ in range(steps):
        expected = expected * 2 + 1
    return float(np.abs(result.numpy() - expected).max())
