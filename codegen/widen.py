"""`python -m codegen.widen`: for which layers of a network half precision does not suffice, by photographs.

    python -m codegen.widen --model human_pose_0001 --weights w.safetensors --data photos -o widening.json

The network runs in float32, and at some places of every convolution its sums are made in half precision, too.
`codegen.build --widen` reads the file; `codegen.build --data` looks for itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codegen.building.widened import PHOTOGRAPHS
from codegen.precision.choice import MOST_ERROR, MOST_SUM, LayerPrecision, Widening
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.options import COUNT, SEED
from fleetpose.outputs import check_outputs
from fleetpose.progress import Progress, status
from fleetpose.trust import add_trust_flag
from models.plans.plan import Plan
from models.resolve import MODEL_HELP, WEIGHTS_HELP, check_weights_known, model_files, model_spec


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.widen", "Find the layers that half precision does not suffice for, by photographs.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument("--weights", type=Path, metavar="FILE", help=WEIGHTS_HELP)
    parser.add_argument("--plan", type=Path, metavar="FILE", help="the plan that the weights were pruned by")
    parser.add_argument("--data", nargs="+", type=Path, required=True, metavar="DIR", help="photographs")
    parser.add_argument("--photographs", type=COUNT, default=PHOTOGRAPHS, help="how many are looked at")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of which these are, and of the places looked at")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="file to write (default: only print)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    return parser


def main(arguments: argparse.Namespace) -> int:
    inputs = {"--model": model_files(arguments.model), "--weights": arguments.weights, "--plan": arguments.plan}
    check_outputs({"-o": arguments.out}, inputs, force=arguments.force)
    check_weights_known(arguments.model, arguments.weights)
    with status("looking at layers") as progress:
        choice = _choice(arguments, progress)
    if arguments.out is not None:
        choice.save(arguments.out, force=arguments.force)
    if arguments.json:
        cli.print_json(encode(choice))
        return 0
    _print(choice)
    return 0


def _choice(arguments: argparse.Namespace, progress: Progress) -> Widening:
    from codegen.lowering.sizes import trace_sizes
    from codegen.precision.measuring import measure_widening
    from models.prune.reconstruction.calibration import calibration_inputs

    spec = model_spec(arguments.model)
    plan = Plan.load(arguments.plan, arguments.model) if arguments.plan else None
    progress("tracing the network")
    graph = trace_sizes(arguments.model, arguments.weights, 0, [spec.size])[0]
    if plan is not None:
        plan.check(graph.layers)
    inputs = calibration_inputs(spec, arguments.data, arguments.photographs, arguments.seed)
    return measure_widening(graph, inputs, plan.sparsities if plan else None, arguments.seed, progress)


def _print(choice: Widening) -> None:
    cli.print_table(
        ("layer", "products", "largest sum", "error in half", "in float32"),
        [(name, *_cells(layer)) for name, layer in choice.layers.items()],
    )
    print(
        f"{len(choice.widened)} of {len(choice.layers)} convolutions need float32: half sums err by more than "
        f"{MOST_ERROR:.1%} of the largest value, or may exceed {MOST_SUM:.0f}, on {choice.photographs} photographs"
    )


def _cells(layer: LayerPrecision) -> tuple[str, ...]:
    largest = "-" if layer.largest is None else f"{layer.largest:.4g}"
    error = "overflow" if layer.error is None else f"{layer.error:.2%}"
    return str(layer.products), largest, error, layer.widened or "-"


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
