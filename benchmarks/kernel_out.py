"""The result of `benchmarks.kernels` for people: tables, a CSV file, a drawing."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleetpose import cli
from fleetpose.files import atomic_output

Rows = Sequence[Mapping[str, Any]]

_PEERS = {"onednn": "dense_vs_onednn", "prepacked": "dense_vs_onednn_prepacked", "stock": "dense_vs_stock_tvm"}


def print_result(result: Mapping[str, Any]) -> None:
    """Dense against the peers, sparse against dense, what they come to, and what has no times."""
    rows = result["rows"]
    _print_dense(rows)
    if any(any(row["best_sparse"].values()) for row in rows):
        print()
        _print_sparse(rows)
    print()
    for line in _conclusions(result):
        print(line)
    for row in rows:
        for name, reason in row["errors"].items():
            print(f"{row['layer']}, {name}: {reason}")


def _print_dense(rows: Rows) -> None:
    header = (
        "layer",
        "times",
        "MACs %",
        "fastest dense",
        "ms",
        "direct ms",
        "GMAC/s",
        "onednn ms",
        *map("/ {}".format, _PEERS),
    )
    lines = []
    for row in rows:
        best = row["best_dense"]
        ms = best["ms"] if best else None
        facts = (row["layer"], row["count"], f"{100 * row['macs_share']:.1f}")
        name = f"{best['schedule']} {best['config']}".strip() if best else "-"
        rate = _number(row["macs"] / ms * 1e-6 if ms else None, 0)
        times = [_number(value, 3) for value in (ms, row["best_direct_ms"])]
        ratios = [_number(row[key]) for key in _PEERS.values()]
        lines.append((*facts, name, *times, rate, _number(row["onednn_ms"], 3), *ratios))
    cli.print_table(header, lines)


def _print_sparse(rows: Rows) -> None:
    """Per ratio: how many times as fast as best direct and as best dense; then where sparse breaks even with each."""
    shown = [row for row in rows if any(row["best_sparse"].values())]
    ratios = sorted({ratio for row in shown for ratio in row["best_sparse"]}, key=float)
    header = (
        "layer",
        *(f"{ratio}x direct/dense" for ratio in ratios),
        "break-even direct",
        "break-even dense",
        "fastest sparse",
    )
    lines = []
    for row in shown:
        bests = [row["best_sparse"].get(ratio) for ratio in ratios]
        speedups = [
            f"{_number(entry['vs_direct'])}/{_number(entry['vs_best_dense'])}" if entry else "-" for entry in bests
        ]
        evens = (_number(row["break_even"][rival]) for rival in ("direct", "best_dense"))
        last = next(entry for entry in reversed(bests) if entry)
        lines.append((row["layer"], *speedups, *evens, f"{last['schedule']} {last['sparsity']}"))
    cli.print_table(header, lines)


def _conclusions(result: Mapping[str, Any]) -> list[str]:
    lines = []
    least, sums = result["min_dense_vs_onednn"], result["sum_ms"]
    for title, key in (
        ("dense / oneDNN", "geomean_dense_vs_onednn"),
        ("dense / prepacked oneDNN", "geomean_dense_vs_onednn_prepacked"),
        ("depthwise / oneDNN", "depthwise_vs_onednn"),
        ("dense / stock TVM", "geomean_dense_vs_stock_tvm"),
    ):
        if result[key] is not None:
            lines.append(f"{title}: {result[key]:.2f} times as fast (geometric mean over layers)")
    if least:
        lines.append(f"least of the layers above 1 % of the MACs: {least['ratio']:.2f}, {least['layer']}")
    for kind in result["sparse"]:
        for key, title, rival in (
            ("sparse_direct", "without Winograd / best direct", "direct"),
            ("sparse", "/ best direct", None),
            ("sparse_vs_best_dense", "/ best dense", "best_dense"),
        ):
            means = ", ".join(f"{ratio}x: {_number(value)}" for ratio, value in result[key][kind].items())
            even = _number(result["break_even"][rival][kind]) if rival else ""
            lines.append(
                f"sparse {kind} {title}: {means}" + (f"; break-even {even} (median of layers)" if rival else "")
            )
    known = [f"{name} {ms:.1f}" for name, ms in sums.items() if ms is not None]
    if known:
        lines.append(f"sum over the network's convolutions, ms: {', '.join(known)}")
    lines.append("Ours includes each layer's fused epilogue; oneDNN and stock TVM compute convolution and bias only.")
    return lines


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def write_csv(rows: Rows, path: Path) -> None:
    """One line per layer; a column per schedule and per ratio, those of all rows."""
    schedules = list(dict.fromkeys(name for row in rows for name in row["dense"]))
    ratios = sorted({ratio for row in rows for ratio in row["best_sparse"]}, key=float)
    lines = []
    for row in rows:
        line = {key: row[key] for key in row if not isinstance(row[key], dict | list)}
        line["best_dense"] = row["best_dense"]["schedule"] if row["best_dense"] else None
        line["best_direct"] = row["best_direct"]["schedule"] if row["best_direct"] else None
        line.update({f"{name}_ms": row["dense"].get(name, {}).get("ms") for name in schedules})
        for ratio in ratios:
            best = row["best_sparse"].get(ratio) or {}
            line.update(
                {f"sparse_{ratio}_{key}": best.get(key) for key in ("sparsity", "ms", "vs_direct", "vs_best_dense")}
            )
        line.update({f"break_even_{rival}": ratio for rival, ratio in row["break_even"].items()})
        line["errors"] = "; ".join(f"{name}: {reason}" for name, reason in row["errors"].items())
        lines.append(line)
    with atomic_output(path, force=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def plot(rows: Rows, path: Path) -> None:
    """Left: ours over oneDNN, layer by layer. Right: speed-up over best direct against the ratio, a line per layer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4 + 0.28 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2)
    for offset, key, label in ((-0.2, "dense_vs_onednn", "plain"), (0.2, "dense_vs_onednn_prepacked", "prepacked")):
        left.barh([place + offset for place in range(len(rows))], [row[key] or 0 for row in rows], 0.4, label=label)
    left.set_yticks(range(len(rows)), [row["layer"] for row in rows], fontsize=7)
    left.invert_yaxis()
    left.axvline(1, color="black", linewidth=0.8)
    left.set_xlabel("best dense: times as fast as oneDNN")
    left.legend()
    colours = {"1x1": "tab:blue", "3x3": "tab:orange"}
    for row in rows:
        known = {float(ratio): best["vs_direct"] for ratio, best in row["best_sparse"].items() if best}
        points = [(ratio, speedup) for ratio, speedup in known.items() if speedup is not None]
        if points:
            right.plot(*zip(*points, strict=True), "o-", color=colours.get(row["kind"], "tab:gray"), alpha=0.6)
    right.plot([1, 8], [1, 8], color="black", linewidth=0.8)
    right.set_title("blue 1x1, orange 3x3, grey others; black: as much faster as sparser", fontsize=9)
    right.set_xlabel("dense / kept weights")
    right.set_ylabel("sparse: times as fast as best direct")
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
