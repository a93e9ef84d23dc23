"""A network run on photographs in float32 to see how large its sums get, and how far half sums are from exact ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F

from codegen.kernels.widening import is_for_winograd, products_of_sum
from codegen.precision.choice import LayerPrecision, Widening
from codegen.precision.emulation import Operands, direct_error, winograd_error
from fleetpose.progress import Report, no_report
from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.reference import run_epilogue, run_op
from models.plans.sparsity import Sparsity

#: pixels, or tiles of Winograd's, of a photograph at which all sums of a layer are made in half precision
PLACES = 64


class _Measured:
    """What was seen of a layer on the photographs so far.

    bound: that no partial sum exceeds. value: the largest sum. error: the largest of half sums.
    """

    def __init__(self) -> None:
        self.bound = self.value = self.error = 0.0

    def add(self, bound: float, value: float, error: float) -> None:
        self.bound, self.value, self.error = max(self.bound, bound), max(self.value, value), max(self.error, error)

    def choice(self, products: int) -> LayerPrecision:
        return LayerPrecision.of(products, self.bound, self.error / self.value if self.value else 0.0)


def measure_widening(
    graph: Graph,
    inputs: np.ndarray,
    sparsities: Mapping[str, Sparsity] | None = None,
    seed: int = 0,
    report: Report = no_report,
) -> Widening:
    """What of the layers of a network needs float32.

    Args:
        inputs: (N, C, H, W) float32, at the graph's size: photographs.
        sparsities: of layers that are pruned, which are not computed by Winograd.
        seed: of the places.
        report: told which photograph is looked at.
    """
    measured: dict[str, _Measured] = {layer.name: _Measured() for layer in graph.layers if layer.convolves}
    random = np.random.default_rng(seed)
    for number, x in enumerate(inputs):
        report("how far half sums are off, photograph by photograph", number, len(inputs))
        with torch.inference_mode():
            for layer, operands in _convolutions(graph, x[None]):
                measured[layer.name].add(*_measure(operands, layer.name in (sparsities or {}), random))
    products = {layer.name: products_of_sum(layer) for layer in graph.layers if layer.convolves}
    layers = {name: seen.choice(products[name]) for name, seen in measured.items()}
    return Widening(graph.name, layers, len(inputs))


def _convolutions(graph: Graph, x: np.ndarray) -> Iterator[tuple[Layer, Operands]]:
    """Each convolution with its operands, while the network runs on an input (1, C, H, W)."""
    held = {graph.input: torch.from_numpy(np.array(x, np.float32))}
    weights = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in graph.weights.items()}
    readers = {name: number for number, layer in enumerate(graph.layers) for name in layer.inputs}
    for number, layer in enumerate(graph.layers):
        inputs = [held[name] for name in layer.inputs]
        addends = inputs[layer.operands :]
        if layer.convolves:
            weight = weights[f"{layer.name}.weight"]
            bias = weights.get(f"{layer.name}.bias", torch.zeros(len(weight)))
            begins = bool(layer.epilogue) and layer.epilogue[0].kind == "add"
            addend = addends[0].expand(1, *layer.out_shape)[0] if begins else None
            yield layer, Operands(layer, inputs[0], weight, bias, addend)
        held[layer.name] = run_epilogue(layer, run_op(layer, inputs[: layer.operands], weights), addends)
        for name in {name for name in layer.inputs if readers[name] == number and name not in graph.outputs}:
            del held[name]


def _measure(operands: Operands, is_sparse: bool, random: np.random.Generator) -> tuple[float, float, float]:
    """(a bound of every partial sum, the largest sum, the largest error of half sums) of a convolution."""
    layer, addend = operands.layer, operands.addend
    value = _convolve(layer, operands.x, operands.weight, operands.bias)
    bound = _convolve(layer, operands.x.abs(), operands.weight.abs(), operands.bias.abs())
    if addend is not None:
        value, bound = value + addend, bound + addend.abs()
    by_winograd = is_for_winograd(layer) and not is_sparse
    error = (winograd_error if by_winograd else direct_error)(operands, PLACES, random)
    return float(bound.max()), float(value.abs().max()), error


def _convolve(layer: Layer, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
