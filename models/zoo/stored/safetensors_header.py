"""The header of a safetensors file, checked before its reader sees it; torch-free.

A file is eight bytes with the header's length, a JSON object that says of each tensor its type, shape and place, and
the numbers of all tensors without gaps.
"""

from __future__ import annotations

import os
import struct
from math import prod
from pathlib import Path
from typing import Annotated, Any

from fleetpose.codec import decode, parse_json
from fleetpose.codec.text import TextLimits
from fleetpose.disk.reading import only_files
from fleetpose.errors import DataError, UsageError, quoted
from fleetpose.json_fields import AT_LEAST_ZERO

#: what a header may be: thousands of tensors' names
HEADER = TextLimits(size=32 << 20, depth=4)
MOST_AXES, MOST_TENSORS = 16, 100_000
#: bits of an element
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
_Count = Annotated[int, AT_LEAST_ZERO]


def check_safetensors(path: Path | str) -> None:
    """Raise DataError, without the path, unless a file's header is sound and its tensors fill the file."""
    try:
        with open(path, "rb", opener=only_files) as stream:
            size = os.fstat(stream.fileno()).st_size
            start = stream.read(8)
            (length,) = struct.unpack("<Q", start) if len(start) == 8 else (None,)
            if length is None or length > size - 8:
                raise DataError("it is cut off, or its beginning is no header's length")
            if length > HEADER.size:
                raise DataError(f"its header has {length} bytes, {HEADER.size >> 20} MiB are the most that is read")
            header = stream.read(length)
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}") from error
    entries = decode(dict[str, Any], parse_json(header, HEADER, "its header"), "its header")
    decode(dict[str, str] | None, entries.pop("__metadata__", None), "its metadata")  # type: ignore[arg-type]
    if len(entries) > MOST_TENSORS:
        raise DataError(f"it has {len(entries)} tensors, {MOST_TENSORS} are the most that is read")
    _check_places([_place(name, entry) for name, entry in entries.items()], size - 8 - length)


def _place(name: str, entry: Any) -> tuple[int, int]:
    """Where a tensor's numbers begin and end."""
    where = f"its tensor {quoted(name)}"
    facts = decode(dict[str, Any], entry, where)
    if facts.keys() != {"dtype", "shape", "data_offsets"}:
        raise DataError(f"{where} has {quoted(list(facts))}, not dtype, shape and data_offsets")
    shape = decode(list[_Count], facts["shape"], f"{where}: shape")
    begin, end = decode(tuple[_Count, _Count], facts["data_offsets"], f"{where}: data_offsets")
    bits = BITS.get(decode(str, facts["dtype"], f"{where}: dtype"))
    if bits is None:
        raise DataError(f"{where} is of type {quoted(facts['dtype'])}, not one of {', '.join(BITS)}")
    if len(shape) > MOST_AXES or prod(max(side, 1) for side in shape) >= 1 << 62:
        raise DataError(f"{where} has the shape {quoted(shape)}")
    if (end - begin) * 8 != prod(shape) * bits:
        raise DataError(f"{where} has {end - begin} bytes, its shape {quoted(shape)} takes {prod(shape) * bits // 8}")
    return begin, end


def _check_places(places: list[tuple[int, int]], size: int) -> None:
    reached = 0
    for begin, end in sorted(places):
        if begin != reached:
            raise DataError("its tensors overlap, or there are gaps between them")
        reached = end
    if reached != size:
        raise DataError(f"its tensors have {reached} bytes, but {size} are there")
