"""Records: what was measured of layers and networks on a device, or why it failed; one JSON object a line.

    {"format": "fleetpose.record/1", "id": "5a3f...", "kind": "layer", "layer": {"op": "conv", ...},
     "sparsity": "dense", "event_ms": 1.71, "wall_ms": 1.74, ..., "failure": null, ..., "checksum": "9f0c21ab"}

A file of records only grows. Each line bears the CRC-32 of what it says, so that a line is whole or is known not to be.
A torn last line, which a crash leaves, is left out; anything else that is wrong with a file is one error with its line.
This module reads; `latency.records.journal` writes. Like `latency.records.record` it knows neither TVM nor sessions.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from fleetpose.codec import decode, encode, parse_json
from fleetpose.codec.text import LINE, NotJson
from fleetpose.errors import DataError, UsageError, quoted
from fleetpose.files import read_bounded
from latency.records.identity import checksum
from latency.records.record import FORMAT, Record

log = logging.getLogger("latency.records.read")

#: the most that a file of records may hold
FILE_BYTES = 1 << 30

#: of every line
BEGINNING = json.dumps({"format": FORMAT})[:-1].encode()


def to_line(record: Record) -> str:
    """A record as its line in a file, checksum and newline included."""
    values = {"format": FORMAT, **encode(record)}
    return json.dumps({**values, "checksum": checksum(values)}, allow_nan=False) + "\n"


def from_line(line: str | bytes) -> Record:
    """The inverse of `to_line`. Raises DataError, in one line; NotJson for what is not even JSON."""
    values = parse_json(line, LINE)
    if not isinstance(values, dict):
        raise DataError(f"it is a JSON {type(values).__name__}, not an object")
    if (its_format := values.get("format")) != FORMAT:
        raise DataError(f"its format is {quoted(its_format)}, not {FORMAT!r}")
    record = decode(Record, {name: value for name, value in values.items() if name not in ("format", "checksum")})
    claimed = values.pop("checksum", None)
    if claimed is None:
        raise DataError("it has no checksum")
    if claimed != (actual := checksum(values)):
        raise DataError(f"its checksum is {quoted(claimed)}, what it says has {actual}: it was changed or damaged")
    return record


def read_records(path: Path | str) -> list[Record]:
    """All records of a file, in its order. A torn last line is left out, with a log line.

    Raises:
        UsageError: no such file, no record in it, or a line that is none; the text names the file and the line.
    """
    path = Path(path)
    content = read_bounded(path, "records", FILE_BYTES)
    records, _ = parse(content, str(path))
    if not records:
        raise UsageError(f"{path} has no records; python -m latency.collect writes them")
    return records


def parse(content: bytes, source: str) -> tuple[list[Record], int]:
    """The records of a file's content, and the length of its whole lines: what follows them is a torn last line.

    Raises UsageError as `read_records` does.
    """
    records, whole = [], 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if line.strip():
            try:
                records.append(from_line(line))
            except ValueError as error:
                if _torn(line, error):
                    log.warning("%s: its last line is torn and left out", source)
                    break
                raise UsageError(f"{source}, line {number}: {' '.join(str(error).split())}") from error
        whole += len(line)
    return records, whole


def _torn(line: bytes, error: ValueError) -> bool:
    """Whether a line that is no record is the beginning of one. What another program wrote is not, and stays."""
    begins = BEGINNING[: len(line)] == line[: len(BEGINNING)]
    return begins and not line.endswith(b"\n") and isinstance(error, NotJson)
