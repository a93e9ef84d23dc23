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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import check_writable, sha256
from fleetpose.progress import status
from models.plan import Plan

if TYPE_CHECKING:
    from torch import nn

    from models.graph import Graph
    from models.spec import ModelSpec

#: of a training that starts from trained weights: far below what random ones start with
LR = 3e-4

_METHODS = ("oneshot", "magnitude", "admm", "reweighted")


def make_parser() -> argparse.ArgumentParser:
    made = cli.parser("models.prune", "Give a network's weights the zeros of a plan.")
    made.add_argument("--model", required=True, help="a registered network, or a replaced one's .json")
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
    made.add_argument("--crop", type=int, default=256, help="side of a view in pixels")
    made.add_argument("--batch", type=int, default=8, help="views per step")
    made.add_argument("--lr", type=float, default=LR, help="highest learning rate")
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


def _check(arguments: argparse.Namespace) -> Plan:
    """The plan. Raises UsageError for flags, files and plans that make no sense, before any work."""
    check_writable(arguments.out, force=arguments.force)
    plan = Plan.load(arguments.plan)
    if plan.model != arguments.model:
        raise UsageError(f"{arguments.plan} is a plan of {plan.model}, not of {arguments.model}")
    if arguments.photographs < 1:
        raise UsageError(f"--photographs must be 1 or more, got {arguments.photographs}")
    if arguments.method != "oneshot" and not _trains(arguments):
        raise UsageError(f"--method {arguments.method} prunes while it trains; give --minutes, --steps or --epochs")
    if bool(arguments.teacher) != bool(arguments.teacher_weights):
        raise UsageError("--teacher NAME and --teacher-weights FILE go together")
    if _trains(arguments) and not arguments.data:
        raise UsageError("a training needs photographs; give --data")
    return plan


def _trains(arguments: argparse.Namespace) -> bool:
    return any(value is not None for value in (arguments.minutes, arguments.steps, arguments.epochs))


def main(arguments: argparse.Namespace) -> int:
    plan = _check(arguments)
    from models.prune.calibration import calibration_inputs
    from models.registry import create_model, model_spec
    from models.trace import trace
    from models.train.checkpoint import checkpoint_path, remove_checkpoint
    from models.weights import save_weights

    spec = model_spec(arguments.model)
    network = create_model(arguments.model, arguments.weights)
    graph = trace(network, (3, *spec.size), arguments.model)
    plan.check(graph.layers)
    inputs = None
    if arguments.data:
        inputs = calibration_inputs(spec, arguments.data, arguments.photographs, arguments.seed)
    start = arguments.out.with_suffix(".start")
    if arguments.method == "oneshot":
        _prune_at_once(arguments, network, graph, plan, inputs, start)
    if _trains(arguments):
        _train(arguments, network, spec, plan, inputs)
    save_weights(network, arguments.out, force=arguments.force)
    remove_checkpoint(checkpoint_path(arguments.out))
    start.unlink(missing_ok=True)
    _report(arguments, graph, plan)
    return 0


def _prune_at_once(
    arguments: argparse.Namespace,
    network: nn.Module,
    graph: Graph,
    plan: Plan,
    inputs: np.ndarray | None,
    start: Path,
) -> None:
    from models.prune.layerwise import Settings
    from models.prune.methods import cached_start, prune_at_once

    def make() -> None:
        with status("pruning") as told:
            prune_at_once(network, graph, plan, inputs, Settings(seed=arguments.seed), told)

    if not _trains(arguments):
        make()
        return
    if arguments.restart:
        start.unlink(missing_ok=True)
    asked = (sha256(arguments.weights), sha256(arguments.plan), *arguments.data)
    cached_start(network, start, [*asked, str(arguments.photographs), str(arguments.seed)], make)


def _train(
    arguments: argparse.Namespace, network: nn.Module, spec: ModelSpec, plan: Plan, inputs: np.ndarray | None
) -> None:
    """Train `network`, taught by what it was when dense or by --teacher, in place."""
    from models.prune.methods import Strength, constraint_for
    from models.trace import trace
    from models.train.checkpoint import checkpoint_path
    from models.train.log import CsvLog
    from models.train.loop import Step, train
    from models.train.photographs import read_photographs

    data = read_photographs(arguments.data, arguments.annotations, unlabelled=True)
    now = trace(network, (3, *spec.size), arguments.model)
    strength = Strength(arguments.share, arguments.rho, arguments.lasso)
    constraint = constraint_for(arguments.method, network, now, plan, inputs, strength)
    log = CsvLog(arguments.out.with_suffix(".csv"))
    with status("training") as told:

        def report(step: Step) -> None:
            log.add(step)
            told(f"step {step.step}, loss {step.losses['loss']:.4g}", round(1e4 * step.progress), 10_000)

        train(
            network,
            spec,
            data,
            _settings(arguments, len(data.items)),
            teacher=_teacher(arguments),
            constraint=constraint,
            checkpoint=checkpoint_path(arguments.out),
            report=report,
            device=arguments.device,
            restart=arguments.restart,
        )


def _teacher(arguments: argparse.Namespace) -> Any:
    from models.registry import create_model, model_spec
    from models.train.loop import Teacher

    name, weights = arguments.teacher or arguments.model, arguments.teacher_weights or arguments.weights
    return Teacher(create_model(name, weights), model_spec(name).preprocessing)


def _settings(arguments: argparse.Namespace, photographs: int) -> Any:
    from models.train.settings import Settings

    steps = arguments.steps
    if arguments.epochs is not None:
        steps = math.ceil(arguments.epochs * photographs / arguments.batch)
    names = ("minutes", "crop", "batch", "lr", "seed", "workers", "checkpoint_secs")
    same = {name: getattr(arguments, name) for name in names}
    return Settings(steps=steps, **same)


def _report(arguments: argparse.Namespace, graph: Graph, plan: Plan) -> None:
    left = graph.params - plan.removed_weights(graph.layers)
    if arguments.json:
        cli.print_json({"weights": str(arguments.out), "params": graph.params, "params_left": left})
    else:
        ratio = f"{graph.params / 1e6:.3f} M parameters, {left / 1e6:.3f} M left ({graph.params / left:.2f}x)"
        print(f"{arguments.out}: {ratio}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
