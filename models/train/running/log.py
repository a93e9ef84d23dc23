"""A training's steps as they are reported, and their course as CSV, which is continued when the training is resumed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetpose.disk.refusals import naming_output
from fleetpose.files import append, write_text

COLUMNS = ("step", "progress", "secs", "views_per_sec", "lr", "loss", "labels", "soft", "hints", "penalty")


@dataclass(frozen=True)
class TrainStep:
    """One step of a training, for a log or a progress line.

    step: counted from 1. progress: fraction of the training done. secs: of training so far, earlier runs included.
    views: in this step. lr: the learning rate. losses: by name, weighted as they are in "loss", their sum.
    """

    step: int
    progress: float
    secs: float
    views: int
    lr: float
    losses: dict[str, float]


Report = Callable[[TrainStep], None]


def may_go_on(path: Path, checkpoint: Path) -> bool:
    """Whether a file is the log of a training that has not ended, so that the same command goes on in it.

    Args:
        checkpoint: the training's; where it is there, the training has not ended whatever the log says.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            columns, rows = tuple(reader.fieldnames or ()), list(reader)
        ended = bool(rows) and float(rows[-1]["progress"] or 0) >= 1
    except (OSError, ValueError, TypeError, KeyError, csv.Error):
        return False
    return columns == COLUMNS and (checkpoint.exists() or not ended)


class CsvLog:
    """Appends means over `every` steps to a file.

    The file's rows from the first reported step on are dropped: an interrupted training does these steps again.
    """

    def __init__(self, path: Path, every: int = 10) -> None:
        self.path, self.every = path, every
        self.pending: list[TrainStep] = []
        self.last_secs: float | None = None

    def add(self, step: TrainStep) -> None:
        """Take in one step. Raises UsageError if the file cannot be written."""
        if self.last_secs is None:
            self._begin(step.step)
            self.last_secs = step.secs if step.step > 1 else 0.0
        self.pending.append(step)
        if len(self.pending) >= self.every or step.progress >= 1:
            self._write()

    def _begin(self, first: int) -> None:
        rows: list[dict[str, Any]] = []
        if self.path.exists() and first > 1:
            with open(self.path, newline="", encoding="utf-8") as stream:
                rows = [row for row in csv.DictReader(stream) if int(row.get("step") or 0) < first]
        write_text(self.path, _csv(rows, header=True), force=True)

    def _write(self) -> None:
        last, number = self.pending[-1], len(self.pending)
        names = {name for step in self.pending for name in step.losses}
        means = {name: sum(step.losses.get(name, 0.0) for step in self.pending) / number for name in names}
        taken = last.secs - (self.last_secs or 0.0)
        views = sum(step.views for step in self.pending)
        row = {
            "step": last.step,
            "progress": f"{last.progress:.5f}",
            "secs": f"{last.secs:.1f}",
            "views_per_sec": f"{views / taken:.3f}" if taken > 0 else "",
            "lr": f"{last.lr:.3g}",
            **{name: f"{value:.5g}" for name, value in means.items()},
        }
        with naming_output(self.path):
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            append(handle, self.path, _csv([row]).encode())
        finally:
            os.close(handle)
        self.pending, self.last_secs = [], last.secs


def _csv(rows: list[dict[str, Any]], header: bool = False) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
