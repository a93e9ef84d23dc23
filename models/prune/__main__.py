"""`python -m models.prune`: a network's weights with the zeros of a plan.

    python -m models.prune --model human_pose_0001 --weights w.safetensors --plan plan.json --data d -o p.safetensors

With photographs (annotated or not; a few dozen do) every layer is reconstructed on them; without, the smallest weights
go. What is written is read by --weights of every command, and built by `codegen.build --plan` as it is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import check_writable
from fleetpose.progress import status
from models.plan import Plan

METHODS = ("oneshot",)


def make_parser() -> argparse.ArgumentParser:
    made = cli.parser("models.prune", "Give a network's weights the zeros of a plan.")
    made.add_argument("--model", required=True, help="a registered network, or a replaced one's .json")
    made.add_argument("--weights", required=True, help="to start from: safetensors or published checkpoint")
    made.add_argument("--plan", type=Path, required=True, metavar="FILE", help="which layers are sparse, and how")
    made.add_argument("--method", choices=METHODS, default="oneshot", help="how zeros are chosen and learnt")
    made.add_argument(
        "--data", nargs="+", default=[], metavar="DIR", help="photographs; never those accuracy is judged by"
    )
    made.add_argument("--photographs", type=int, default=32, help="that layers are reconstructed on")
    made.add_argument("--seed", type=int, default=0, help="of what is drawn from the photographs")
    made.add_argument("-o", "--out", type=Path, required=True, help="weights to write (safetensors)")
    made.add_argument("--force", action="store_true", help="replace an existing file")
    return made


def main(arguments: argparse.Namespace) -> int:
    check_writable(arguments.out, force=arguments.force)
    plan = Plan.load(arguments.plan)
    if plan.model != arguments.model:
        raise UsageError(f"{arguments.plan} is a plan of {plan.model}, not of {arguments.model}")
    if arguments.photographs < 1:
        raise UsageError(f"--photographs must be 1 or more, got {arguments.photographs}")
    from models.prune.binding import adopt
    from models.prune.calibration import calibration_inputs
    from models.prune.layerwise import Settings
    from models.prune.oneshot import prune_graph
    from models.prune.reconstruct import reconstruct
    from models.registry import create_model, model_spec
    from models.trace import trace
    from models.weights import save_weights

    spec = model_spec(arguments.model)
    network = create_model(arguments.model, arguments.weights)
    graph = trace(network, (3, *spec.size), arguments.model)
    plan.check(graph.layers)
    with status("pruning") as told:
        if arguments.data:
            inputs = calibration_inputs(spec, arguments.data, arguments.photographs, arguments.seed)
            pruned = reconstruct(graph, plan.sparsities, inputs, Settings(seed=arguments.seed), told)
        else:
            pruned = prune_graph(graph, plan)
    adopt(network, graph, pruned)
    save_weights(network, arguments.out, force=arguments.force)
    left = graph.params - plan.removed_weights(graph.layers)
    ratio = f"{graph.params / 1e6:.3f} M parameters, {left / 1e6:.3f} M left ({graph.params / left:.2f}x)"
    if arguments.json:
        cli.print_json({"weights": str(arguments.out), "params": graph.params, "params_left": left})
    else:
        print(f"{arguments.out}: {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
