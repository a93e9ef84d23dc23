"""Locks of files and folders that end with the process which holds them, also where the file system has none."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import socket
from pathlib import Path

log = logging.getLogger("fleetpose.disk.locks")

HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class FileLock:
    """An exclusive lock of an open file or folder, held until `release` or the end of the process.

    Some file systems know no locks (of networks, of containers). There the lock is a name that only one process of this
    machine can have at a time, and a warning says that other machines are not kept out.

    Args:
        handle: of the open file; it stays the caller's, who must keep it open.
        path: of the file, for the warning.

    Raises:
        BlockingIOError: another process holds it.
    """

    def __init__(self, handle: int, path: Path) -> None:
        self._name: socket.socket | None = None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in HELD:
                raise BlockingIOError(error.errno, "locked by another process") from error
            self._take_name(handle, path, error)

    def _take_name(self, handle: int, path: Path, why: OSError) -> None:
        facts = os.fstat(handle)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0fleetpose-lock-{facts.st_dev:x}-{facts.st_ino:x}")
        except OSError as error:
            name.close()
            if error.errno == errno.EADDRINUSE:
                raise BlockingIOError(errno.EAGAIN, "locked by another process") from error
            log.warning("%s: no locks here (%s); start no second process that writes there", path, why.strerror)
            return
        self._name = name
        log.warning("%s: its file system has no locks (%s); write to it from one machine at a time", path, why.strerror)

    def release(self) -> None:
        """Give up the name; what the file system locked ends when the caller closes the file. Safe to call again."""
        if self._name is not None:
            with contextlib.suppress(OSError):
                self._name.close()
            self._name = None
