"""What a network is predicted to take on a device, layer by layer and as a whole: `python -m latency.predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codegen.lowering.sizes import trace_model
from fleetpose import cli
from fleetpose.progress import status
from latency.cost_model.box.shipped import PLAINLY, find_predictor
from latency.cost_model.predictor import Predictor
from latency.flags import add_network
from latency.network_model.forecast import PredictedStep, is_own, predict_network, runtime_of, uniform
from latency.network_model.totals import Total
from models.graph.network import Graph
from models.plans.cost import percent
from models.plans.plan import Plan
from models.plans.sparsity import parse_variant, variant_text
from models.plans.time_estimate import TimeEstimate
from models.resolve import model_spec


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.predict", "Predict what a network takes, layer by layer and as a whole.")
    add_network(parser, box=True)
    zeros = parser.add_mutually_exclusive_group()
    zeros.add_argument("--sparsity", metavar="TEXT", help="of each convolution that can have it, e.g. columns:0.75:8x1")
    zeros.add_argument("--plan", type=Path, metavar="FILE", help="which layers are sparse, and how (default: none)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    model_spec(arguments.model)
    predictor = find_predictor(arguments.device_model or arguments.predictor)
    sparsity = parse_variant(arguments.sparsity) if arguments.sparsity else None
    plan = Plan.load(arguments.plan, arguments.model) if arguments.plan else None
    with status("predicting") as progress:
        progress("tracing the network")
        graph = trace_model(arguments.model, arguments.size)
        if plan is not None:
            plan.check(graph.layers)
        sparsities = plan.sparsities if plan else uniform(graph, sparsity) if sparsity else {}
        steps, total = predict_network(
            graph, predictor, sparsities, arguments.profile, arguments.tuned, arguments.dtype
        )
    if arguments.json:
        cli.print_json(summary(arguments, predictor, graph, steps, total))
    else:
        print_forecast(predictor, graph, steps, total)
    return 0


def summary(
    arguments: argparse.Namespace, predictor: Predictor, graph: Graph, steps: Sequence[PredictedStep], total: Total
) -> dict[str, Any]:
    """The JSON object the command prints; a bound that is not known is null."""
    return {
        "model": arguments.model,
        "size": list(graph.input_shape[1:]),
        "dtype": arguments.dtype,
        "predictor": arguments.device_model or arguments.predictor,
        "about": plainly(predictor),
        "device": runtime_of(predictor),
        "layers": [
            {
                "layer": step.layer,
                "op": step.op,
                "kernel": step.kernel,
                "kernel_likely": step.likely,
                "variant": variant_text(step.sparsity),
                "ms": step.prediction.ms,
                **_interval(step.prediction),
                "share": step.prediction.ms / total.sum_ms,
                "launches": step.launches,
                "doubts": list(step.prediction.doubts),
            }
            for step in steps
        ],
        "network": {
            "ms": total.ms,
            **_interval(total),
            "sum_ms": total.sum_ms,
            "launches": total.launches,
            "calibrated": predictor.calibration is not None,
            "how": total.how,
        },
    }


def plainly(predictor: Predictor) -> str:
    """What a prediction of others' kernels has to say of itself; "" of our own."""
    if is_own(predictor):
        return ""
    about = predictor.metadata
    origin = f", {about['source']}, {about['licence']}" if about.get("source") else ""
    return f"{PLAINLY} ({runtime_of(predictor)}{origin})"


def kernel_text(step: PredictedStep) -> str:
    """A step's kernel for people, with the probability that it is the fastest where it was chosen by prediction."""
    return step.kernel if step.likely is None else f"{step.kernel} ({percent(step.likely)})"


def _interval(time: TimeEstimate) -> dict[str, float | None]:
    """The ends of an interval as JSON has them: None where the interval is unbounded."""
    low, high = time.interval or (None, None)
    return {"low_ms": low, "high_ms": high}


def print_forecast(predictor: Predictor, graph: Graph, steps: Sequence[PredictedStep], total: Total) -> None:
    """The same for people."""
    if plainly(predictor):
        print(f"{plainly(predictor)}\n")
    rows = []
    for step in steps:
        prediction = step.prediction
        mark = "?" if prediction.doubts else ""
        share = f"{prediction.ms / total.sum_ms:.1%}"
        between = f"{prediction.low:.3f} to {prediction.high:.3f}"
        variant = variant_text(step.sparsity)
        rows.append([step.layer, kernel_text(step), variant, f"{prediction.ms:.3f}", between, share, mark])
    cli.print_table(["layer", "kernel", "variant", "ms", "interval", "share", ""], rows)
    doubtful = {doubt for step in steps for doubt in step.prediction.doubts}
    if doubtful:
        print(f"\n? in doubt: {'; '.join(sorted(doubtful))}")
    size = "x".join(map(str, graph.input_shape[1:]))
    print(
        f"\n{graph.name} at {size}, predicted for {runtime_of(predictor)}: "
        f"{total.ms:.2f} ms ({total.low:.2f} to {total.high:.2f})\n"
        f"{len(steps)} layers and copies in {total.launches} kernels, {total.sum_ms:.2f} ms by themselves\n"
        f"from {total.how}"
    )


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
