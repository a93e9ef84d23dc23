"""Trials: every candidate that was timed, of each workload; what ranking learns from. JSON lines, one a workload.

Those of a tuning stand beside its tuned data: `host-intel.jsonl` has `host-intel.trials.jsonl`. Some come with the
package.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codegen.tuning.key import Key
from fleetpose.codec import decode, encode, parse_json
from fleetpose.codec.text import LINE
from fleetpose.files import read_bounded, write_text

log = logging.getLogger("codegen.tuning.ranking.trials")

#: workloads that are kept and learnt from, the newest: some networks' worth
MOST_WORKLOADS = 1000


@dataclass(frozen=True)
class Trials:
    """The trials of one workload on one device.

    Attributes:
        workload: as tuned data names it.
        choices: configurations, as `ScheduleChoice.to_dict` has them; the default of the latest tuning first.
        ms: milliseconds of each; None where it failed.
        layers: how many layers of the networks that were tuned have the workload.
    """

    workload: Key
    choices: tuple[Mapping[str, Any], ...]
    ms: tuple[float | None, ...]
    layers: int = 1

    def __post_init__(self) -> None:
        if len(self.choices) != len(self.ms):
            raise ValueError("its choices and their times differ in number")

    def joined(self, later: Trials) -> Trials:
        """The trials of two tunings of the workload; of a candidate that both tried the later one counts."""
        times = {_named(choice): (choice, ms) for choice, ms in zip(later.choices, later.ms, strict=True)}
        for choice, ms in zip(self.choices, self.ms, strict=True):
            times.setdefault(_named(choice), (choice, ms))
        return replace(
            later, choices=tuple(choice for choice, _ in times.values()), ms=tuple(ms for _, ms in times.values())
        )


def _named(choice: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(choice.items()))


def trials_path(tuned: Path) -> Path:
    """Where the trials of a file of tuned data are."""
    return tuned.with_name(f"{tuned.stem}.trials.jsonl")


def read_trials(path: Path) -> list[Trials]:
    """The workloads of a file, the newest last; none where it is missing.

    Lines of another format are left out with a log line, since nothing but an order depends on them. Raises UsageError
    where the file cannot be read.
    """
    if not path.exists():
        return []
    known: list[Trials] = []
    for number, line in enumerate(read_bounded(path, "trials").splitlines(), 1):
        if line.strip():
            try:
                known.append(decode(Trials, parse_json(line, LINE, f"{path}, line {number},")))
            except ValueError as error:
                log.warning("%s, line %d, is left out: %s", path, number, error)
    return known[-MOST_WORKLOADS:]


def join_trials(known: Iterable[Trials]) -> list[Trials]:
    """All trials of each workload, that of the latest tuning last: a short tuning takes nothing from a longer one."""
    joined: dict[Key, Trials] = {}
    for trials in known:
        earlier = joined.pop(trials.workload, None)
        joined[trials.workload] = trials if earlier is None else earlier.joined(trials)
    return list(joined.values())


def write_trials(path: Path, known: Iterable[Trials]) -> None:
    """Write a file anew, a line for each workload. Raises UsageError where it cannot be written."""
    kept = join_trials(known)[-MOST_WORKLOADS:]
    write_text(path, "".join(json.dumps(encode(trials), separators=(",", ":")) + "\n" for trials in kept), force=True)


def rounded_ms(secs: Sequence[float | None]) -> tuple[float | None, ...]:
    """Seconds as milliseconds of five digits."""
    return tuple(None if value is None else float(f"{1e3 * value:.5g}") for value in secs)
