"""The frontier as plain values: each plan's time with what it keeps, which of them no other beats, and the knee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: a knee lies so far beyond the line, both axes scaled to 1
LEAST_BEYOND = 0.02


@dataclass(frozen=True)
class FrontierPoint:
    """One network of a frontier.

    Attributes:
        name: of its folder; "dense".
        asked: the speed-up that was asked for; 1 of the dense network.
        ms: of an inference, measured: median, low and high quartile.
        speedup: dense / this in the same rounds: median, low and high end of its interval.
        kept: AP, or agreement where nothing is annotated; None where that is not known.
        kept_low, kept_high: its interval, for AP of the change from the dense network, paired.
        predicted_lost: of AP or agreement, with its interval; None where it was not predicted.
        predicted_unit: which of the two that is, which need not be what `kept` is.
        params_ratio: dense / kept parameters.
        artifact: file.
        ok: it gives what torch gives.
    """

    name: str
    asked: float
    ms: tuple[float, float, float]
    speedup: tuple[float, float, float]
    kept: float | None = None
    kept_low: float | None = None
    kept_high: float | None = None
    predicted_lost: tuple[float, float, float] | None = None
    predicted_unit: str | None = None
    params_ratio: float = 1.0
    artifact: str = ""
    ok: bool = True


def unbeaten(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """Those of which none other is both faster and no worse, the slowest first; of unknown ones none."""
    known = sorted((point for point in points if point.kept is not None), key=lambda point: point.ms[0])
    best: list[FrontierPoint] = []
    for point in known:
        if not best or (point.kept or 0.0) > (best[-1].kept or 0.0):
            best.append(point)
    return best[::-1]


def knee(points: Sequence[FrontierPoint]) -> FrontierPoint | None:
    """The point that lies farthest beyond the line from the slowest unbeaten point to the fastest, both axes scaled to
    the span between these: before it speed is cheap, after it dear. None of fewer than three unbeaten points, and where
    none lies beyond the line."""
    front = unbeaten(points)
    if len(front) < 3:
        return None
    slow, fast = front[0], front[-1]
    span_ms, span_kept = slow.ms[0] - fast.ms[0], (slow.kept or 0.0) - (fast.kept or 0.0)

    def beyond(point: FrontierPoint) -> float:
        return (slow.ms[0] - point.ms[0]) / span_ms - ((slow.kept or 0.0) - (point.kept or 0.0)) / span_kept

    best = max(front[1:-1], key=beyond)
    return best if beyond(best) > LEAST_BEYOND else None


def point_of(name: str, asked: float, facts: dict[str, Any], artifact: str) -> FrontierPoint:
    """A planned network, of the content of its result.json."""
    head = facts["headline"]
    kept, low, high = kept_of(head)
    predicted = head["predicted_loss"]
    speedup = (head["speedup"], *head["speedup_interval"])
    return FrontierPoint(
        name, asked, (head["sparse_ms"], *head["sparse_iqr_ms"]), speedup, kept, low, high,
        None if predicted is None else (predicted["lost"], predicted["low"], predicted["high"]),
        None if predicted is None else predicted["unit"],
        head["params_dense"] / head["params_kept"], artifact, facts["verify"]["sparse"]["ok"],
    )  # fmt: skip


def kept_of(head: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    """What a planned network keeps, of its headline: AP where it was judged, else agreement; with its interval."""
    dense, sparse, change = head["ap_dense"], head["ap_sparse"], head["ap_change_interval"]
    if dense is not None and sparse is not None:
        return sparse, *((dense + change[0], dense + change[1]) if change else (None, None))
    agreement = head["agreement"]
    low, high = agreement.get("interval") or (None, None)
    return agreement.get("agreement"), low, high


def dense_point(facts: dict[str, Any], artifact: str) -> FrontierPoint:
    """The dense network, of the content of a planned one's result.json."""
    head = facts["headline"]
    kept = head["ap_dense"]
    if kept is None and head["agreement"].get("agreement") is not None:
        kept = 1.0
    ms = (head["dense_ms"], *head["dense_iqr_ms"])
    return FrontierPoint("dense", 1.0, ms, (1.0, 1.0, 1.0), kept, artifact=artifact, ok=facts["verify"]["dense"]["ok"])


def unit_of(facts: dict[str, Any]) -> str:
    """What is kept, of a result's content: "AP" or "agreement"."""
    return "agreement" if facts["headline"]["ap_dense"] is None else "AP"
