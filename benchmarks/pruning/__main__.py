"""AP against parameters kept: `python -m benchmarks.pruning`, a table (CSV) and a plot.

    python -m benchmarks.pruning --weights w.safetensors --data photos --val coco --sensitivity s.json -o build/pruning

Every cell is one network: a family of sparsities, a ratio, zeros uniform or allocated, a method. Files of finished
cells are kept in the folder and not made again, so that a study may be made in pieces, with other flags each time; the
table and the plot are of all cells there are. Intervals are bootstrap ones over photographs, differences from dense
paired.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from benchmarks.pruning.drawing import COLUMNS, METHODS, plot, write_table
from benchmarks.pruning.study import SHARING, UNTRAINED, PruningStudy, StudyCell, finished_cells
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import make_folder
from fleetpose.options import add_flags, from_arguments
from fleetpose.progress import status
from models.prune.settings import EMA, LR, RECIPE, TRAINING, Strength
from models.train.settings import TrainSettings


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
    parser.add_argument("--minutes", type=float, default=30, help="of recovery, or of training for methods that train")
    parser.add_argument("--photographs", type=int, default=32, help="of --data that layers are reconstructed on")
    add_flags(parser, TrainSettings, TRAINING, recipe=RECIPE, lr=LR, ema=EMA)
    add_flags(parser, Strength)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="for everything")
    return parser


def _cells(arguments: argparse.Namespace) -> list[StudyCell]:
    combinations = itertools.product(arguments.family, arguments.ratio, arguments.zeros, arguments.method)
    return [
        StudyCell(family, ratio, zeros, method, 0.0 if method in UNTRAINED else arguments.minutes)
        for family, ratio, zeros, method in combinations
    ]


def main(arguments: argparse.Namespace) -> int:
    if "allocated" in arguments.zeros and not arguments.sensitivity:
        raise UsageError("allocated zeros need --sensitivity; or give --zeros uniform")
    study = PruningStudy(
        arguments.model, arguments.weights, arguments.data, arguments.val, make_folder(arguments.out),
        arguments.sensitivity, arguments.photographs,
        from_arguments(TrainSettings, arguments, minutes=arguments.minutes), from_arguments(Strength, arguments),
    )  # fmt: skip
    cells = _cells(arguments)
    with status("study") as progress:
        dense = study.evaluate(study.weights)
        for done, cell in enumerate(cells):
            progress(cell.name, done, len(cells))
            study.evaluate(study.prune(cell))
            cell.save(study.out)
    rows = [study.row(cell, dense) for cell in finished_cells(study.out)]
    write_table(study.out / "pruning.csv", rows)
    plot(study.out / "pruning.png", rows, dense.ap or 0.0, f"{study.model}, AP {dense.ap:.3f} dense")
    if arguments.json:
        cli.print_json({"dense": dense.ap, "cells": rows})
    else:
        cli.print_table(COLUMNS, [[entry[name] for name in COLUMNS] for entry in rows])
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
