"""Files that are read are files: a FIFO without a writer, a terminal or a device would be waited for, or never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

#: what a path may lead to besides a file or a folder
_NO_FILES = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}
_ONLY_FILES = "and only files are read"


def kind_of(mode: int) -> str:
    """What a path leads to that is neither a file nor a folder, by st_mode: "a FIFO"; "" of a file or a folder."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return _NO_FILES.get(stat.S_IFMT(mode), "no file")


def why_no_file(path: Path) -> str:
    """Why a path leads to no file, in words of an error; "" where it leads to one."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return "no such file"
    if stat.S_ISDIR(mode):
        return "it is a directory"
    return f"it is {kind}, {_ONLY_FILES}" if (kind := kind_of(mode)) else ""


def only_files(path: str, flags: int) -> int:
    """For `open(path, opener=only_files)`: what is no file is refused before it is opened.

    Raises:
        OSError: whose words say what it is, or the system's own.
    """
    if kind := kind_of(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, f"it is {kind}, {_ONLY_FILES}", path)
    return os.open(path, flags | os.O_CLOEXEC, 0o666)


def check_file(path: Path | str) -> None:
    """Raise OSError, with words that say why, for what is no file that can be read."""
    with open(path, "rb", opener=only_files):
        pass


def read_whole(path: Path | str) -> bytes:
    """All bytes of a file. Raises OSError as `only_files` does."""
    with open(path, "rb", opener=only_files) as stream:
        return stream.read()
