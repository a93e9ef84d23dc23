"""Which plans of a network `benchmarks.networks` times: dense, the paper's pruned networks, or files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleetpose.errors import UsageError, unknown_name
from models.graph.network import Graph
from models.plans.paper_plan import PAPER_PLANS, paper_plan
from models.plans.plan import Plan
from models.plans.sparsity import DENSE, Sparsity

#: what the paper's ratios are made of, the fastest for each layer: sparsities without their fraction of zeros
POINTWISE = ("columns:4x1", "columns:6x1", "columns:12x1")
SPATIAL = ("connectivity:4x1", "connectivity:8x1", "columns:6x1", "columns:12x1")


def template(family: str) -> Sparsity:
    """PATTERN:BLOCK as a sparsity whose zeros are to be replaced. Raises UsageError for what is none."""
    pattern, *block = family.split(":")
    return Sparsity.parse(":".join([pattern, "0.6", *block]))


def labels_for(model: str, wanted: Sequence[str]) -> list[str]:
    """The plans of `wanted` that a network has, each once: all of the paper's where nothing is wanted, dense always.

    Raises UsageError for what is neither a file with a plan nor a plan of any network.
    """
    own = PAPER_PLANS.get(model, {})
    known = {DENSE, *(label for plans in PAPER_PLANS.values() for label in plans)}
    for label in wanted:
        if label not in known and not label.endswith(".json"):
            raise unknown_name("plan", label, [*sorted(known), "FILE.json"])
    labels = [label for label in wanted if label in own or _is_file_of(label, model)] if wanted else [*own]
    return list(dict.fromkeys([DENSE, *labels]))


def _is_file_of(label: str, model: str) -> bool:
    return label.endswith(".json") and Plan.load(Path(label)).model == model


def check_plans(models: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise UsageError for what is no plan, and for a file with the plan of none of `models`."""
    for model in models:
        labels_for(model, wanted)
    for label in wanted:
        if label.endswith(".json") and not any(_is_file_of(label, model) for model in models):
            model = Plan.load(Path(label)).model
            raise UsageError(f"{label} is a plan of {model}, not of {' or '.join(models)}; add --model {model}")


def plans_of_label(
    label: str, graph: Graph, model: str, pointwise: Sequence[Sparsity], spatial: Sequence[Sparsity]
) -> list[Plan]:
    """The plans a label means for a network: none for dense, that of a file, or the paper's once for each family.

    All make the same layers sparse; the n-th has the n-th of `pointwise` and of `spatial`, or their last.
    """
    if label == DENSE:
        return []
    if not label.endswith(".json"):
        pairs = [
            (pointwise[min(number, len(pointwise) - 1)], spatial[min(number, len(spatial) - 1)])
            for number in range(max(len(pointwise), len(spatial)))
        ]
        return [paper_plan(model, graph.layers, label, *pair) for pair in pairs]
    return [Plan.load(Path(label))]
