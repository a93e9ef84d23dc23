"""AP against parameters kept: `python -m benchmarks.pruning`, a table (CSV) and a plot.

    python -m benchmarks.pruning --weights w.safetensors --data photos --val coco --sensitivity s.json -o build/pruning

Every cell is one network: a family of sparsities, a ratio, zeros uniform or allocated, a method. Files of finished
cells are kept in the folder and not made again, so that a study may be made in pieces, with other flags each time; the
table and the plot are of all cells there are. Intervals are bootstrap ones over photographs, differences from dense
paired.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import atomic_output, make_folder
from fleetpose.progress import status
from models.accuracy.oks import Evaluation, ImageResult, bootstrap_ap

#: what a cell's method is called, and the flags of models.prune that make it
METHODS: dict[str, tuple[str, ...]] = {
    "magnitude": (),
    "reconstruction": ("--data",),
    "retrained": ("--data", "--minutes"),
    "iterative": ("--data", "--minutes", "--method", "magnitude"),
    "admm": ("--data", "--minutes", "--method", "admm"),
    "reweighted": ("--data", "--minutes", "--method", "reweighted"),
}
SHARING = ("uniform", "allocated")
COLUMNS = (
    "family",
    "ratio",
    "reached",
    "zeros",
    "method",
    "minutes",
    "ap",
    "low",
    "high",
    "lost",
    "lost_low",
    "lost_high",
)


@dataclass(frozen=True)
class StudyCell:
    """One pruned network. minutes: of training; 0 for methods that do not train."""

    family: str
    ratio: float
    sharing: str
    method: str
    minutes: float

    @property
    def name(self) -> str:
        """Of its files."""
        length = f"-{self.minutes:g}min" if self.minutes else ""
        return f"{self.family.replace(':', '_')}-{self.ratio:g}x-{self.sharing}-{self.method}{length}"

    def save(self, folder: Path) -> None:
        """Note that the cell is finished."""
        (folder / f"{self.name}.cell.json").write_text(json.dumps(asdict(self)) + "\n")


def finished_cells(folder: Path) -> list[StudyCell]:
    """Every finished cell, in the order of the table."""
    cells = [StudyCell(**json.loads(path.read_text())) for path in folder.glob("*.cell.json")]
    return sorted(cells, key=lambda c: (c.family, c.sharing, [*METHODS].index(c.method), c.minutes, c.ratio))


def make_cell(cell: StudyCell, arguments: argparse.Namespace) -> Path:
    """The weights of a cell, made where they are not there yet. Raises UsageError where a step fails."""
    from models import allocate
    from models.prune import __main__ as prune

    weights = arguments.out / f"{cell.name}.safetensors"
    plan = arguments.out / f"{cell.family.replace(':', '_')}-{cell.ratio:g}x-{cell.sharing}.json"
    if not plan.exists():
        chosen = ["--sensitivity", str(arguments.sensitivity)] if cell.sharing == "allocated" else []
        flags = ["--model", arguments.model, "--ratio", str(cell.ratio), "--family", cell.family, "-o", str(plan)]
        _run(allocate.main, allocate.make_parser(), [*flags, *chosen, "--json"])
    if not weights.exists():
        values = {"--data": list(map(str, arguments.data)), "--minutes": [str(cell.minutes)]}
        more = [part for flag in METHODS[cell.method] for part in (flag, *values.get(flag, []))]
        flags = [
            "--model",
            arguments.model,
            "--weights",
            str(arguments.weights),
            "--plan",
            str(plan),
            "-o",
            str(weights),
        ]
        _run(prune.main, prune.make_parser(), [*flags, *more, "--json", *arguments.prune_flags])
    return weights


def _run(main: Any, parser: argparse.ArgumentParser, flags: Sequence[str]) -> None:
    status_code = cli.run(main, parser, flags)
    if status_code:
        raise UsageError(f"{parser.prog} {' '.join(flags)} ended with {status_code}")


def judge(weights: Path, arguments: argparse.Namespace) -> Evaluation:
    """The evaluation of a weight file on --val; kept beside it."""
    from models.accuracy.protocol import evaluate_network
    from models.resolve import create_model, model_spec

    kept = arguments.out / f"{weights.stem}.npz"
    if not kept.exists():
        network = create_model(arguments.model, weights)
        evaluation = evaluate_network(network, model_spec(arguments.model), arguments.val)
        with atomic_output(kept) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **_arrays(evaluation))
    return _evaluation(dict(np.load(kept)))


def _arrays(evaluation: Evaluation) -> dict[str, np.ndarray]:
    images = evaluation.per_image
    results = {
        f"{name}.{i}": getattr(r, name) for i, r in enumerate(images) for name in ("scores", "matched", "ignored")
    }
    ids = np.array([(r.image_id, r.people, r.truths) for r in images])
    return {"metrics": np.array([evaluation.ap, evaluation.ap_50, evaluation.ar], float), "ids": ids, **results}


def _evaluation(arrays: dict[str, np.ndarray]) -> Evaluation:
    images = [
        ImageResult(
            int(key), "", int(people), int(truths), *(arrays[f"{n}.{i}"] for n in ("scores", "matched", "ignored"))
        )
        for i, (key, people, truths) in enumerate(arrays["ids"])
    ]
    ap, ap_50, ar = arrays["metrics"].tolist()
    return Evaluation(ap, ap_50, None, None, None, ar, tuple(images))


def row(cell: StudyCell, evaluation: Evaluation, dense: Evaluation, reached: float) -> dict[str, Any]:
    """A row of the table."""
    low, high = bootstrap_ap(evaluation)
    gains = bootstrap_ap(evaluation, dense)
    lost = ((dense.ap or 0) - (evaluation.ap or 0), -gains[1], -gains[0])
    numbers = (evaluation.ap or 0.0, low, high, *lost)
    named = zip(("ap", "low", "high", "lost", "lost_low", "lost_high"), numbers, strict=True)
    what = {"family": cell.family, "ratio": cell.ratio, "reached": f"{reached:.3f}", "zeros": cell.sharing}
    return {**what, "method": cell.method, "minutes": cell.minutes, **{key: f"{value:.3f}" for key, value in named}}


def _ratio(cell: StudyCell, arguments: argparse.Namespace) -> float:
    """Dense parameters / nonzero ones, counted in the file."""
    from models.zoo.weights import read_tensors

    tensors = read_tensors(arguments.out / f"{cell.name}.safetensors")
    return sum(t.numel() for t in tensors.values()) / sum(int((t != 0).sum()) for t in tensors.values())


def plot(path: Path, rows: Sequence[dict[str, Any]], dense: float, title: str) -> None:
    """AP against the ratio, a panel per family."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    families = list(dict.fromkeys(row["family"] for row in rows))
    figure = Figure(figsize=(4.2 * len(families), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(families), sharex=True, sharey=True, squeeze=False)[0]
    shown: dict[str, Any] = {}
    for panel, family in zip(panels, families, strict=True):
        lines: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
        for row in rows:
            if row["family"] == family:
                lines.setdefault((row["method"], row["zeros"], row["minutes"]), []).append(row)
        for (method, zeros, minutes), points in lines.items():
            x, ap, low, high = (np.array([float(p[key]) for p in points]) for key in ("reached", "ap", "low", "high"))
            label = f"{method}, {zeros}" + (f", {minutes:g} min" if minutes else "")
            colour, style = f"C{[*METHODS].index(method)}", "-" if zeros == "allocated" else "--"
            shown[label] = panel.errorbar(
                x, ap, (ap - low, high - ap), color=colour, linestyle=style, marker="o", capsize=2
            )
        panel.axhline(dense, color="black", linewidth=0.8)
        panel.set(xlabel="dense / kept parameters", title=family)
    panels[0].set(ylabel="OKS AP")
    figure.legend(shown.values(), shown.keys(), fontsize=8, loc="outside lower center", ncols=4)
    figure.suptitle(title)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with atomic_output(path, force=True) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.pruning", "AP against parameters kept, by block shape and method.")
    parser.add_argument("--model", default="human_pose_0001", help="a registered network")
    parser.add_argument("--weights", type=Path, required=True, help="trained ones")
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR", help="photographs to prune on")
    parser.add_argument(
        "--val", type=Path, required=True, metavar="DIR", help="COCO folder to judge by; none of --data"
    )
    parser.add_argument("--sensitivity", type=Path, metavar="FILE", help="for allocated zeros")
    parser.add_argument("--family", nargs="+", default=["columns:4x1", "columns:8x1", "block_punched:8x4"])
    parser.add_argument("--ratio", type=float, nargs="+", default=[1.2, 1.32, 1.5, 1.8, 2.15])
    parser.add_argument("--zeros", nargs="+", choices=SHARING, default=list(SHARING), help="how they are shared out")
    parser.add_argument("--method", nargs="+", choices=[*METHODS], default=["magnitude", "reconstruction"])
    parser.add_argument("--minutes", type=float, default=30, help="of training, for methods that train")
    parser.add_argument("--prune-flags", nargs=argparse.REMAINDER, default=[], help="the rest: flags of models.prune")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="for everything")
    return parser


