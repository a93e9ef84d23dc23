"""What a network is predicted to take on a device, layer by layer and as a whole: `python -m latency.predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codegen.lowering.sizes import check_sizes, trace_sizes
from codegen.tuning.database import tuned_for
from devices.profile import ITEM_BYTES
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.progress import status
from latency.cost_model.predictor import Predictor
from latency.network_model.forecast import (
    Forecaster,
    PredictedStep,
    foreign_steps,
    is_own,
    profile_of,
    runtime_of,
    uniform,
)
from latency.network_model.totals import Total, total
from models.graph.network import Graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity, parse_variant, variant_text
from models.plans.time_estimate import TimeEstimate
from models.zoo.resolve import MODEL_HELP, model_spec


def predict(
    graph: Graph,
    predictor: Predictor,
    sparsities: dict[str, Sparsity] | None = None,
    profile: str | None = None,
    tuned: str | None = None,
    dtype: str = "float32",
) -> tuple[list[PredictedStep], Total]:
    """Every layer of a network with its predicted time, and the whole.

    Args:
        sparsities: of the layers that are not dense, by name.
        profile: profile name or file, where the predictor's own is not by name; must be the same.
        tuned: tuned data to choose schedules by, or "none"; the profile's own without.

    Raises:
        UsageError: a predictor of a foreign runtime asked about zeros, which it knows nothing of; a layer that no
            schedule runs; another profile; a type that the device does not have.
    """
    if not is_own(predictor):
        if sparsities:
            raise UsageError(f"the predictor is of {runtime_of(predictor)}, which makes no use of zeros")
        steps = foreign_steps(predictor, graph)
        return steps, total([step.part for step in steps], predictor.calibration)
    device = profile_of(predictor, profile)
    forecaster = Forecaster(predictor, device, tuned_for(device, tuned).choice, dtype)
    steps = forecaster.steps(graph, sparsities)
    return steps, forecaster.total(steps)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.predict", "Predict what a network takes, layer by layer and as a whole.")
    add_network_flags(parser)
    zeros = parser.add_mutually_exclusive_group()
    zeros.add_argument("--sparsity", metavar="TEXT", help="each convolution that can have it, e.g. columns:0.75:8x1")
    zeros.add_argument("--plan", type=Path, metavar="FILE", help="which layers are sparse, and how; dense without")
    return parser


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that predicting and deciding share."""
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    parser.add_argument("--predictor", required=True, metavar="FILE", help="what latency.fit wrote")
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input size; the model's own without")
    parser.add_argument("--profile", help="profile name or TOML file, where the predictor's is not by name")
    parser.add_argument("--dtype", choices=tuple(ITEM_BYTES), default="float32", help="of activations and weights")
    parser.add_argument("--tuned", metavar="FILE", help="tuned data to choose schedules by, or none; the profile's own")


def traced(model: str, size: tuple[int, int] | None) -> Graph:
    """A model's graph at one input size, its own without; weights random: times do not depend on them."""
    spec = model_spec(model)
    sizes = [size or spec.size]
    check_sizes(spec, sizes)
    return trace_sizes(model, None, 0, sizes)[0]


def main(arguments: argparse.Namespace) -> int:
    model_spec(arguments.model)
    predictor = Predictor.load(arguments.predictor)
    sparsity = parse_variant(arguments.sparsity) if arguments.sparsity else None
    plan = Plan.load(arguments.plan, arguments.model) if arguments.plan else None
    with status("predicting") as progress:
        progress("tracing the network")
        graph = traced(arguments.model, arguments.size)
        if plan is not None:
            plan.check(graph.layers)
        sparsities = plan.sparsities if plan else uniform(graph, sparsity) if sparsity else {}
        steps, whole = predict(graph, predictor, sparsities, arguments.profile, arguments.tuned, arguments.dtype)
    if arguments.json:
        cli.print_json(summary(arguments, predictor, graph, steps, whole))
    else:
        print_forecast(predictor, graph, steps, whole)
    return 0


def summary(
    arguments: argparse.Namespace, predictor: Predictor, graph: Graph, steps: Sequence[PredictedStep], whole: Total
) -> dict[str, Any]:
    """The JSON object the command prints; a bound that is not known is null."""
    return {
        "model": arguments.model,
        "size": list(graph.input_shape[1:]),
        "dtype": arguments.dtype,
        "predictor": arguments.predictor,
        "device": runtime_of(predictor),
        "layers": [
            {
                "layer": step.layer,
                "op": step.op,
                "kernel": step.kernel,
                "variant": variant_text(step.sparsity),
                "ms": step.prediction.ms,
                **_interval(step.prediction),
                "share": step.prediction.ms / whole.sum_ms,
                "launches": step.launches,
                "doubts": list(step.prediction.doubts),
            }
            for step in steps
        ],
        "network": {
            "ms": whole.ms,
            **_interval(whole),
            "sum_ms": whole.sum_ms,
            "launches": whole.launches,
            "calibrated": predictor.calibration is not None,
            "how": whole.how,
        },
    }


def _interval(time: TimeEstimate) -> dict[str, float | None]:
    """The ends of an interval as JSON has them: None where the interval is unbounded."""
    low, high = time.interval or (None, None)
    return {"low_ms": low, "high_ms": high}


def print_forecast(predictor: Predictor, graph: Graph, steps: Sequence[PredictedStep], whole: Total) -> None:
    """The same for people."""
    rows = []
    for step in steps:
        found = step.prediction
        mark = "?" if found.doubts else ""
        share = f"{found.ms / whole.sum_ms:.1%}"
        between = f"{found.low:.3f} to {found.high:.3f}"
        rows.append([step.layer, step.kernel, variant_text(step.sparsity), f"{found.ms:.3f}", between, share, mark])
    cli.print_table(["layer", "kernel", "variant", "ms", "interval", "share", ""], rows)
    doubtful = {doubt for step in steps for doubt in step.prediction.doubts}
    if doubtful:
        print(f"\n? in doubt: {'; '.join(sorted(doubtful))}")
    size = "x".join(map(str, graph.input_shape[1:]))
    print(
        f"\n{graph.name} at {size}, predicted for {runtime_of(predictor)}: "
        f"{whole.ms:.2f} ms ({whole.low:.2f} to {whole.high:.2f})\n"
        f"{len(steps)} layers and copies in {whole.launches} kernels, {whole.sum_ms:.2f} ms by themselves\n"
        f"from {whole.how}"
    )


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
