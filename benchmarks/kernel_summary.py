"""What the rows of `benchmarks.kernels` come to: geometric means and least values over layers; no torch, no TVM.

Every unique layer counts once, however often the network has it; only the sums of milliseconds count each as often.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.kernel_break_even import geometric_mean, middle_break_even

Rows = Sequence[Mapping[str, Any]]

#: layers with less of the network's multiply-adds do not decide the least ratio
LEAST_SHARE = 0.01
RIVALS = ("direct", "best_dense")


def summary(rows: Rows) -> dict[str, Any]:
    """The keys beside "rows"; docs/benchmarks.md says what each means. None where no layer has the numbers."""
    return {
        "geomean_dense_vs_onednn": _mean(rows, "dense_vs_onednn"),
        "geomean_dense_vs_onednn_prepacked": _mean(rows, "dense_vs_onednn_prepacked"),
        "geomean_direct_vs_onednn": _mean(rows, "direct_vs_onednn"),
        "min_dense_vs_onednn": _least(rows, "dense_vs_onednn"),
        "geomean_dense_vs_stock_tvm": _mean(rows, "dense_vs_stock_tvm"),
        "median_dense_vs_stock_tvm": _median(rows, "dense_vs_stock_tvm"),
        "depthwise_vs_onednn": _mean([row for row in rows if row["kind"] == "depthwise"], "dense_vs_onednn"),
        "sparse": _speedups(rows, "best_sparse", "vs_direct"),
        "sparse_direct": _speedups(rows, "best_sparse_direct", "vs_direct"),
        "sparse_vs_best_dense": _speedups(rows, "best_sparse", "vs_best_dense"),
        "break_even": {
            **{rival: _break_evens(rows, rival) for rival in RIVALS},
            "worst": {rival: _worst_break_evens(rows, rival) for rival in RIVALS},
        },
        "sum_ms": {
            "best_dense": _sum([(row["count"], (row["best_dense"] or {}).get("ms")) for row in rows]),
            "best_direct": _sum([(row["count"], row["best_direct_ms"]) for row in rows]),
            "onednn": _sum([(row["count"], row["onednn_ms"]) for row in rows]),
            "onednn_prepacked": _sum([(row["count"], row["onednn_prepacked_ms"]) for row in rows]),
            "stock_tvm": _sum([(row["count"], row["stock_tvm_ms"]) for row in rows]),
        },
    }


def _mean(rows: Rows, key: str) -> float | None:
    return geometric_mean(row[key] for row in rows)


def _median(rows: Rows, key: str) -> float | None:
    known = [row[key] for row in rows if row[key] is not None]
    return median(known) if known else None


def _least(rows: Rows, key: str) -> dict[str, Any] | None:
    """{"layer", "ratio"} of the layer that does worst, among those above LEAST_SHARE."""
    known = [row for row in rows if row["macs_share"] > LEAST_SHARE and row[key] is not None]
    worst = min(known, key=lambda row: row[key], default=None)
    return None if worst is None else {"layer": worst["layer"], "ratio": worst[key]}


def _sum(counted: Sequence[tuple[int, float | None]]) -> float | None:
    """None where a layer lacks its milliseconds: a sum of some would be compared with sums of all."""
    known = [count * ms for count, ms in counted if ms is not None]
    return sum(known) if known and len(known) == len(counted) else None


def _by_kind(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """The rows that have sparse kernels, by kind of layer."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if any(row["best_sparse"].values()):
            groups.setdefault(row["kind"], []).append(row)
    return dict(sorted(groups.items()))


def _speedups(rows: Rows, kernels: str, key: str) -> dict[str, dict[str, float | None]]:
    """Kind -> ratio -> geometric mean over the layers that have a kernel which stands for the ratio."""
    found = {}
    for kind, own in _by_kind(rows).items():
        ratios = dict.fromkeys(ratio for row in own for ratio in row[kernels] if ratio != "1")
        bests = {ratio: [row[kernels].get(ratio) for row in own] for ratio in sorted(ratios, key=float)}
        found[kind] = {ratio: geometric_mean(best and best[key] for best in some) for ratio, some in bests.items()}
    return found


def _break_evens(rows: Rows, rival: str) -> dict[str, float | None]:
    """Kind -> the median over its layers."""
    return {kind: middle_break_even(_break_even_ratios(own, rival)) for kind, own in _by_kind(rows).items()}


def _worst_break_evens(rows: Rows, rival: str) -> dict[str, dict[str, Any]]:
    """Kind -> {"layer", "ratio"} of the layer that breaks even last; ratio None where it never does."""
    found = {}
    for kind, own in _by_kind(rows).items():
        last = max(own, key=lambda row: _or_never(row["break_even"][rival]))
        found[kind] = {"layer": last["layer"], "ratio": last["break_even"][rival]}
    return found


def _break_even_ratios(rows: Rows, rival: str) -> list[float | None]:
    """Break-even ratios of the layers where the rival has times."""
    return [row["break_even"][rival] for row in rows if row["best_direct" if rival == "direct" else rival]]


def _or_never(ratio: float | None) -> float:
    return math.inf if ratio is None else ratio
