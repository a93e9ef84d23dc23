"""The records of a package, as runtime/src/core/format.h has them, and the file that they make.

docs/package-format.md says what they mean.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fleetpose.errors import DataError

MAGIC = b"\x89FPK\r\n\x1a\n"
VERSION = 1
ALIGNMENT, WEIGHTS_ALIGNMENT, BUFFER_ALIGNMENT = 64, 16384, 4096

#: the kinds of sections, in the order of the file
STRINGS, MANIFEST, SETTINGS, SOURCES, KERNELS, CONSTANTS, WEIGHTS = range(1, 8)
ENTRIES, OUTPUTS, BUFFERS, STEPS, LAUNCHES, ARGUMENTS, CHECKS = range(8, 15)
#: a kind that may be missing: launches on buffers that the caller brings
FUNCTIONS = 15

DTYPES = {"float32": 0, "float16": 1, "int32": 2, "int16": 3, "int8": 4, "uint8": 5}
BUFFER_ARGUMENT, CONSTANT_ARGUMENT = 0, 1
#: control characters, which readers refuse, and halves of pairs, which UTF-8 has not
_NO_LETTER = re.compile("[\\x00-\\x1f\\x7f\\ud800-\\udfff]")


def _record(names: str, wide: str = "", single: str = "", doubles: str = "") -> np.dtype:
    """A record of uint32 fields, but for those named in `wide` (uint64), `single` (float32) and `doubles` (float64)."""
    kinds = dict.fromkeys(wide.split(), "<u8") | dict.fromkeys(single.split(), "<f4")
    kinds |= dict.fromkeys(doubles.split(), "<f8")
    return np.dtype([(name, kinds.get(name, "<u4")) for name in names.split()])


HEADER = np.dtype([("magic", "S8"), ("version", "<u4"), ("section_count", "<u4"), ("bytes", "<u8"),
                   ("table_crc", "<u4"), ("reserved", "<u4")])  # fmt: skip
SECTION = _record("kind crc offset bytes reserved", "offset bytes reserved")
SETTING = _record("name text is_text reserved number", doubles="number")
KERNEL = _record("name preamble preamble_bytes body body_bytes arguments")
CONSTANT = _record("offset bytes dtype image_width image_height name", "offset bytes")
BUFFER = _record("offset bytes", "offset bytes")
ENTRY = _record(
    "channels height width input first_output output_count first_buffer buffer_count first_step step_count arena_bytes",
    "arena_bytes",
)
OUTPUT = _record("name buffer channels height width reserved")
STEP = _record("name kind first_launch launch_count first_spare spare_count first_check check_count")
LAUNCH = _record("kernel first_argument dimensions global_x global_y global_z local_x local_y local_z reserved")
ARGUMENT = _record("kind index")
CHECK = _record("buffer dtype element value tolerance", "element", "value tolerance")
FUNCTION = _record(
    "name parameter_count first_buffer buffer_count first_launch launch_count arena_bytes", "arena_bytes"
)

#: what the sections of records are made of
RECORDS = {
    SETTINGS: SETTING, KERNELS: KERNEL, CONSTANTS: CONSTANT, ENTRIES: ENTRY, OUTPUTS: OUTPUT, BUFFERS: BUFFER,
    STEPS: STEP, LAUNCHES: LAUNCH, ARGUMENTS: ARGUMENT, CHECKS: CHECK, FUNCTIONS: FUNCTION,
}  # fmt: skip


class Strings:
    """The strings of a package: each once, named by its offset."""

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}
        self.content = bytearray()
        self.add("")

    def add(self, text: str) -> int:
        """The offset of a string, which is one line of UTF-8: what is neither, as in names of files, becomes "?"."""
        text = _NO_LETTER.sub("?", text)
        if text not in self._offsets:
            self._offsets[text] = len(self.content)
            self.content += text.encode() + b"\0"
        return self._offsets[text]


def records(kind: np.dtype, rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Records of a kind. Raises OverflowError for a number that does not fit its field."""
    return np.array([tuple(row) for row in rows], kind).tobytes() if rows else b""


def write_package(sections: Mapping[int, bytes]) -> bytes:
    """A package file of sections by kind."""
    kinds = sorted(sections)
    offset = HEADER.itemsize + len(kinds) * SECTION.itemsize
    parts: list[bytes] = []
    rows = []
    for kind in kinds:
        alignment = WEIGHTS_ALIGNMENT if kind == WEIGHTS else ALIGNMENT
        start = -(-offset // alignment) * alignment
        parts += [bytes(start - offset), sections[kind]]
        rows.append((kind, zlib.crc32(sections[kind]), start, len(sections[kind]), 0))
        offset = start + len(sections[kind])
    table = records(SECTION, rows)
    header = records(HEADER, [(MAGIC, VERSION, len(kinds), offset, zlib.crc32(table), 0)])
    return b"".join([header, table, *parts])


def checked_section(content: bytes, kind: int) -> bytes:
    """A section of a package that somebody else wrote; its outside and this section's checksum are checked.

    Raises DataError where it is no package, of another version, or damaged.
    """
    size = HEADER.itemsize
    header = np.frombuffer(content[:size], HEADER)[0] if len(content) >= size else None
    if header is None or content[:8] != MAGIC:
        raise DataError("is no package: its first bytes are others")
    if header["version"] != VERSION:
        raise DataError(f"has version {header['version']} of the format of packages, and {VERSION} is read")
    table = content[size : size + int(header["section_count"]) * SECTION.itemsize]
    whole = header["bytes"] == len(content) and len(table) == header["section_count"] * SECTION.itemsize
    if not whole or zlib.crc32(table) != header["table_crc"]:
        raise DataError("is cut or damaged: its size or its table is another")
    for row in np.frombuffer(table, SECTION):
        if row["kind"] == kind:
            section = content[int(row["offset"]) : int(row["offset"]) + int(row["bytes"])]
            if len(section) == row["bytes"] and zlib.crc32(section) == row["crc"]:
                return section
    raise DataError(f"is damaged: its section {kind} is not there, or another")


def read_sections(content: bytes) -> dict[int, bytes]:
    """The sections of a package that was just written, by kind."""
    header = np.frombuffer(content, HEADER, 1)[0]
    table = np.frombuffer(content, SECTION, int(header["section_count"]), HEADER.itemsize)
    return {int(row["kind"]): content[int(row["offset"]) : int(row["offset"]) + int(row["bytes"])] for row in table}
