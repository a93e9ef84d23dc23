"""Journal: the one writer of a file of records. What it has written stays, whatever kills the process next.

Lines are appended by single writes and are on the disk before anything goes on. The file is locked while a Journal is
open, so that two collections never measure into it at once; the lock ends with the process that holds it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from fleetpose.disk.locks import FileLock
from fleetpose.disk.refusals import naming_output
from fleetpose.errors import UsageError
from fleetpose.files import append, check_writable, make_folder, read_bounded
from latency.records.read import FILE_BYTES, parse, to_line
from latency.records.record import Record

log = logging.getLogger("latency.records.journal")


class Journal:
    """A file of records, open to be extended. A context manager.

    A torn last line is cut off when the file is opened.

    Args:
        path: made, with its folder, where it is not there; removed where an error ends it without a record.

    Attributes:
        records: those of the file, and those appended since.

    Raises:
        UsageError: the file has a line that is no record (it is not touched then), cannot be written to, or is being
            written to by another process.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path, force=True)
        make_folder(path.absolute().parent)
        self.path, self._is_new = path, not path.exists()
        with naming_output(path):
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        self._lock: FileLock | None = None
        try:
            self._lock = self._take_lock()
            self.records = self._repair()
        except BaseException:
            self.close()
            raise
        self._known = {record.id for record in self.records}

    def __contains__(self, identity: str) -> bool:
        """Whether there is a record of that id."""
        return identity in self._known

    def append(self, records: Iterable[Record]) -> list[Record]:
        """Write records, by one write; those whose id is there already are left out. Answers those written.

        Raises UsageError where the disk does not take them all; what it took of them is removed again.
        """
        new: dict[str, Record] = {}
        for record in records:
            if record.id not in self._known:
                new.setdefault(record.id, record)
        append(self._file, self.path, "".join(map(to_line, new.values())).encode())
        self.records += new.values()
        self._known |= new.keys()
        return list(new.values())

    def close(self) -> None:
        """Unlock and close the file. Safe to call again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._is_new and not os.fstat(self._file).st_size:
            self.path.unlink(missing_ok=True)  # while it is locked
        self.close()

    def _take_lock(self) -> FileLock:
        try:
            return FileLock(self._file, self.path)
        except BlockingIOError as error:
            raise UsageError(
                f"{self.path} is being written to by another latency.collect; give this one a file of its own (-o)"
            ) from error

    def _repair(self) -> list[Record]:
        """The records there are; a torn last line is cut off, a whole one that lacks its end is given it."""
        content = read_bounded(self.path, "records", FILE_BYTES)
        records, whole = parse(content, str(self.path))
        if whole < len(content):
            os.ftruncate(self._file, whole)
        elif content and not content.endswith(b"\n"):
            append(self._file, self.path, b"\n")
        return records
