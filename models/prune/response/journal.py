"""A journal of a long measurement: every value stays on the disk, and the same command resumes an interrupted one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fleetpose.errors import UsageError
from fleetpose.files import make_folder


class ResponseJournal:
    """JSON lines: first what is being measured, then [key, value] after [key, value]. A context manager.

    Args:
        path: made where it is not there; a torn last line is cut off.
        identity: JSON-ready; tells one measurement from another.

    Attributes:
        values: by key, those of earlier runs included.

    Raises:
        UsageError: the file is of another measurement or no journal; it stays as it is then.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        make_folder(path.absolute().parent)
        content = path.read_bytes() if path.exists() else b""
        complete = content[: content.rfind(b"\n") + 1]
        if complete:
            self._read(complete, json.loads(json.dumps(identity)))
        try:
            self._file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115  closed by __exit__
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        self._file.truncate(len(complete))
        self._file.seek(len(complete))
        if not complete:
            self._write(dict(identity))

    def _read(self, content: bytes, identity: Mapping[str, Any]) -> None:
        try:
            header, *rows = [json.loads(line) for line in content.splitlines()]
            self.values = dict(rows)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.path} is no journal that can be read; --restart begins anew") from error
        if header != identity:
            names = sorted(name for name in {*header, *identity} if header.get(name) != identity.get(name))
            raise UsageError(
                f"{self.path} is of another measurement ({', '.join(names)} differ); --restart begins anew"
            )

    def add(self, key: str, value: Any) -> None:
        """Keep a JSON-ready value; it is on the disk when this returns."""
        self.values[key] = value
        self._write([key, value])

    def _write(self, row: Any) -> None:
        self._file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> ResponseJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
