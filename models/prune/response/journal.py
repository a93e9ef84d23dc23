"""A journal of a long measurement: every value stays on the disk, and the same command resumes an interrupted one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fleetpose.codec import decode, parse_json
from fleetpose.codec.text import LINE
from fleetpose.disk.refusals import naming_output
from fleetpose.errors import DataError, UsageError, one_line
from fleetpose.files import append, check_writable, make_folder, read_bounded


class ResponseJournal:
    """JSON lines: first what is being measured, then [key, value] after [key, value]. A context manager.

    Args:
        path: made where it is not there; a torn last line is cut off.
        identity: JSON-ready; tells one measurement from another.

    Attributes:
        values: by key, those of earlier runs included; `read` checks one.

    Raises:
        UsageError: the file is of another measurement or no journal, and stays as it is then; or it cannot be written.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        check_writable(path, force=True)
        make_folder(path.absolute().parent)
        content = read_bounded(path, "the journal") if path.exists() else b""
        complete = content[: content.rfind(b"\n") + 1]
        if complete:
            self._read(complete, json.loads(json.dumps(identity)))
        elif content and not json.dumps(dict(identity)).encode().startswith(content):
            raise UsageError(f"{path} is no journal that can be read; --restart begins anew")
        with naming_output(path):
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            os.ftruncate(self._file, len(complete))
        if not complete:
            self._write(dict(identity))

    def _read(self, content: bytes, identity: Mapping[str, Any]) -> None:
        try:
            header, *rows = [parse_json(line, LINE, f"line {n}") for n, line in enumerate(content.splitlines(), 1)]
            header = decode(dict[str, Any], header, "line 1")
            self.values = dict(decode(list[tuple[str, Any]], rows, "the rows after line 1"))
        except DataError as error:
            raise DataError(f"{self.path} is no journal that can be read: {error}; --restart begins anew") from error
        if header != identity:
            names = sorted(one_line(name) for name in {*header, *identity} if header.get(name) != identity.get(name))
            raise UsageError(
                f"{self.path} is of another measurement ({', '.join(names[:12])} differ); --restart begins anew"
            )

    def read(self, key: str, kind: Any) -> Any:
        """The value of a key that it has, as one of type `kind`. Raises DataError where it is none."""
        return decode(dict[str, kind], {key: self.values[key]}, f"{self.path}")[key]

    def add(self, key: str, value: Any) -> None:
        """Keep a JSON-ready value; it is on the disk when this returns. Raises UsageError where the disk is full."""
        self.values[key] = value
        self._write([key, value])

    def _write(self, row: Any) -> None:
        append(self._file, self.path, json.dumps(row, allow_nan=False).encode() + b"\n")

    def __enter__(self) -> ResponseJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
