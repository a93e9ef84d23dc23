"""Zip archives as torch writes them: their members, looked at, and an archive made anew of those that are wanted.

torch reads archives in C++, and in some versions believes what a member says of its own length. So nothing but what was
read and checked here is given to torch, in an archive of our own making.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from fleetpose.disk.reading import only_files
from fleetpose.errors import DataError, UsageError, first_line, quoted

#: what `zipfile` raises for damaged archives
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError),
    *(ValueError, EOFError, OSError, LookupError, OverflowError),
)
MOST_MEMBERS = 100_000
#: more than a pose network's file has, and what memory takes twice
MOST_BYTES = 8 << 30


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive does, whole or not. Raises UsageError where it cannot be read."""
    return beginning(path, 4) == b"PK\3\4"


def beginning(path: Path, count: int) -> bytes:
    """The first bytes of a file. Raises UsageError where it cannot be read."""
    try:
        with open(path, "rb", opener=only_files) as stream:
            return stream.read(count)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def read_members(source: Path | bytes) -> dict[str, bytes]:
    """The content of every member of a file, or of the bytes of one, by its name without the folder that all are in.

    Raises:
        DataError: no whole archive, or one that torch.save and torch.export.save do not write: "is cut off".
    """
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            _check_members(archive.infolist(), size)
            content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except DataError:
        raise
    except DAMAGE as error:
        raise DataError(f"is cut off or damaged ({first_line(error, 80)})") from error
    folders = {name.partition("/")[0] for name in content}
    if len(folders) == 1 and all("/" in name for name in content):
        return {name.partition("/")[2]: data for name, data in content.items()}
    return content


def _check_members(entries: list[zipfile.ZipInfo], size: int) -> None:
    if not 0 < len(entries) <= MOST_MEMBERS or size > MOST_BYTES:
        raise DataError(f"has {len(entries)} members in {size} bytes, more than is read")
    if len({entry.filename for entry in entries}) != len(entries):
        raise DataError("has two members of one name")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise DataError(f"has a compressed member, {quoted(entry.filename)}, as torch writes none")
    if sum(entry.file_size for entry in entries) > size:
        raise DataError("has members that overlap")


def make_archive(members: Mapping[str, bytes], folder: str = "archive/") -> io.BytesIO:
    """An archive of these members, in one folder (with "" in none), for torch to read."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}{name}"), content)
    stream.seek(0)
    return stream
