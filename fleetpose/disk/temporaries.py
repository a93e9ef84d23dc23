"""Temporary files and folders that a killed process leaves behind, told from those of a running one, and removed.

Each is locked by flock for as long as the process that made it works on it, and the system lets go of the lock however
the process ends. So whoever can lock one may remove it. Where a file system has no locks, nothing is removed.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import logging
import os
import re
import secrets
import shutil
import tempfile
import weakref
from pathlib import Path
from types import TracebackType

from fleetpose.disk.refusals import WORK_FOLDER, is_text, write_error
from fleetpose.errors import UsageError

log = logging.getLogger("fleetpose.disk.temporaries")

#: most bytes of an output's name that stand in its temporary's; names have 255 on most file systems
_LONGEST = 180
_RANDOM = "[0-9a-f]{12}"


def create_beside(target: Path) -> tuple[Path, int]:
    """Make an empty file in the folder of an output, with the output's suffix: its path and its locked descriptor.

    Closing the descriptor gives the lock back. Raises OSError.
    """
    before, after = _around(target)
    while True:
        path = target.with_name(f"{before}{secrets.token_hex(6)}{after}")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        except OSError as error:
            error.filename = None  # a name that nobody knows
            raise
        if _hold(handle):
            return path, handle
        os.close(handle)  # another process took it for an abandoned one in the moment before it was locked


def remove_abandoned(target: Path) -> None:
    """Remove what killed processes left of an output; nothing where the folder cannot be read or written."""
    before, after = _around(target)
    pattern = re.compile(re.escape(before) + _RANDOM + re.escape(after))
    for path in _matching(target.parent, pattern):
        handle = _open_abandoned(path, os.O_RDWR)
        if handle is not None:
            _unlink(path)
            os.close(handle)


def _around(target: Path) -> tuple[str, str]:
    """What stands before and behind the random part of the names of an output's temporaries.

    Libraries choose a format by the suffix. A stem that is long, or not UTF-8, is replaced by its digest.
    """
    suffix = target.suffix if is_text(target.suffix) and len(target.suffix.encode()) < 32 else ""
    stem = target.stem if suffix else target.name
    if not is_text(stem) or len(stem.encode()) > _LONGEST:
        stem = hashlib.sha256(target.name.encode(errors="surrogatepass")).hexdigest()[:24]
    return f".{stem}-", f".part{suffix}"


class WorkFolder:
    """A folder for files that nobody keeps, among the system's temporary ones; also a context manager of its path.

    It is removed when it is left, when nobody has the object any more, or when the process ends; where the process is
    killed, by the next one that makes such a folder.

    Raises:
        UsageError: it cannot be made; the text names TMPDIR.
    """

    def __init__(self) -> None:
        base = temporary_folder()
        _remove_abandoned_folders(base)
        try:
            self.path, handle = _create_folder(base)
        except OSError as error:
            raise write_error(base / WORK_FOLDER, error) from error
        self._remove = weakref.finalize(self, _remove_folder, self.path, handle)

    def remove(self) -> None:
        """Remove it now. Safe to call again."""
        self._remove()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


@functools.cache
def temporary_folder() -> Path:
    """Where the system's temporary files go: TMPDIR, or, with a warning, another where that one cannot be written to.

    Raises UsageError where there is none.
    """
    wanted = os.environ.get("TMPDIR")
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        raise UsageError(
            "no folder for temporary files can be written to, neither TMPDIR nor /tmp; free some space in one of "
            "them, or set TMPDIR to a folder with space"
        ) from error
    if wanted and Path(wanted).resolve() != folder.resolve():
        log.warning("TMPDIR=%s is missing, full or not to be written to; temporary files go to %s", wanted, folder)
    return folder


def _create_folder(base: Path) -> tuple[Path, int]:
    while True:
        path = base / f"{WORK_FOLDER}{secrets.token_hex(6)}"
        try:
            path.mkdir(0o700)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileExistsError:
            continue
        except FileNotFoundError:
            if base.is_dir():  # another process removed it in the moment before it was opened
                continue
            raise
        if _hold(handle) and path.exists():
            return path, handle
        os.close(handle)


def _remove_folder(path: Path, handle: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(handle)


@functools.cache
def _remove_abandoned_folders(base: Path) -> None:
    """Remove this user's folders whose processes were killed; once per process."""
    for path in _matching(base, re.compile(re.escape(WORK_FOLDER) + _RANDOM)):
        handle = _open_abandoned(path, os.O_RDONLY | os.O_DIRECTORY)
        if handle is not None:
            _remove_folder(path, handle)


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if pattern.fullmatch(name)]
    except OSError:
        return []


def _open_abandoned(path: Path, flags: int) -> int | None:
    """A locked descriptor of something of this user's that no process holds; None of anything else."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_uid == os.geteuid():
            return handle
    except OSError:
        pass  # held by another process, or locks are not to be had: nothing tells whether it is abandoned
    os.close(handle)
    return None


def _hold(handle: int) -> bool:
    """Lock what was just made. False where another process has removed it, or is about to."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN)  # without locks nobody removes it either
    return os.fstat(handle).st_nlink > 0


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        log.debug("%s cannot be removed", path, exc_info=True)
