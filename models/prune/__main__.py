"""`python -m models.prune`: a network's weights with the zeros of a plan.

    python -m models.prune --model human_pose_0001 --weights w.safetensors --plan plan.json --data d -o p.safetensors

"oneshot" reconstructs every layer on photographs (annotated or not; a few dozen do), and moves the weights that are
left for --recovery-minutes, if any, on more of them; or, where none are given, it removes the smallest weights. With
--minutes, --steps or --epochs it goes on to train with these zeros; the other methods find their zeros while training.
The dense network teaches, so photographs need no annotations, but where there are some they count. You can stop it at
any time; run the same command again to resume. What is written is read by --weights of every command, and built by
`codegen.build --plan` as it is. At the end stands how far the pruned network agrees with the dense one on photographs
of --data; those that it was not pruned on, where there are enough.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import COUNT, POSITIVE, add_flags, from_arguments, real, whole
from fleetpose.outputs import check_outputs, check_weights_name
from fleetpose.progress import status
from fleetpose.terminal import tint
from fleetpose.trust import add_trust_flag
from models.accuracy.grade import PHOTOGRAPHS, agreement_grade, graded_text
from models.graph.network import Graph
from models.plans.plan import Plan
from models.prune.settings import (
    EMA,
    LR,
    METHODS,
    RECIPE,
    RECOVERY,
    RECOVERY_MINUTES,
    TRAINING,
    PruneFiles,
    PruneSettings,
    Strength,
    recovery_settings,
)
from models.resolve import MODEL_HELP, WEIGHTS_HELP, check_weights_known, model_files
from models.train.data.photographs import Photographs, read_photographs
from models.train.running.log import may_go_on
from models.train.settings import TrainSettings, check_teacher
from models.zoo.spec import ModelSpec


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.prune", "Give a network's weights the zeros of a plan.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument("--weights", metavar="FILE", help=f"to start from: {WEIGHTS_HELP}")
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE", help="which layers are sparse, and how")
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="DIR", help="photographs; never those that accuracy is judged by"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="weights (safetensors); a checkpoint is kept beside"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=POSITIVE, help="length of the training: how often every photograph is seen")
    length.add_argument("--steps", type=COUNT, help="length of the training")
    length.add_argument("--minutes", type=POSITIVE, help="length of the training")
    parser.add_argument("--method", choices=METHODS, default="oneshot", help="how zeros are chosen and learnt")
    add = parser.add_argument
    add("--photographs", type=COUNT, default=32, help="how many of --data layers are reconstructed on")
    add("--annotations", nargs="+", default=[], metavar="FILE", help="COCO keypoints of files in --data")
    add_flags(parser, TrainSettings, TRAINING, recipe=RECIPE, lr=LR, ema=EMA)
    add_flags(parser, Strength)
    add_flags(parser, PruneSettings, ("reconstruction",))
    add("--recovery-minutes", type=real(), metavar="N", default=RECOVERY_MINUTES, help=RECOVERY)
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="what trains")
    parser.add_argument("--teacher", help="a registered network to learn from (default: the dense network itself)")
    parser.add_argument("--teacher-weights", metavar="FILE", help="weights of --teacher")
    parser.add_argument(
        "--agreement",
        type=whole(),
        default=PHOTOGRAPHS,
        metavar="N",
        help="photographs of --data that people of the dense and the pruned network are compared on (0: none)",
    )
    parser.add_argument("--restart", action="store_true", help="begin anew even where a checkpoint exists")
    return parser


def _settings(arguments: argparse.Namespace, steps: int | None) -> PruneSettings:
    """The flags as settings, with a training of so many steps, or of --minutes. Raises UsageError for bad values."""
    training = None
    if steps is not None or arguments.minutes is not None:
        training = from_arguments(TrainSettings, arguments, steps=steps, minutes=arguments.minutes)
    strength = from_arguments(Strength, arguments)
    recovery = recovery_settings(arguments.recovery_minutes, arguments.seed)
    return PruneSettings(
        arguments.method, training, strength, arguments.seed, arguments.device, arguments.reconstruction, recovery
    )


def _check(arguments: argparse.Namespace) -> tuple[Plan, Photographs | None, PruneSettings]:
    """The plan, photographs to train on, and the settings. Raises UsageError for what makes no sense together."""
    check_teacher(arguments.teacher, arguments.teacher_weights)
    trains = any(value is not None for value in (arguments.minutes, arguments.steps, arguments.epochs))
    if arguments.teacher and not trains:
        raise UsageError("a --teacher needs a training; give --minutes, --steps or --epochs")
    # the steps of --epochs are known once the photographs are
    settings = _settings(arguments, arguments.steps if arguments.epochs is None else 1)
    _check_files(arguments, settings)
    check_weights_known(arguments.model, arguments.weights)
    plan = Plan.load(arguments.plan, arguments.model)
    if trains and not arguments.data:
        raise UsageError("a training needs photographs; give --data")
    data = read_photographs(arguments.data, arguments.annotations, unlabelled=True) if trains else None
    if arguments.epochs is not None and data is not None:
        settings = _settings(arguments, math.ceil(arguments.epochs * len(data.items) / arguments.batch))
    return plan, data, settings


def _check_files(arguments: argparse.Namespace, settings: PruneSettings) -> None:
    """Raise UsageError for outputs that cannot be written, or would replace what is read or exists."""
    check_weights_name(arguments.out)
    files, outputs = PruneFiles.beside(arguments.out), {"-o": arguments.out}
    kept = files.kept_by(settings, bool(arguments.data))
    if settings.training is not None:
        (kept if may_go_on(files.log, files.checkpoint) else outputs)["the log"] = files.log
    inputs = {"--model": model_files(arguments.model), "--weights": arguments.weights, "--plan": arguments.plan,
              "--annotations": arguments.annotations, "--teacher-weights": arguments.teacher_weights}  # fmt: skip
    check_outputs(outputs, inputs, force=arguments.force, kept=kept)


def main(arguments: argparse.Namespace) -> int:
    plan, data, settings = _check(arguments)
    from models.frontend.trace import trace
    from models.prune.pruning import prune
    from models.prune.reconstruction.calibration import calibration_inputs, learning_photographs
    from models.resolve import create_model, model_spec
    from models.train.loop import Teacher
    from models.zoo.weights import save_weights

    spec, files, inputs, teacher = model_spec(arguments.model), PruneFiles.beside(arguments.out), None, None
    photographs: list[Path] = []
    network = create_model(arguments.model, arguments.weights, arguments.seed)
    graph = trace(network, spec.input_shape(), arguments.model)
    plan.check(graph.layers)
    if arguments.data:
        inputs = calibration_inputs(spec, arguments.data, arguments.photographs, arguments.seed)
        photographs = learning_photographs(arguments.data, arguments.photographs, arguments.seed)
    if arguments.teacher:
        teacher = Teacher.from_name(arguments.teacher, arguments.teacher_weights, arguments.seed)
    with status("pruning") as progress:
        prune(
            network,
            graph,
            spec,
            plan,
            settings,
            inputs=inputs,
            photographs=photographs,
            data=data,
            teacher=teacher,
            files=files,
            restart=arguments.restart,
            report=progress,
        )
    save_weights(network, arguments.out, force=arguments.force)
    files.remove(settings, bool(photographs))
    seen = len(photographs) if settings.recovery is not None else arguments.photographs
    agreement = _measure_agreement(arguments, spec, None if data is not None else seen)
    _print_result(arguments, graph, plan, agreement)
    return 0


def _measure_agreement(arguments: argparse.Namespace, spec: ModelSpec, used: int | None) -> dict[str, Any] | None:
    """What the written weights have in common with the dense ones; None where no photographs are given for it.

    Args:
        used: as for `judging_photographs`.
    """
    if not arguments.data or not arguments.agreement:
        return None
    from models.accuracy.agreement import agreement_facts
    from models.prune.reconstruction.calibration import judging_photographs
    from models.resolve import create_model

    photographs, held_out = judging_photographs(arguments.data, used, arguments.agreement, arguments.seed)
    dense, pruned = (create_model(arguments.model, path, arguments.seed) for path in (arguments.weights, arguments.out))
    with status("comparing with the dense network") as progress:
        facts = agreement_facts(dense, pruned, spec, photographs, arguments.seed, progress)
    return {**facts, "held_out": held_out}


def _print_result(arguments: argparse.Namespace, graph: Graph, plan: Plan, agreement: dict[str, Any] | None) -> None:
    left = graph.params - plan.removed_weights(graph.layers)
    if arguments.json:
        facts = {"weights": str(arguments.out), "params": graph.params, "params_left": left}
        cli.print_json({**facts, "agreement": agreement})
        return
    ratio = f"{graph.params / 1e6:.3f} M parameters, {left / 1e6:.3f} M left ({graph.params / left:.2f}x)"
    print(f"{arguments.out}: {ratio}")
    if agreement is not None:
        kept = agreement_grade(agreement)
        print(tint(graded_text(agreement), kept.value if kept else ""))


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
