"""What came of a frontier: frontier.json, its picture, and a table, of the results of all its plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleetpose.codec import encode
from fleetpose.files import read_json, write_json, write_text
from latency.optimize.frontier.curve import FrontierPoint, dense_point, knee, point_of, unit_of
from latency.optimize.frontier.picture import plot_frontier
from latency.optimize.job import DENSE_SO, RESULT, SPARSE_SO, Job

FRONTIER, PICTURE, TABLE, FORMAT = "frontier.json", "frontier.png", "frontier.md", "fleetpose.frontier/1"
HEADER = ("network", "ms", "times as fast", "{unit} kept", "lost, predicted", "{unit} lost", "parameters", "")


def write_frontier(job: Job, jobs: Mapping[float, Job]) -> str:
    """frontier.json, frontier.png and frontier.md in the folder of a frontier; what they say in words."""
    results = {value: read_json(point.path(RESULT), "result") for value, point in jobs.items()}
    first = next(iter(results.values()))
    points = [dense_point(first, job.file_name(DENSE_SO))]
    for value, point in jobs.items():
        name = point.request.folder.name
        points.append(point_of(name, value, results[value], point.file_name(f"{name}/{SPARSE_SO}")))
    content = frontier_facts(job.request.model, first, points)
    write_json(job.path(FRONTIER), content, force=True)
    plot_frontier(job.path(PICTURE), content, points)
    write_table(job.path(TABLE), content, points)
    best = content["knee"]
    return f"{len(jobs)} plans" + (f"; the knee is {best}" if best else "; no plan is a knee")


def frontier_facts(model: str, result: Mapping[str, Any], points: Sequence[FrontierPoint]) -> dict[str, Any]:
    """The content of frontier.json.

    Args:
        result: of any of the plans.
        points: the dense network first.
    """
    best = knee(points)
    return {
        "format": FORMAT,
        "model": model,
        "device": result["device"],
        "unit": unit_of(dict(result)),
        "knee": None if best is None else best.name,
        "points": encode(list(points)),
        "peers": [],
    }


def table_rows(content: Mapping[str, Any], points: Sequence[FrontierPoint]) -> list[tuple[str, ...]]:
    """The points as a table has them: HEADER, then a row each."""
    dense = points[0]
    header = tuple(text.format(unit=content["unit"]) for text in HEADER)
    return [header, *(_row(point, dense, content["knee"]) for point in points)]


def write_table(path: Path, content: Mapping[str, Any], points: Sequence[FrontierPoint]) -> None:
    """Write the table and the picture as Markdown, in place of what is there."""
    header, *rows = table_rows(content, points)
    device = content["device"]
    lines = [
        f"# {content['model']} on {device['profile'] or device['name']}: speed against {content['unit']}\n",
        f"{suggested(content, points)[0].upper()}{suggested(content, points)[1:]}.\n",
        f"| {' | '.join(header)} |",
        f"|{'-|' * len(header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        f"\n![Time against what is kept]({PICTURE})",
        "\nEach network's folder has its artifact, plan, weights and report.",
    ]
    write_text(path, "\n".join(lines) + "\n", force=True)


def _row(point: FrontierPoint, dense: FrontierPoint, best: str | None) -> tuple[str, ...]:
    lost = None if point.kept is None or dense.kept is None else dense.kept - point.kept
    bounds = point.kept_low, point.kept_high
    within = "" if None in bounds else f" ({bounds[0]:.3f} to {bounds[1]:.3f})"
    sparse = point is not dense
    marks = ["knee"] if point.name == best else []
    return (
        point.name,
        f"{point.ms[0]:.4g}",
        f"{point.speedup[0]:.2f} ({point.speedup[1]:.2f} to {point.speedup[2]:.2f})" if sparse else "1",
        "-" if point.kept is None else f"{point.kept:.3f}{within}",
        "-" if point.predicted_lost is None else _predicted(point.predicted_unit, *point.predicted_lost),
        "-" if lost is None or not sparse else f"{lost:.3f}",
        f"/ {point.params_ratio:.2f}",
        ", ".join([*marks, *([] if point.ok else ["does not give what torch gives"])]),
    )


def _predicted(unit: str | None, lost: float, low: float, high: float) -> str:
    """A predicted loss with its unit, which need not be the one that was measured."""
    return f"{unit} {lost:.3f} ({low:.3f} to {high:.3f})"


def suggested(content: Mapping[str, Any], points: Sequence[FrontierPoint]) -> str:
    """Which plan to take, as a sentence."""
    if content["knee"] is not None:
        return f"the knee is {content['knee']}: faster plans lose more for what they gain"
    if any(point.kept is None for point in points):
        return "no plan is suggested: what they keep is not known; give --data or --val"
    return "no plan is a knee: none keeps more than those between its neighbours would"


def relative(points: Sequence[FrontierPoint], folder: Path) -> list[FrontierPoint]:
    """The points with their artifacts as paths."""
    return [replace(point, artifact=str(folder / point.artifact)) for point in points]