def _cells(arguments: argparse.Namespace) -> list[StudyCell]:
    combinations = itertools.product(arguments.family, arguments.ratio, arguments.zeros, arguments.method)
    return [
        StudyCell(family, ratio, zeros, method, arguments.minutes if "--minutes" in METHODS[method] else 0.0)
        for family, ratio, zeros, method in combinations
    ]


def main(arguments: argparse.Namespace) -> int:
    if "allocated" in arguments.zeros and not arguments.sensitivity:
        raise UsageError("allocated zeros need --sensitivity; or give --zeros uniform")
    make_folder(arguments.out)
    cells = _cells(arguments)
    with status("study") as progress:
        dense = judge(arguments.weights, arguments)
        for done, cell in enumerate(cells):
            progress(cell.name, done, len(cells))
            judge(make_cell(cell, arguments), arguments)
            cell.save(arguments.out)
    rows = [
        row(cell, judge(arguments.out / f"{cell.name}.safetensors", arguments), dense, _ratio(cell, arguments))
        for cell in finished_cells(arguments.out)
    ]
    write_table(arguments.out / "pruning.csv", rows)
    plot(arguments.out / "pruning.png", rows, dense.ap or 0.0, f"{arguments.model}, AP {dense.ap:.3f} dense")
    if arguments.json:
        cli.print_json({"dense": dense.ap, "cells": rows})
    else:
        cli.print_table(COLUMNS, [[entry[name] for name in COLUMNS] for entry in rows])
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
