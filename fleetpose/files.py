"""Outputs that appear whole or not at all, and never over an existing file unless asked."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fleetpose.codec.text import FILE, TextLimits, parse_json
from fleetpose.disk.reading import kind_of, only_files
from fleetpose.disk.refusals import naming_output, reason_and_mend, shown, write_error
from fleetpose.disk.temporaries import create_beside, remove_abandoned
from fleetpose.errors import DataError, UsageError, quoted

#: a byte of a name that is not UTF-8, as Python has it in a text
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def check_writable(*paths: Path | str, force: bool = False) -> None:
    """Refuse early, before hours of work, outputs that exist (without `force`) or have no folder to stand in.

    Links are followed. What is no file, such as a device, a FIFO or a folder, is refused with `force`, too.

    Raises:
        UsageError: naming the path and the flag that mends it.
    """
    for path in map(Path, paths):
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a directory; give a file name")
        if mode is not None and (kind := kind_of(mode)):  # of most of them nobody could read it back
            raise UsageError(f"{path} is {kind}, in which nothing can be kept; give the name of a file")
        if mode is not None and not force:
            raise UsageError(f"{path} exists; add --force to replace it")
        _check_folder(path)


def _check_folder(path: Path) -> None:
    """Raise UsageError unless a file may be made where `path` leads, with the folders that it lacks."""
    target = target_of(path).absolute()
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: {folder} is a file, not a folder; give another name")
    number = 0
    if not os.access(folder, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
    elif max(len(os.fsencode(part)) for part in target.relative_to(folder).parts) > os.pathconf(folder, "PC_NAME_MAX"):
        number = errno.ENAMETOOLONG
    if number:
        raise write_error(path, OSError(number, os.strerror(number), str(folder)))


def _mode(path: Path) -> int | None:
    """What a path leads to, as in stat's st_mode; None where there is nothing. Raises UsageError."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise write_error(path, error) from error
    except ValueError as error:  # a zero byte
        raise UsageError(f"{str(path)[:80]!r} is no name of a file; give another") from error


def target_of(path: Path) -> Path:
    """Where a link leads, also to what is not there yet; any other path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def make_folder(path: Path) -> Path:
    """Make a folder, and those above it, where it is not there. Raises UsageError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make folder {path}: {reason_and_mend(error)}") from error
    return path


@contextmanager
def atomic_output(path: Path | str, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on failure removed.

    What is written there inside is on the disk before the name is given. Parent folders are made, links followed. What
    a killed process left of the same output is removed.

    Raises:
        UsageError: `path` exists and `force` is false; or the system refuses something inside, because the disk is full
            or for another of its reasons.
    """
    path = Path(path)
    check_writable(path, force=force)
    with naming_output(path):
        target = target_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target)
        temporary, handle = create_beside(target)
    try:
        with naming_output(path, temporary):
            yield temporary
            os.fsync(handle)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def text_bytes(text: str) -> bytes:
    """A text as it is written: as UTF-8, with names that are not UTF-8 as they are `shown`."""
    return shown(text).encode()


def write_text(path: Path | str, text: str, *, force: bool = False) -> None:
    """Write a text file by `write_bytes`. Raises UsageError as that does."""
    write_bytes(path, text_bytes(text), force=force)


def write_bytes(path: Path | str, content: bytes | memoryview, *, force: bool = False) -> None:
    """Write a file by `atomic_output`. Raises UsageError as that does."""
    with atomic_output(path, force=force) as temporary:
        temporary.write_bytes(content)


@contextmanager
def files_together(contents: Mapping[Path, bytes], *, force: bool = False) -> Iterator[None]:
    """Write files by `atomic_output`; none has its name before all are on the disk, and what is done inside too.

    Raises UsageError.
    """
    with ExitStack() as outputs:
        for path, content in contents.items():
            temporary = outputs.enter_context(atomic_output(path, force=force))
            with naming_output(path, temporary):
                temporary.write_bytes(content)
        yield


def write_together(contents: Mapping[Path, bytes], *, force: bool = False) -> None:
    """Write several files, which appear together or not at all. Raises UsageError."""
    with files_together(contents, force=force):
        pass


def append(handle: int, path: Path, content: bytes) -> None:
    """Append to an open file, onto the disk, by one write; where the system does not take it all, nothing of it stays.

    Args:
        handle: a descriptor, opened with O_APPEND. path: the file's name, for errors.

    Raises UsageError.
    """
    before = os.fstat(handle).st_size
    with naming_output(path):
        try:
            while content:  # a second write only says why the first did not take everything
                content = content[os.write(handle, content) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, before)
            raise


def remove_output(path: Path) -> None:
    """Remove a file, and what killed processes left of it, where they are there. Raises UsageError."""
    with naming_output(path):
        path.unlink(missing_ok=True)
        remove_abandoned(path)


def json_bytes(value: Any, indent: int | None = 1) -> bytes:
    """A value as a JSON file has it, with names that are not UTF-8 as they are `shown`, so that it can be read again.

    Raises ValueError for numbers that JSON lacks.
    """
    text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
    return text_bytes(_HALF_CHARACTER.sub(lambda half: json.dumps(shown(half[0]))[1:-1], text) + "\n")


def write_json(path: Path | str, value: Any, *, force: bool = False, indent: int | None = 1) -> None:
    """Write a JSON file by `atomic_output`. Raises UsageError as that does, and ValueError for numbers JSON lacks."""
    write_bytes(path, json_bytes(value, indent), force=force)


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
        with open(path, "rb", opener=only_files) as stream:
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
    with open(path, "rb", opener=only_files) as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return state.hexdigest()
