"""From the samples of one layer's kernels to a row of `benchmarks.kernels`; no torch, no TVM."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.kernel_break_even import best_break_even, median_ratio
from models.plans.sparsity import Sparsity

if TYPE_CHECKING:
    from codegen.kernels.choice import ScheduleChoice

ONEDNN, ONEDNN_PREPACKED, STOCK = "onednn", "onednn_prepacked", "stock_tvm"
#: what the names of schedules that are no direct convolution begin with
WINOGRAD = "winograd"
#: a sparse kernel stands for a ratio if it keeps at least this much of 1 / ratio; small layers have coarse units
LEAST_KEPT = 0.9


@dataclass(frozen=True)
class LayerFacts:
    """What a row says of its layer.

    Attributes:
        label: unique in its network.
        kind: "1x1", "3x3", ..., "depthwise", "grouped".
        count: how often the network has it.
        macs: multiply-adds of one.
        macs_share: of all of them together in the network's.
    """

    label: str
    kind: str
    count: int
    macs: int
    macs_share: float


@dataclass(frozen=True)
class Contender:
    """One kernel.

    Attributes:
        name: unique in its layer.
        choice: schedule and configuration; None for a peer.
        sparsity: None: dense.
        ratio: the dense / kept weights that was asked for.
        kept: the fraction of weights that is kept.
        family: sparse kernels of one family and schedule differ only in how much they keep.
    """

    name: str
    choice: ScheduleChoice | None = None
    sparsity: Sparsity | None = None
    ratio: float = 1.0
    kept: float = 1.0
    family: str = ""

    @property
    def schedule(self) -> str:
        return self.choice.schedule if self.choice else ""

    @property
    def config(self) -> str:
        return str(self.choice.config) if self.choice else ""

    @property
    def direct(self) -> bool:
        """Whether it multiplies weights with the input as they are."""
        return not self.schedule.startswith(WINOGRAD)


@dataclass(frozen=True)
class Timed:
    """A contender's seconds in each round, or why there are none."""

    contender: Contender
    secs: tuple[float, ...] = ()
    error: str | None = None

    @property
    def ms(self) -> float:
        """Median."""
        return 1e3 * median(self.secs)


@dataclass
class LayerTimes:
    """All that was found out about one layer.

    Attributes:
        timed: every contender of the interleaved run, by name.
        stock: stock TVM, and the dense kernel it was timed in turn with; empty where it was not.
        declined: sparse variants that no kernel runs, with the reason.
    """

    facts: LayerFacts
    timed: dict[str, Timed] = field(default_factory=dict)
    stock: dict[str, Timed] = field(default_factory=dict)
    declined: dict[str, str] = field(default_factory=dict)

    def dense(self) -> list[Timed]:
        """Our dense kernels that have times, fastest first."""
        return self._fastest(lambda one: one.choice is not None and one.sparsity is None)

    def direct(self) -> list[Timed]:
        """Likewise those that are not Winograd."""
        return [one for one in self.dense() if one.contender.direct]

    def sparse(self, ratio: float | None = None, only_direct: bool = False) -> list[Timed]:
        """Our sparse kernels that have times, fastest first; of one ratio, and those that stand for it, if given."""
        return self._fastest(
            lambda one: (
                one.sparsity is not None
                and (one.direct or not only_direct)
                and (ratio is None or (one.ratio == ratio and one.kept * one.ratio >= LEAST_KEPT))
            )
        )

    def _fastest(self, wanted: Any) -> list[Timed]:
        found = [one for one in self.timed.values() if one.secs and wanted(one.contender)]
        return sorted(found, key=lambda one: one.ms)

    def peer(self, name: str) -> Timed | None:
        found = self.timed.get(name)
        return found if found and found.secs else None


def ratio_name(ratio: float) -> str:
    """ "2", "1.5"."""
    return f"{ratio:g}"


def speedup(one: Timed | None, other: Timed | None) -> float | None:
    """How many times as fast `one` is as `other`: the median over the rounds; None without both."""
    return median_ratio(other.secs, one.secs) if one and other else None


