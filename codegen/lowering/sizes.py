"""Input sizes of a network: those that are served, and its graph at each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleetpose.errors import UsageError
from models.graph.network import Graph, check_finite_weights
from models.resolve import create_model, model_spec
from models.zoo.input_sizes import check_input_size
from models.zoo.spec import ModelSpec

#: widths at height 368 for upright, square, 4:3, 3:2 and 16:9 photographs
DEFAULT_WIDTHS = (280, 368, 496, 560, 656)


def default_sizes(spec: ModelSpec) -> list[tuple[int, int]]:
    """Input sizes served unless the user names some: the model's height, widths of the usual photographs."""
    if spec.fixed_size:
        return [spec.size]
    height, step = spec.size[0], spec.side_step
    widths = [max(1, round(width * height / 368 / step)) * step for width in DEFAULT_WIDTHS]
    return [(height, width) for width in dict.fromkeys(widths)]


def check_sizes(spec: ModelSpec, sizes: Sequence[tuple[int, int]]) -> None:
    """Raises UsageError for a size given twice, or one that the network cannot take."""
    if len(set(sizes)) != len(sizes):
        raise UsageError("the same input size is given twice")
    for size in sizes:
        check_input_size(spec, size)


def trace_model(model: str, size: tuple[int, int] | None = None) -> Graph:
    """A model's graph at one input size (default: the model's own), weights random: times do not depend on them."""
    spec = model_spec(model)
    sizes = [size or spec.size]
    check_sizes(spec, sizes)
    return trace_sizes(model, None, 0, sizes)[0]


def trace_models(models: Sequence[str], sizes: Sequence[tuple[int, int]] = ()) -> list[Graph]:
    """Every model's graph at every size (default: the model's own), weights random: times do not depend on them."""
    return [graph for model in models for graph in trace_sizes(model, None, 0, sizes or [model_spec(model).size])]


def trace_sizes(model: str, weights: Path | None, seed: int, sizes: Sequence[tuple[int, int]]) -> list[Graph]:
    """The model's graph at each input (height, width).

    Raises:
        UsageError: an unknown model, weights that do not fit or are not finite, a size the network cannot take.
    """
    from models.frontend.trace import trace

    network, spec = create_model(model, weights, seed), model_spec(model)
    graphs = [trace(network, spec.input_shape(size), model) for size in sizes]
    for graph in graphs:
        check_finite_weights(graph)
    return graphs
