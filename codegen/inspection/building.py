"""Kernels through a compiler, many in one process, since the first one of a process is what takes longest.

A compiler that crashes costs the kernel at hand alone: the rest goes to another process.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codegen.inspection.chips import Chip
from codegen.inspection.compilers import ADRENO_TREE, Compilers
from codegen.inspection.sources import KernelSource
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import FleetposeError

#: most letters of what a compiler says of one kernel; the longest seen has a tenth of them
MOST_SAID = 64 << 20


class CompilerError(FleetposeError):
    """A compiler does not start at all; the text has what it said."""

    exit_status = 2


@dataclass(frozen=True)
class Said:
    """All that the compiler said while it built one kernel, our builder's markers among it.

    `whole` is false where the compiler ended before the kernel was done.
    """

    text: str
    whole: bool = True


def build_kernels(
    compilers: Compilers, chip: Chip, sources: Sequence[KernelSource]
) -> Iterator[tuple[KernelSource, Said]]:
    """Build kernels for a chip, in order; each with what the compiler said of it, as soon as it is known.

    Raises:
        CompilerError: the compiler does not even find its device.
    """
    left = [*sources]
    while left:
        for said in _run_once(compilers, chip, left):
            yield left.pop(0), said


def _run_once(compilers: Compilers, chip: Chip, sources: Sequence[KernelSource]) -> Iterator[Said]:
    """What one process says of kernels, until it ends, and then, of the one at which it ended, what there is."""
    command, environment = compilers.command(chip)
    with WorkFolder() as folder:
        names = _write_programs(compilers, chip, folder, sources)
        (folder / "programs").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names)), encoding="utf-8")
        with (folder / "programs").open("rb") as listed:
            process = subprocess.Popen(
                command, env=environment, stdin=listed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            try:
                assert process.stdout is not None
                yield from read_parts(process.stdout)
            finally:
                process.kill()
                process.wait()
                _remove_programs(compilers, chip, names)


def _write_programs(compilers: Compilers, chip: Chip, folder: Path, sources: Sequence[KernelSource]) -> list[str]:
    """Programs where the compiler can read them, and the paths under which it does."""
    tree = compilers.folder / ADRENO_TREE  # the root of Adreno's process
    root, place = (Path("/"), folder) if chip.is_mali else (tree, tree / "tmp")
    paths = [place / f"{folder.name}-{number}.cl" for number in range(len(sources))]
    for path, source in zip(paths, sources, strict=True):
        path.write_text(source.program, encoding="utf-8")
    return [f"/{path.relative_to(root)}" for path in paths]


def _remove_programs(compilers: Compilers, chip: Chip, names: Sequence[str]) -> None:
    """Remove what `_write_programs` wrote outside of its folder."""
    if not chip.is_mali:
        for name in names:
            (compilers.folder / ADRENO_TREE / name.lstrip("/")).unlink(missing_ok=True)


def read_parts(stream: Iterable[bytes]) -> Iterator[Said]:
    """What a builder says of each kernel, between its markers; of the last one perhaps a part."""
    before: list[str] = []
    lines: list[str] | None = None
    size = 0
    for raw in stream:
        line = raw.decode(errors="replace")
        if line.startswith("@begin "):
            lines, size = [], 0
        elif line.startswith("@end ") and lines is not None:
            yield Said("".join(lines))
            lines, before = None, ["done"]
        elif lines is None:
            before.append(line)
        elif size < MOST_SAID:
            lines.append(line)
            size += len(line)
    if lines is not None:
        yield Said("".join(lines), whole=False)
    elif before[-1:] != ["done"]:
        said = " ".join("".join(before).split())[-600:]
        raise CompilerError(f"the GPU compiler does not start: {said or 'it said nothing'}; --setup makes it anew")
