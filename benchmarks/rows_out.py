"""The rows of `benchmarks.networks` for people: a table, a CSV file, a drawing."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engines import engine
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import atomic_output, check_writable

Rows = Sequence[Mapping[str, Any]]

_COLUMNS = ("network", "plan", "engine", "threads", "height", "width", "rounds", "median_ms", "min_ms")
_RATIO = ("time_over_ours", "time_over_ours_low", "time_over_ours_high")
COLUMNS = (*_COLUMNS, *_RATIO, "max_abs_error", "error", "version", "device")


def check(table: Path | None, drawing: Path | None) -> None:
    """Raises UsageError for what cannot be written, before any work is done. Existing files are replaced."""
    check_writable(*[path for path in (table, drawing) if path], force=True)
    if drawing and drawing.suffix != ".png":
        raise UsageError(f"--plot writes a .png, not {drawing.name}")
    if drawing and importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install -e '.[bench]'")


def print_rows(rows: Rows) -> None:
    """A table, then why some rows have no times."""
    header = ("network", "size", "plan", "engine", "threads", "median ms", "min ms", "time / ours", "95 % interval")
    lines = []
    for row in rows:
        over = row["time_over_ours"]
        ratio = (f"{over['median']:.2f}", f"{over['low']:.2f}-{over['high']:.2f}") if over else ("", "")
        times = ("-", "-") if row["error"] else (f"{row['median_ms']:.1f}", f"{row['min_ms']:.1f}")
        size = "x".join(map(str, row["size"]))
        lines.append((row["network"], size, row["plan"], row["engine"], row["threads"], *times, *ratio))
    cli.print_table(header, lines)
    for row in rows:
        if row["error"]:
            print(f"{row['network']} on {row['engine']}: {row['error']}")


def write_csv(rows: Rows, conditions: Mapping[str, Any], path: Path) -> None:
    """One line per row under COLUMNS; empty where there is no value.

    Args:
        conditions: of the run, with "device" and "versions" of packages by name.
    """
    with atomic_output(path, force=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            over = row["time_over_ours"] or {}
            ratio = dict(zip(_RATIO, (over.get(key) for key in ("median", "low", "high")), strict=True))
            packages = engine(row["engine"]).distributions
            version = " ".join(f"{name} {conditions['versions'].get(name, '')}" for name in packages)
            size = {"height": row["size"][0], "width": row["size"][1]}
            writer.writerow({**row, **size, **ratio, "version": version, "device": conditions["device"]["name"]})


def plot(rows: Rows, path: Path) -> None:
    """One panel per network, engines from fast to slow: a dot at the median, a line from there to the least time."""
    from matplotlib.figure import Figure

    networks = list(dict.fromkeys(row["network"] for row in rows))
    timed = {name: [row for row in rows if row["network"] == name and not row["error"]] for name in networks}
    most = max(map(len, timed.values()))
    figure = Figure(figsize=(7, len(networks) * (0.8 + 0.35 * most)), layout="constrained")
    for axes, (name, own) in zip(figure.subplots(len(networks), 1, squeeze=False)[:, 0], timed.items(), strict=True):
        own.sort(key=lambda row: -row["median_ms"])
        for height, row in enumerate(own):
            colour = "tab:orange" if row["engine"] == "ours" else "tab:blue"
            axes.plot([row["min_ms"], row["median_ms"]], [height, height], color=colour)
            axes.plot(row["median_ms"], height, "o", color=colour)
            axes.annotate(f"{row['median_ms']:.1f}", (row["median_ms"], height), (6, -3), textcoords="offset points")
        axes.set_yticks(range(len(own)), [f"{row['engine']}, {row['plan']}" for row in own])
        axes.set_xscale("log")
        axes.margins(x=0.15, y=0.15)
        axes.set_title(name, loc="left")
        axes.set_xlabel("ms per inference (logarithmic)")
        axes.grid(axis="x", which="both", alpha=0.2)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
