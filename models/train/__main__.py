r"""`python -m models.train`: a registered network trained from annotations, from a teacher, or from both.

    python -m models.train --model resnet50_3 --teacher human_pose_0001 --teacher-weights teacher.safetensors \
        --data photographs --minutes 90 -o weights.safetensors

You can stop it at any time; run the same command again to resume. Never train on the photographs that
accuracy is to be judged by.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import COUNT, POSITIVE, add_flags, from_arguments
from fleetpose.outputs import check_outputs, check_weights_name
from fleetpose.progress import status
from fleetpose.trust import add_trust_flag
from models.resolve import MODEL_HELP, model_files
from models.train.data.photographs import read_photographs
from models.train.running.log import CsvLog, may_go_on
from models.train.running.paths import checkpoint_path, log_path
from models.train.settings import Augmentation, TrainSettings, check_teacher

if TYPE_CHECKING:
    from torch import nn

    from models.train.loop import Teacher, TrainStep


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.train", "Train a network from annotated photographs, from a teacher, or from both.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument("--weights", help="to start from (default: random weights)")
    parser.add_argument("--teacher", help="a registered network to learn from")
    parser.add_argument("--teacher-weights", metavar="FILE", help="weights of --teacher")
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="photographs, annotated or not")
    parser.add_argument(
        "--annotations", nargs="+", default=[], metavar="FILE", help="COCO keypoints of files in --data"
    )
    parser.add_argument(
        "-o", "--out", required=True, help="weights (safetensors); a checkpoint and a log are kept beside"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument("--restart", action="store_true", help="begin anew even where a checkpoint exists")
    parser.add_argument("--half", action="store_true", help="write float16 weights")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="what trains")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=POSITIVE, help="how often every photograph is seen")
    length.add_argument("--steps", type=COUNT, help="length of the training in updates of the weights")
    length.add_argument("--minutes", type=POSITIVE, help="length of the training")
    add_flags(parser, TrainSettings)
    add_flags(parser, Augmentation)
    return parser


def _settings(arguments: argparse.Namespace, photographs: int) -> TrainSettings:
    steps = arguments.steps
    if arguments.epochs is not None:
        steps = math.ceil(arguments.epochs * photographs / arguments.batch)
    augmentation = from_arguments(Augmentation, arguments)
    return from_arguments(TrainSettings, arguments, steps=steps, minutes=arguments.minutes, augmentation=augmentation)


def _teacher(arguments: argparse.Namespace) -> Teacher | None:
    from models.train.loop import Teacher

    check_teacher(arguments.teacher, arguments.teacher_weights)
    return Teacher.from_name(arguments.teacher, arguments.teacher_weights) if arguments.teacher else None


def _halve(network: nn.Module) -> nn.Module:
    """`network` with float16 weights; batch norms' statistics stay float32. Raises UsageError where they overflow."""
    for name, parameter in network.named_parameters():
        parameter.data = parameter.data.half()
        if not parameter.isfinite().all():
            raise UsageError(f"{name} has weights beyond float16's range; leave out --half")
    return network


def _print_result(arguments: argparse.Namespace) -> None:
    log = log_path(arguments.out)
    if arguments.json:
        cli.print_json({"model": arguments.model, "weights": arguments.out, "log": str(log)})
    else:
        print(f"written: {arguments.out}; its course: {log}")


def _check_files(arguments: argparse.Namespace) -> None:
    """Raise UsageError for outputs that cannot be written, or would replace what is read or exists."""
    log, checkpoint = log_path(arguments.out), checkpoint_path(arguments.out)
    check_weights_name(arguments.out)
    outputs, kept = {"-o": arguments.out}, {"the checkpoint": checkpoint}
    (kept if may_go_on(log, checkpoint) else outputs)["the log"] = log
    inputs = {"--model": model_files(arguments.model), "--weights": arguments.weights,
              "--teacher-weights": arguments.teacher_weights, "--annotations": arguments.annotations}  # fmt: skip
    check_outputs(outputs, inputs, force=arguments.force, kept=kept)


def main(arguments: argparse.Namespace) -> int:
    _check_files(arguments)
    data = read_photographs(arguments.data, arguments.annotations, unlabelled=bool(arguments.teacher))
    settings = _settings(arguments, len(data.items))
    from models.resolve import create_model, model_spec
    from models.train.initial import calm
    from models.train.loop import train
    from models.train.running.checkpoint import remove_checkpoint
    from models.train.running.processes import is_first
    from models.zoo.weights import save_weights

    spec = model_spec(arguments.model)
    network = create_model(arguments.model, arguments.weights, arguments.seed)
    if not arguments.weights:
        calm(network)
    teacher, checkpoint = _teacher(arguments), checkpoint_path(arguments.out)
    with _reporting(CsvLog(log_path(arguments.out))) as report:
        train(
            network,
            spec,
            data,
            settings,
            teacher=teacher,
            checkpoint=checkpoint,
            report=report,
            device=arguments.device,
            restart=arguments.restart,
        )
    if is_first():
        save_weights(_halve(network) if arguments.half else network, arguments.out, force=arguments.force)
        remove_checkpoint(checkpoint)
        _print_result(arguments)
    return 0


@contextmanager
def _reporting(log: CsvLog) -> Iterator[Callable[[TrainStep], None]]:
    """Yield a function to call after each step: it adds to the log, and shows a line with the time left."""
    last: TrainStep | None = None
    with status("train") as progress:

        def report(step: TrainStep) -> None:
            nonlocal last
            if last is None:
                progress.started = time.monotonic() - step.secs  # earlier runs count
            last = step
            log.add(step)
            progress(f"step {step.step}, loss {step.losses['loss']:.4g}", round(1e4 * step.progress), 10_000)

        try:
            yield report
        except KeyboardInterrupt:
            progress.close()
            if last is not None:
                print(f"stopped after step {last.step}; run the same command again to resume", file=sys.stderr)
            raise


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
