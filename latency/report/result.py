"""The result of an optimization as a JSON value, read from its file and looked at before a report is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetpose.codec import check_entries
from fleetpose.errors import UsageError
from fleetpose.files import read_json

FORMAT, NAME = "fleetpose.result/1", "result.json"

#: what every report needs
NEEDED: dict[str, Any] = {
    "model": str,
    "device": dict[str, Any],
    "headline": dict[str, Any],
    "layers": list[dict[str, Any]],
}

Values = Mapping[str, Any]


def read_result(folder: Path) -> dict[str, Any]:
    """The content of result.json in a folder. Raises UsageError for a missing, damaged or other file."""
    path = folder / NAME
    content = read_json(path, "result", hint="latency.optimize writes it into its folder")
    check_result(content, str(path))
    return content


def check_result(content: Any, where: str = "the result") -> None:
    """Raise UsageError for what is no result."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{where} is no result of latency.optimize: its format is not {FORMAT!r}")
    for name in NEEDED:
        if content.get(name) is None:
            raise UsageError(f"{where} has no {name!r}; latency.optimize writes it anew")
    check_entries(content, NEEDED, where)


def device_label(result: Values) -> str:
    """What a device is called beside a number: its profile where it has one, else its name; and in what it computed
    where that is not float32."""
    device, dtype = result["device"], result.get("dtype", "float32")
    label = str(device.get("profile") or device.get("name") or "an unnamed device")
    return label if dtype == "float32" else f"{label}, {dtype}"
