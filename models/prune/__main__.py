"""`python -m models.prune`: a network's weights with the zeros of a plan.

    python -m models.prune --model human_pose_0001 --weights w.safetensors --plan plan.json --data d -o p.safetensors

"oneshot" reconstructs every layer on photographs (annotated or not; a few dozen do), or, without any, removes the
smallest weights. With --minutes, --steps or --epochs it goes on to train with these zeros; the other methods find
their zeros while training. The dense network teaches, so photographs need no annotations, but where there are some
they count. Killed at any moment, the same command goes on. What is written is read by --weights of every command, and
built by `codegen.build --plan` as it is.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import check_writable
from fleetpose.progress import status
from models.graph.network import Graph
from models.plans.plan import Plan
from models.prune.pruning import EMA, LR, RECIPE, Pruning, prune
from models.train.data.photographs import read_photographs
from models.train.settings import RECIPES, TrainSettings, check_teacher
from models.zoo.resolve import MODEL_HELP

_METHODS = ("oneshot", "magnitude", "admm", "reweighted")


def make_parser() -> argparse.ArgumentParser:
    made = cli.parser("models.prune", "Give a network's weights the zeros of a plan.")
    made.add_argument("--model", required=True, help=MODEL_HELP)
    made.add_argument("--weights", required=True, help="to start from: safetensors or published checkpoint")
    made.add_argument("--plan", type=Path, required=True, metavar="FILE", help="which layers are sparse, and how")
    made.add_argument("--method", choices=_METHODS, default="oneshot", help="how zeros are chosen and learnt")
    made.add_argument(
        "--data", nargs="+", default=[], metavar="DIR", help="photographs; never those accuracy is judged by"
    )
    made.add_argument("--photographs", type=int, default=32, help="of --data that layers are reconstructed on")
    made.add_argument(
        "-o", "--out", type=Path, required=True, help="weights (safetensors); a checkpoint is kept beside"
    )
    made.add_argument("--force", action="store_true", help="replace an existing file")
    length = made.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=float, help="of training: how often every photograph is seen")
    length.add_argument("--steps", type=int, help="of training")
    length.add_argument("--minutes", type=float, help="of training")
    _add_training(made)
    return made


def _add_training(made: argparse.ArgumentParser) -> None:
    made.add_argument("--annotations", nargs="+", default=[], metavar="FILE", help="COCO keypoints of files in --data")
    made.add_argument("--crop", type=int, default=TrainSettings.crop, help="side of a view in pixels")
    made.add_argument("--first-crop", type=int, help="side at the beginning; --crop if not given")
    made.add_argument("--growth", type=float, default=TrainSettings.growth, help="fraction of it views grow in")
    made.add_argument("--batch", type=int, default=TrainSettings.batch, help="views per step")
    made.add_argument("--recipe", choices=RECIPES, default=RECIPE, help="optimizer and learning rates")
    made.add_argument("--lr", type=float, default=LR, help="highest learning rate")
    made.add_argument("--ema", type=float, default=EMA, help="decay of the averaged weights")
    made.add_argument("--share", type=float, default=0.5, help="of the training in which zeros are found")
    made.add_argument("--rho", type=float, default=1e-4, help="of --method admm, at first; it rises 1000-fold")
    made.add_argument("--lasso", type=float, default=0.1, help="strength of --method reweighted")
    made.add_argument("--seed", type=int, default=0, help="of all that is drawn from the photographs")
    made.add_argument("--teacher", help="a registered network to learn from; the dense network itself without")
    made.add_argument("--teacher-weights", metavar="FILE", help="the teacher's")
    made.add_argument("--workers", type=int, help="processes that prepare views; the device decides if not given")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="what trains")
    made.add_argument("--checkpoint-secs", type=float, default=60.0, help="between checkpoints")
    made.add_argument("--restart", action="store_true", help="begin anew, whatever checkpoint there is")


def _trains(arguments: argparse.Namespace) -> bool:
    return any(value is not None for value in (arguments.minutes, arguments.steps, arguments.epochs))


def main(arguments: argparse.Namespace) -> int:
    with status("pruning") as told:
        graph, plan = prune(_wanted(arguments), told)
    _report(arguments, graph, plan)
    return 0


def _wanted(arguments: argparse.Namespace) -> Pruning:
    check_teacher(arguments.teacher, arguments.teacher_weights)
    if arguments.teacher and not _trains(arguments):
        raise UsageError("a --teacher needs a training; give --minutes, --steps or --epochs")
    same = ("model", "plan", "out", "method", "photographs", "share", "rho", "lasso", "seed", "device", "restart")
    wanted = Pruning(
        weights=Path(arguments.weights),
        data=tuple(map(Path, arguments.data)),
        annotations=tuple(map(Path, arguments.annotations)),
        teacher=(arguments.teacher, Path(arguments.teacher_weights)) if arguments.teacher else None,
        force=arguments.force,
        **{name: getattr(arguments, name) for name in same},
    )
    if not _trains(arguments):
        return wanted
    check_writable(arguments.out, force=arguments.force)
    return replace(wanted, training=_settings(arguments))


def _settings(arguments: argparse.Namespace) -> TrainSettings:
    steps = arguments.steps
    if arguments.epochs is not None and arguments.data:
        photographs = len(read_photographs(arguments.data, arguments.annotations, unlabelled=True).items)
        steps = math.ceil(arguments.epochs * photographs / arguments.batch)
    elif arguments.epochs is not None:
        raise UsageError("a training needs photographs; give --data")
    names = ("minutes", "crop", "first_crop", "growth", "batch", "recipe", "lr", "ema", "seed", "workers",
             "checkpoint_secs")  # fmt: skip
    return TrainSettings(steps=steps, **{name: getattr(arguments, name) for name in names})


def _report(arguments: argparse.Namespace, graph: Graph, plan: Plan) -> None:
    left = graph.params - plan.removed_weights(graph.layers)
    if arguments.json:
        cli.print_json({"weights": str(arguments.out), "params": graph.params, "params_left": left})
    else:
        ratio = f"{graph.params / 1e6:.3f} M parameters, {left / 1e6:.3f} M left ({graph.params / left:.2f}x)"
        print(f"{arguments.out}: {ratio}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
