"""What compilers said of kernels, kept, so that a kernel is built once: for a chip, by a version of Mesa."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

from codegen.inspection.building import Said, build_kernels
from codegen.inspection.chips import Chip
from codegen.inspection.compilers import Compilers
from codegen.inspection.sources import KernelSource
from fleetpose.disk.caches import cache_folder
from fleetpose.errors import UsageError
from fleetpose.files import write_bytes
from fleetpose.progress import Report, no_report

#: changes where what is kept changes
FORMAT = "1"
#: bytes of a file here, packed and unpacked
MOST_PACKED, MOST_TEXT = 4 << 20, 64 << 20


class ResultCache:
    """The folder of one chip and version of Mesa.

    Args:
        compilers, chip: what builds.
        folder: the caches' folder; None: nothing is kept.
    """

    def __init__(self, compilers: Compilers, chip: Chip, folder: Path | None) -> None:
        self._key = f"{FORMAT}\0{compilers.version(chip)}\0{chip.architecture}\0{chip.number}\0"
        self._folder = folder / "inspected" if folder else None

    def read(self, source: KernelSource) -> Said | None:
        """What was said of a kernel before; None where it is not known, or the file is damaged."""
        path = self._path(source)
        if path is None:
            return None
        try:
            with open(path, "rb") as stream:
                packed = stream.read(MOST_PACKED + 1)
            text = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, MOST_TEXT)
        except (OSError, zlib.error):
            return None
        return Said(text.decode(errors="replace")) if len(packed) <= MOST_PACKED else None

    def write(self, source: KernelSource, said: Said) -> None:
        """Keep what was said of a kernel. A crash is not kept; nor is anything where the disk takes none."""
        path = self._path(source)
        if path is None or not said.whole:
            return
        try:
            write_bytes(path, gzip.compress(said.text.encode(), mtime=0), force=True)
        except UsageError:
            self._folder = None  # said once by whoever needs the disk

    def _path(self, source: KernelSource) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.sha256(f"{self._key}{source.digest}".encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.gz"


def inspect_sources(
    compilers: Compilers, chip: Chip, sources: Sequence[KernelSource], report: Report = no_report
) -> dict[KernelSource, Said]:
    """What the compiler says of each of some kernels, of equal ones once; of those that are kept it is not asked.

    Args:
        report: told how many are built, and of how many.

    Raises:
        CompilerError: the compiler does not start.
    """
    cache = ResultCache(compilers, chip, cache_folder())
    unique = [*dict.fromkeys(sources)]
    answers = {source: said for source in unique if (said := cache.read(source)) is not None}
    unknown = [source for source in unique if source not in answers]
    if unknown:
        report(f"starting the compiler for {chip.name}", 0, len(unknown))
    for number, (source, said) in enumerate(build_kernels(compilers, chip, unknown), 1):
        cache.write(source, said)
        answers[source] = said
        report(f"{number} of {len(unknown)} kernels for {chip.name}", number, len(unknown))
    return answers
