"""Tuned data: the best schedule of each workload on one device, as measured by `codegen.tune`; one JSON object a line.

`codegen/tuning/data/PROFILE.jsonl` comes with the package, and what builds code reads it. Rows of the tuner
"candidates" are chosen from; rows of another tuner (TVM's MetaSchedule) are there to compare with.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.schedules import RULES, candidates
from codegen.tuning.key import Key
from devices.profile import Profile
from fleetpose.codec import decode, encode, parse_json
from fleetpose.codec.text import LINE, NotJson
from fleetpose.files import read_bounded, write_text

log = logging.getLogger("codegen.tuning.database")

TUNED_DIR = Path(__file__).parent / "data"
#: the tuner whose rows are chosen from
CANDIDATES = "candidates"
#: the tuner whose rows are there to compare with
METASCHEDULE = "metaschedule"


@dataclass(frozen=True)
class TunedRow:
    """What tuning found for one workload.

    Attributes:
        workload: what was tuned.
        tuner: "candidates" (our schedules) or "metaschedule".
        best: the fastest choice, as `ScheduleChoice.to_dict`; {"schedule": "metaschedule"} of that tuner.
        ms: the choice's wall milliseconds, the median of the interleaved run.
        default: the choice without tuning, likewise; and its milliseconds in the same run, None where it failed.
        ratio: default / best, the median of the rounds' ratios; `low` and `high` are its 95 % interval. None where
            the default failed.
        tried: candidates timed or failed; less than the workload has where time ran out.
        failures: {"choice": text, "reason": text} of each that failed.
        device: name, driver and versions of the device and of what measured.
        date: ISO 8601, UTC.
    """

    workload: Key
    tuner: str
    best: Mapping[str, Any]
    ms: float
    default: Mapping[str, Any]
    default_ms: float | None
    ratio: float | None
    low: float | None
    high: float | None
    tried: int
    failures: tuple[Mapping[str, str], ...] = ()
    device: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""

    def choice(self) -> ScheduleChoice:
        """The best choice. Raises ValueError where the schedule, or a field of its configuration, is gone."""
        return ScheduleChoice.from_dict(self.best, RULES)


class Tuned:
    """Tuned data of one device, ready to choose from.

    Attributes:
        rows: by (workload, tuner), those that still mean something.
    """

    def __init__(self, rows: Iterable[TunedRow] = (), source: str = "") -> None:
        self.rows: dict[tuple[Key, str], TunedRow] = {}
        self._choices: dict[Key, ScheduleChoice] = {}
        stale = 0
        for row in rows:
            try:
                choice = row.choice() if row.tuner == CANDIDATES else None
            except ValueError as error:
                log.info("%s: skipped: %s", source, error)
                stale += 1
                continue
            self.rows[row.workload, row.tuner] = row
            if choice is not None:
                self._choices[row.workload] = choice
        if stale:
            log.warning("%s: %d rows of earlier schedules skipped; codegen.tune measures them anew", source, stale)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Tuned:
        """Read the data of a profile by its name (none there is no data), or a file by path (with a slash or .jsonl).

        Raises:
            UsageError: no such file, or a line before its last is torn. A torn last line, and rows of another format,
                are left out with a log line.
        """
        path = Path(name_or_path)
        if path.suffix != ".jsonl" and not any(mark in str(name_or_path) for mark in "/\\"):
            path = tuned_path(str(name_or_path))
            if not path.exists():
                return cls()
        return cls(read_rows(path), str(path))

    def row(self, workload: Workload, tuner: str = CANDIDATES) -> TunedRow | None:
        """What was measured for exactly this workload."""
        return self.rows.get((Key.of(workload), tuner))

    def choice(self, workload: Workload, profile: Profile) -> ScheduleChoice | None:
        """The choice for a workload: as it was tuned, else as the most similar workload was, as far as that is legal.

        Similar: `Key.distance`. What is answered is in the workload's own space on `profile`: the choice that was tuned
        or, since sizes enter some configurations, one that differs in a single field. None: nothing known fits.
        """
        key = Key.of(workload)
        near = ((key.distance(known), position, known) for position, known in enumerate(self._choices))
        ordered = sorted((row for row in near if row[0] is not None), key=lambda row: (row[2] != key, *row[:2]))
        legal = list(candidates(workload, profile)) if ordered else []
        return next((choice for *_, known in ordered if (choice := _fitting(self._choices[known], legal))), None)


def _fitting(wanted: ScheduleChoice, legal: Sequence[ScheduleChoice]) -> ScheduleChoice | None:
    """`wanted` if it is legal, else the legal one of its schedule that differs least and in one field only, if any."""
    if wanted in legal:
        return wanted
    values, best, least = wanted.to_dict(), None, math.inf
    for choice in legal:
        if choice.schedule == wanted.schedule:
            apart = [(values[name], value) for name, value in choice.to_dict().items() if values[name] != value]
            if len(apart) == 1 and (difference := _difference(*apart[0])) < least:
                best, least = choice, difference
    return best


def _difference(a: int | str, b: int | str) -> float:
    """Relative, of numbers; that of texts is larger than any."""
    if isinstance(a, str) or isinstance(b, str):
        return 2.0
    return abs(a - b) / max(abs(a), abs(b))


def tuned_path(profile: str) -> Path:
    """Where the tuned data of a profile comes with the package."""
    return TUNED_DIR / f"{profile}.jsonl"


def load_tuned(profile: Profile, flag: str | None = None) -> Tuned:
    """The data a --tuned flag means: a file, "none", or, where it is not given, that of the profile.

    Raises UsageError as `Tuned.load` does.
    """
    if flag == "none":
        return Tuned()
    return Tuned.load(profile.name if flag is None else Path(flag).absolute())


def read_rows(path: Path) -> list[TunedRow]:
    """All rows of a file, stale ones too; the latest of a (workload, tuner) alone. See `Tuned.load`."""
    lines = read_bounded(path, "tuned data").splitlines()
    rows: dict[tuple[Key, str], TunedRow] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = parse_json(line, LINE, f"{path}, line {number},")
        except NotJson:
            if number < len(lines):
                raise
            log.warning("%s: its last line is torn and left out", path)
            break
        try:
            row = decode(TunedRow, values)
        except ValueError as error:
            log.warning("%s, line %d, is of another format and left out: %s", path, number, error)
            continue
        rows[row.workload, row.tuner] = row
    return list(rows.values())


def update(path: Path, rows: Iterable[TunedRow]) -> None:
    """Write `rows` into a file, which is made, each in place of the one of its (workload, tuner); sorted, at one go.

    Raises UsageError where the file is no tuned data or cannot be written.
    """
    kept = {(row.workload, row.tuner): row for row in (read_rows(path) if path.exists() else [])}
    kept.update({(row.workload, row.tuner): row for row in rows})
    ordered = sorted(kept.values(), key=lambda row: (row.workload.order(), row.tuner))
    lines = [json.dumps(encode(row), allow_nan=False) + "\n" for row in ordered]
    write_text(path, "".join(lines), force=True)
