"""The orders in which the configurations of a history are tried, as learnt from other histories and from winners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.tuning_logs.histories import History
from codegen.tuning.ranking.learners import LearnedOrder, mean_ranks
from latency.cost_model.model import Inputs, Model, measured_ms
from latency.cost_model.trees import TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample

#: a device's winners of one kind of memory make a model where there are so many
LEAST_WINNERS = 60
#: classes of kernels that one model foretells
DIRECT = ("direct", "pointwise", "strided")

#: whether histories and winners of another (device, layer) may be learnt from for one that is asked about; never the
#: layer itself
MayLearn = Callable[[tuple[str, str], tuple[str, str]], bool]


def _same_device(asked: tuple[str, str], other: tuple[str, str]) -> bool:
    return other[0] == asked[0] and other[1] != asked[1]


def _other_devices(asked: tuple[str, str], other: tuple[str, str]) -> bool:
    return other[0] != asked[0] and other[1] != asked[1]


def _any_device(asked: tuple[str, str], other: tuple[str, str]) -> bool:
    return other[1] != asked[1]


SOURCES: dict[str, MayLearn] = {
    "same device": _same_device,
    "other devices": _other_devices,
    "any device": _any_device,
}


@dataclass(frozen=True)
class RankedHistory:
    """A history and, for each name of an order, the ranks of its configurations: the least is tried first."""

    history: History
    ranks: dict[str, np.ndarray]


def rank(histories: Sequence[History], asked: History, winners: Sequence[Sample], source: str) -> RankedHistory:
    """Ranks of one history by what is learnt from the others that `source` allows.

    Without anything to learn from there is no order: `ranks` is empty.
    """
    may_learn, name = SOURCES[source], (asked.device, asked.layer)
    others = [other for other in histories if may_learn(name, (other.device, other.layer))]
    ranks = {}
    if others:
        learned = LearnedOrder.learn([other.table for other in others], [other.ms for other in others])
        ranks["histories"] = learned.ranks(asked.table)
    allowed = [sample for sample in winners if may_learn(name, (sample.device, sample.shape_key))]
    foretold = _by_winners(allowed, asked)
    if foretold is not None:
        ranks["winners"] = foretold
        if others:
            ranks["both"] = mean_ranks([ranks["histories"], foretold])
    return RankedHistory(asked, ranks)


def _by_winners(winners: Sequence[Sample], asked: History) -> np.ndarray | None:
    """The mean rank by latency models, one a device, of the fastest configurations of other layers."""
    memories = {sample.config.get("texture") for sample in asked.samples}
    if asked.samples[0].kernel not in DIRECT:
        return None
    by_device: dict[str, list[Sample]] = {}
    for sample in winners:
        if sample.kernel in DIRECT and sample.config.get("texture") in memories:
            by_device.setdefault(sample.device, []).append(sample)
    inputs = Inputs.of([replace(sample, ms=None) for sample in asked.samples], Hardware())
    scores = [
        Model.fit(Inputs.of(samples, Hardware()), measured_ms(samples), TreeSettings()).predict(inputs)
        for samples in by_device.values()
        if len(samples) >= LEAST_WINNERS
    ]
    return mean_ranks(scores) if scores else None
