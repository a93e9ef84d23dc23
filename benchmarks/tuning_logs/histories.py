"""Histories: of a layer on a device all configurations of one template that somebody's tuning tried, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.tuning_logs.columns import columns
from fleetpose.errors import UsageError
from latency.dataset.read import Dataset
from latency.dataset.sample import Sample
from latency.dataset.tables import passes
from latency.dataset.tvm_kernels import failure_of, is_tvm_row, parse_config, tvm_row_sample

#: configurations with a time below which a history is no search
LEAST_TIMED = 20


@dataclass(frozen=True)
class TriedConfiguration:
    """A configuration: `sample` is the layer under it, its `ms` None where it failed; `knobs` as the log has them."""

    sample: Sample
    schedule: str
    knobs: Mapping[str, str]


@dataclass(frozen=True)
class History:
    """One search.

    Attributes:
        device: where it ran; layer: a digest of the layer, whatever its dtype.
        samples: of each configuration.
        table: what a learner sees of each (configurations, columns).
        ms: milliseconds of each, infinite where it failed.
    """

    device: str
    layer: str
    samples: tuple[Sample, ...]
    table: np.ndarray
    ms: np.ndarray

    @classmethod
    def of(cls, tried: Sequence[TriedConfiguration]) -> History:
        first = tried[0].sample
        samples = tuple(one_try.sample for one_try in tried)
        table = np.array([columns(one_try.sample, one_try.schedule, one_try.knobs) for one_try in tried], np.float64)
        ms = np.array([np.inf if sample.ms is None else sample.ms for sample in samples], np.float64)
        return cls(first.device, first.shape_key, samples, table, ms)


def read_histories(dataset: Dataset) -> list[History]:
    """The searches of CSV tables of TVM's kernels and of AutoTVM's logs, by device, layer, template and dtype.

    Raises UsageError where there is none.
    """
    searches: dict[tuple[str, ...], list[TriedConfiguration]] = {}
    for tried in _tried(dataset):
        sample = tried.sample
        key = (sample.device, sample.shape_key, tried.schedule, sample.dtype, sample.widened)
        searches.setdefault(key, []).append(tried)
    timed = [search for search in searches.values() if sum(tried.sample.ms is not None for tried in search)
             >= LEAST_TIMED]  # fmt: skip
    if not timed:
        names = ", ".join(str(path) for path in dataset.paths)
        raise UsageError(f"{names}: no layer has {LEAST_TIMED} configurations of one template with a time")
    return [History.of(search) for search in timed]


def _tried(dataset: Dataset) -> Iterator[TriedConfiguration]:
    for rows in dataset.tables:
        for row in rows:
            if is_tvm_row(row) and passes(row, dataset.wanted):
                failed = bool(failure_of(row))
                if failed or row.values.get("suspect", "0") != "1":
                    sample, knobs = tvm_row_sample(row), parse_config(row.values["config"])
                    yield TriedConfiguration(sample, row.values["schedule"], knobs)
    for file in dataset.foreign:
        for tried in file.passing(dataset.wanted):
            if tried.config:
                yield TriedConfiguration(tried.sample, tried.schedule, tried.config)


def read_winners(paths: Sequence[Path]) -> list[Sample]:
    """The fastest known configurations of layers, of any device: what the latency model learns from."""
    return Dataset.read(paths, (), configurations=True).samples(several=True)
