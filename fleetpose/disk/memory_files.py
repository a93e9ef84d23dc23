"""Files that a native library writes into memory, where it would end the process on a full disk, as LLVM does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from fleetpose.disk.refusals import naming_output


class MemoryFiles:
    """Names in a folder that lead to memory until `store` puts what was written there onto the disk. A context manager.

    Args:
        folder: of this process alone.
        names: of files that are not there yet.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self._handles: dict[str, int] = {}
        with naming_output(folder):
            for name in names:
                self._handles[name] = os.memfd_create(name)
                (folder / name).symlink_to(f"/proc/self/fd/{self._handles[name]}")

    def store(self) -> None:
        """Replace each name by a file. Raises UsageError where the disk does not take it."""
        for name, handle in self._handles.items():
            path = self.folder / name
            with naming_output(path):
                path.unlink()
                with open(handle, "rb", closefd=False) as memory, path.open("xb") as file:
                    memory.seek(0)
                    shutil.copyfileobj(memory, file, 1 << 20)

    def close(self) -> None:
        """Let the memory go."""
        while self._handles:
            os.close(self._handles.popitem()[1])

    def __enter__(self) -> MemoryFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
