"""How the result can be had again: photograph, checks, commands, stages, environment."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from latency.report.rendering.document import Cell, Column, Listing, Part, PhotographPart, Section, Table
from latency.report.rendering.formats import NOTHING, duration
from latency.report.result import Values

#: of conditions: the time, and counts since the machine started
MOVING = ("time_unix_secs", "cpu_busy_secs", "cpu_idle_secs")
#: of what checks found: the device and the network, which the report begins with
SAID_ELSEWHERE = ("device", "model")
#: how a picture's bytes begin -> its type
SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def people_section(result: Values, folder: Path) -> Section | None:
    """The photograph that the sparse artifact found people in; None where none was run."""
    people = result.get("people")
    if not people:
        return None
    count = people.get("count")
    seen = "People" if count is None else f"{count} {'person' if count == 1 else 'people'}"
    trust = (
        "" if result.get("weights") else " The weights are random, so that this shows that it runs, and nothing else."
    )
    lead = f"{seen} found by the sparse artifact on the device.{trust}"
    name = Path(str(people["image"])).name
    source = data_uri(folder / name)
    part: Part = (
        PhotographPart(source, name, lead) if source else f"The picture {name} is not in the folder of the report."
    )
    return Section("people", "What it sees", lead, (part,))


def data_uri(path: Path) -> str | None:
    """A picture file's content as a URI; None where there is no such file, or it is no PNG, JPEG or WebP."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    kind = next((kind for start, kind in SIGNATURES.items() if content.startswith(start)), None)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}" if kind else None


def reproduce_section(result: Values) -> Section:
    """Commands, checks, stages and environment, as far as there are any."""
    parts: list[Part] = []
    if result.get("commands"):
        parts.append(Listing("Commands", tuple(map(str, result["commands"]))))
    verified = result.get("verify") or {}
    if verified:
        parts.append(_checks(verified))
    conditions = result["headline"].get("conditions")
    if isinstance(conditions, Mapping) and conditions:
        pace = result["headline"].get("pace")
        told = {} if pace is None else {"reference kernel's time over its usual one": round(pace, 2)}
        parts.append(_pairs("Conditions of the timing", told | dict(flat(conditions, but=MOVING))))
    stages = result.get("stages") or ()
    if stages:
        parts.append(_stages(stages))
    if result.get("environment"):
        parts.append(_pairs("Environment", result["environment"]))
    lead = "Times are of one machine at one time; measure again before you rely on them."
    return Section("reproduce", "To reproduce this", lead, tuple(parts))


def flat(values: Mapping[str, Any], above: str = "", but: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """Nested objects as (name, value) pairs, names joined by a space, without those called as in `but`."""
    for name, value in values.items():
        if name in but:
            continue
        full = f"{above} {name}" if above else str(name)
        if isinstance(value, Mapping):
            yield from flat(value, full, but)
        else:
            yield full, value


def _checks(verified: Mapping[str, Any]) -> Table:
    """What checking the artifacts found: one column for each where there are several, what is said of both last."""
    title = "Check against float64 PyTorch"
    artifacts = {name: dict(flat(values, but=SAID_ELSEWHERE)) for name, values in verified.items()
                 if name in ("dense", "sparse") and isinstance(values, Mapping)}  # fmt: skip
    rest = dict(flat({name: value for name, value in verified.items() if name not in artifacts}, but=SAID_ELSEWHERE))
    if not artifacts:
        return _pairs(title, rest)
    names = dict.fromkeys(name for values in artifacts.values() for name in values)
    rows = [(Cell(_words(name)), *(Cell(_show(values.get(name))) for values in artifacts.values())) for name in names]
    rows += [
        (Cell(_words(name)), *[Cell(_show(value))] * len(artifacts))
        for name, value in rest.items()
        if name not in names
    ]
    columns = (Column("Name"), *(Column(name.capitalize(), "", "number") for name in artifacts))
    return Table(title, columns, tuple(rows))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _pairs(title: str, values: Mapping[str, Any]) -> Table:
    rows = tuple((Cell(_words(name)), Cell(_show(value))) for name, value in values.items())
    return Table(title, (Column("Name"), Column("Value", "", "words")), rows)


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_show, value)) or "none"
    return NOTHING if value is None or value == "" else str(value)


def _stages(stages: Any) -> Table:
    total = sum(stage["secs"] for stage in stages)
    rows = [(Cell(stage["name"]), Cell(duration(stage["secs"])), Cell(stage.get("said") or "")) for stage in stages]
    rows.append((Cell("in all"), Cell(duration(total)), Cell("")))
    return Table("Stages", (Column("Stage"), Column("Time", "", "number"), Column("Result", "", "words")), tuple(rows))