def make_row(times: LayerTimes) -> dict[str, Any]:
    """The row of one layer; docs/benchmarks.md says what each key means."""
    facts = times.facts
    best, direct = next(iter(times.dense()), None), next(iter(times.direct()), None)
    dense: dict[str, Any] = {}
    for one in times.dense():  # the fastest configuration of each schedule comes first
        dense.setdefault(one.contender.schedule, {"ms": one.ms, "config": one.contender.config})
    plain, prepacked = times.peer(ONEDNN), times.peer(ONEDNN_PREPACKED)
    stock = times.stock.get(STOCK)
    return {
        "layer": facts.label,
        "kind": facts.kind,
        "count": facts.count,
        "macs": facts.macs,
        "macs_share": facts.macs_share,
        "dense": dense,
        "best_dense": _described(best),
        "best_direct": _described(direct),
        "best_direct_ms": direct.ms if direct else None,
        "onednn_ms": plain.ms if plain else None,
        "onednn_prepacked_ms": prepacked.ms if prepacked else None,
        "stock_tvm_ms": stock.ms if stock and stock.secs else None,
        "dense_vs_onednn": speedup(best, plain),
        "dense_vs_onednn_prepacked": speedup(best, prepacked),
        "direct_vs_onednn": speedup(direct, plain),
        "dense_vs_stock_tvm": _dense_vs_stock(times),
        "sparse": _sparse_ms(times),
        "best_sparse": _best_sparse(times, direct, best),
        "best_sparse_direct": _best_sparse(times, direct, best, only_direct=True),
        "break_even": {
            "direct": _break_even(times, direct, only_direct=True),
            "best_dense": _break_even(times, best),
        },
        "declined": times.declined,
        "errors": {name: one.error for name, one in {**times.timed, **times.stock}.items() if one.error},
    }


def _described(one: Timed | None) -> dict[str, Any] | None:
    return {"schedule": one.contender.schedule, "config": one.contender.config, "ms": one.ms} if one else None


def _dense_vs_stock(times: LayerTimes) -> float | None:
    ours = next((one for name, one in times.stock.items() if name != STOCK and one.secs), None)
    stock = times.stock.get(STOCK)
    return speedup(ours, stock) if stock and stock.secs else None


def _ratios(times: LayerTimes) -> list[float]:
    return sorted({one.contender.ratio for one in times.timed.values() if one.contender.sparsity is not None})


def _sparse_ms(times: LayerTimes) -> dict[str, dict[str, float]]:
    """Ratio -> sparsity -> milliseconds of its fastest kernel; "1" keeps everything."""
    found: dict[str, dict[str, float]] = {ratio_name(ratio): {} for ratio in _ratios(times)}
    for one in times.sparse():
        found[ratio_name(one.contender.ratio)].setdefault(str(one.contender.sparsity), one.ms)
    return found


def _best_sparse(
    times: LayerTimes, direct: Timed | None, best: Timed | None, only_direct: bool = False
) -> dict[str, Any]:
    """Ratio -> the fastest kernel that stands for it and its speed-ups; None where there is none."""
    found: dict[str, Any] = {}
    for ratio in _ratios(times):
        one = next(iter(times.sparse(ratio, only_direct)), None)
        found[ratio_name(ratio)] = one and {
            "sparsity": str(one.contender.sparsity),
            "kept": one.contender.kept,
            **(_described(one) or {}),
            "vs_direct": speedup(one, direct),
            "vs_best_dense": speedup(one, best),
        }
    return found


def _break_even(times: LayerTimes, rival: Timed | None, only_direct: bool = False) -> float | None:
    """The least over families and schedules, each with its own fastest configuration per ratio."""
    if rival is None:
        return None
    families: dict[tuple[str, str], dict[float, float]] = {}
    for one in times.sparse(only_direct=only_direct):
        over = median_ratio(one.secs, rival.secs)
        family = families.setdefault((one.contender.family, one.contender.schedule), {})
        if over is not None:
            family.setdefault(one.contender.kept, over)
    return best_break_even(families.values())
