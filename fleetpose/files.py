"""Outputs that appear whole or not at all, and never over an existing file unless asked."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleetpose.codec.text import FILE, TextLimits, parse_json
from fleetpose.errors import DataError, UsageError, quoted


def check_writable(*paths: Path | str, force: bool = False) -> None:
    """Refuse early, before hours of work, outputs that exist (without `force`) or have no folder to stand in.

    Raises:
        UsageError: naming the path and the flag that mends it.
    """
    for path in map(Path, paths):
        if path.is_dir():
            raise UsageError(f"{path} is a directory; give a file name")
        if path.exists() and not force:
            raise UsageError(f"{path} exists; add --force to replace it")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise UsageError(f"cannot write {path}: {folder} is not a folder that may be written to")


def make_folder(path: Path) -> Path:
    """Make a folder, and those above it, where it is not there. Raises UsageError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make folder {path}: {error.strerror}") from error
    return path


@contextmanager
def atomic_output(path: Path | str, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on failure removed.

    Parent folders are made. Raises UsageError if `path` exists and `force` is false.
    """
    path = Path(path)
    check_writable(path, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # as open() would have made it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_json(path: Path | str, value: Any, *, force: bool = False, indent: int | None = 1) -> None:
    """Write a JSON file by `atomic_output`. Raises UsageError as that does, and ValueError for numbers JSON lacks."""
    with atomic_output(path, force=force) as temporary:
        temporary.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n", encoding="utf-8")


def read_json(
    path: Path | str, what: str = "file", file_format: str | int = "", hint: str = "", limits: TextLimits = FILE
) -> Any:
    """The content of a JSON file, as `fleetpose.codec.text` checks it.

    Args:
        what: the file, in words, for errors: "plan".
        file_format: what the object's "format" must be, and that it is an object; "": it may be anything.
        hint: how to mend it.

    Raises:
        UsageError: it cannot be read; DataError: it is not JSON, is beyond the limits, or of another format.
    """
    mending = f"; {hint}" if hint else ""
    try:
        content = parse_json(read_bounded(path, f"the {what}", limits.size), limits, f"the {what} {path}")
    except DataError as error:
        raise DataError(f"{error}{mending}") from error
    except UsageError as error:
        raise UsageError(f"{error}{mending}") from error
    actual = content.get("format") if isinstance(content, dict) else type(content).__name__
    if file_format and (actual != file_format or not isinstance(content, dict)):
        raise DataError(f"{path} is no {what}: its format is {quoted(actual)}, not {file_format!r}{mending}")
    return content


def read_bounded(path: Path | str, what: str, size: int = FILE.size) -> bytes:
    """The bytes of a file. Raises UsageError, with `what` it is, where it cannot be read or has more than `size`."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(size + 1)
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}") from error
    except ValueError as error:  # a name with a zero byte
        raise UsageError(f"cannot read {what} {quoted(str(path))}: {error}") from error
    if len(content) > size:
        raise UsageError(f"{what} {path} is longer than {size >> 20} MiB, the most that is read")
    return content


def sha256(path: Path | str) -> str:
    """Hex digest of a file's bytes."""
    state = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return state.hexdigest()
