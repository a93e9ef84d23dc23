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
        return self._fastest(lambda contender: contender.choice is not None and contender.sparsity is None)

    def direct(self) -> list[Timed]:
        """Likewise those that are not Winograd."""
        return [timed for timed in self.dense() if timed.contender.direct]

    def sparse(self, ratio: float | None = None, only_direct: bool = False) -> list[Timed]:
        """Our sparse kernels that have times, fastest first; of one ratio, and those that stand for it, if given."""
        return self._fastest(
            lambda contender: (
                contender.sparsity is not None
                and (contender.direct or not only_direct)
                and (ratio is None or (contender.ratio == ratio and contender.kept * contender.ratio >= LEAST_KEPT))
            )
        )

    def _fastest(self, accepts: Any) -> list[Timed]:
        matching = [timed for timed in self.timed.values() if timed.secs and accepts(timed.contender)]
        return sorted(matching, key=lambda timed: timed.ms)

    def peer(self, name: str) -> Timed | None:
        timed = self.timed.get(name)
        return timed if timed and timed.secs else None


def ratio_name(ratio: float) -> str:
    """ "2", "1.5"."""
    return f"{ratio:g}"


def speedup(timed: Timed | None, other: Timed | None) -> float | None:
    """How many times as fast `one` is as `other`: the median over the rounds; None without both."""
    return median_ratio(other.secs, timed.secs) if timed and other else None


def make_row(times: LayerTimes) -> dict[str, Any]:
    """The row of one layer; docs/benchmarks.md says what each key means."""
    facts = times.facts
    best, direct = next(iter(times.dense()), None), next(iter(times.direct()), None)
    dense: dict[str, Any] = {}
    for timed in times.dense():  # the fastest configuration of each schedule comes first
        dense.setdefault(timed.contender.schedule, {"ms": timed.ms, "config": timed.contender.config})
    plain, prepacked = times.peer(ONEDNN), times.peer(ONEDNN_PREPACKED)
    stock = times.stock.get(STOCK)
    return {
        "layer": facts.label,
        "kind": facts.kind,
        "count": facts.count,
        "macs": facts.macs,
        "macs_share": facts.macs_share,
        "dense": dense,
        "best_dense": _describe(best),
        "best_direct": _describe(direct),
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
        "errors": {name: timed.error for name, timed in {**times.timed, **times.stock}.items() if timed.error},
    }


def _describe(timed: Timed | None) -> dict[str, Any] | None:
    return {"schedule": timed.contender.schedule, "config": timed.contender.config, "ms": timed.ms} if timed else None


def _dense_vs_stock(times: LayerTimes) -> float | None:
    ours = next((timed for name, timed in times.stock.items() if name != STOCK and timed.secs), None)
    stock = times.stock.get(STOCK)
    return speedup(ours, stock) if stock and stock.secs else None


def _ratios(times: LayerTimes) -> list[float]:
    return sorted({timed.contender.ratio for timed in times.timed.values() if timed.contender.sparsity is not None})


def _sparse_ms(times: LayerTimes) -> dict[str, dict[str, float]]:
    """Ratio -> sparsity -> milliseconds of its fastest kernel; "1" keeps everything."""
    by_ratio: dict[str, dict[str, float]] = {ratio_name(ratio): {} for ratio in _ratios(times)}
    for timed in times.sparse():
        by_ratio[ratio_name(timed.contender.ratio)].setdefault(str(timed.contender.sparsity), timed.ms)
    return by_ratio


def _best_sparse(
    times: LayerTimes, direct: Timed | None, best: Timed | None, only_direct: bool = False
) -> dict[str, Any]:
    """Ratio -> the fastest kernel that stands for it and its speed-ups; None where there is none."""
    by_ratio: dict[str, Any] = {}
    for ratio in _ratios(times):
        timed = next(iter(times.sparse(ratio, only_direct)), None)
        by_ratio[ratio_name(ratio)] = timed and {
            "sparsity": str(timed.contender.sparsity),
            "kept": timed.contender.kept,
            **(_describe(timed) or {}),
            "vs_direct": speedup(timed, direct),
            "vs_best_dense": speedup(timed, best),
        }
    return by_ratio


def _break_even(times: LayerTimes, rival: Timed | None, only_direct: bool = False) -> float | None:
    """The least over families and schedules, each with its own fastest configuration per ratio."""
    if rival is None:
        return None
    families: dict[tuple[str, str], dict[float, float]] = {}
    for timed in times.sparse(only_direct=only_direct):
        over = median_ratio(timed.secs, rival.secs)
        family = families.setdefault((timed.contender.family, timed.contender.schedule), {})
        if over is not None:
            family.setdefault(timed.contender.kept, over)
    return best_break_even(families.values())
