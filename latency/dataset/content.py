"""The bytes and lines of a file of measurements, unpacked where it is gzipped; bounded either way."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from fleetpose.disk.reading import only_files
from fleetpose.errors import UsageError
from fleetpose.files import read_bounded

#: what a gzipped file begins with
GZIP = b"\x1f\x8b"
#: the most that a file may hold, unpacked
MOST_BYTES = 256 << 20


def is_gzipped(path: Path | str) -> bool:
    """Whether a file is gzipped. Raises UsageError where it cannot be read."""
    return _read_plain(path, len(GZIP)) == GZIP


def read_head(path: Path | str, size: int) -> bytes:
    """The first bytes of a file, unpacked where it is gzipped. Raises UsageError where it cannot be read."""
    return read_content(path)[:size] if is_gzipped(path) else _read_plain(path, size)


def open_text(path: Path | str) -> TextIO:
    """A file as text in UTF-8, unpacked where it is gzipped; lines end as they do there.

    Raises:
        UsageError: it cannot be read or unpacked; OSError: it cannot be opened.
    """
    if is_gzipped(path):
        return io.TextIOWrapper(io.BytesIO(read_content(path)), encoding="utf-8-sig", newline="")
    return open(path, newline="", encoding="utf-8-sig", opener=only_files)


def _read_plain(path: Path | str, size: int) -> bytes:
    try:
        with open(path, "rb", opener=only_files) as stream:
            return stream.read(size)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a name with a zero byte
        raise UsageError(f"cannot read {str(path)!r:.80}: {error}") from error


def read_content(path: Path | str) -> bytes:
    """All bytes of a file, unpacked where it is gzipped. Raises UsageError where it cannot be read or is too long."""
    content = read_bounded(path, "measurements", MOST_BYTES)
    if not content.startswith(GZIP):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            unpacked = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot unpack {path}: {error}; is it a whole gzip file?") from error
    if len(unpacked) > MOST_BYTES:
        raise UsageError(f"{path} unpacks to more than {MOST_BYTES >> 20} MiB, the most that is read")
    return unpacked


def text_of(content: bytes, path: str) -> str:
    """The text of a file. Raises UsageError where it is none in UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text: {error}") from error


def data_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The number and the bytes of each line that is neither blank nor a comment (#), line ends included."""
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if line.strip() and not line.startswith(b"#"):
            yield number, line
