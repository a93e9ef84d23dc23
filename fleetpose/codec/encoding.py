"""Values as what `json.dumps` takes."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from fleetpose.json_fields import layout_of

_AS_IS = (str, int, float, bool, types.NoneType)


def encode(value: Any) -> Any:
    """A value as what `json.dumps` takes. Sets become sorted lists; what has no JSON is left as it is."""
    if type(value) in _AS_IS:
        return value
    if dataclasses.is_dataclass(value):
        return _encode_object(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [encode(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(map(encode, value))
    return str(value) if isinstance(value, Path) else value


def _encode_object(value: Any) -> dict[str, Any]:
    entries = {}
    for name, default, settings in layout_of(type(value)):  # type: ignore[arg-type]
        entry = getattr(value, name)
        if settings.omit and entry == default:
            continue
        if settings.null is not None and entry == settings.null:
            entry = None
        entries[settings.key] = (settings.encode or encode)(entry)
    return entries | {name: encode(getattr(value, name)) for name in getattr(value, "json_properties", ())}
