"""An independent executor of a Graph, in float64 by default: what generated code is verified against."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from fleetpose.errors import UsageError
from models.graph.foreign.reference import run_foreign
from models.graph.layer import Layer, Shape
from models.graph.network import Graph
from models.graph.pooling import run_pool
from models.graph.product import Product
from models.graph.rearrangement import run_rearrange
from models.graph.reduction_reference import run_reduction
from models.graph.resizing import run_resize
from models.graph.steps import apply_step, combine
from models.graph.transposed import run_transposed


def run_graph(graph: Graph, x: np.ndarray, dtype: Any = np.float64) -> list[np.ndarray]:
    """Run a graph on the CPU.

    Args:
        graph: what to run.
        x: (1, *graph.input_shape).
        dtype: float64 or float32: of the arithmetic and the results.

    Returns:
        The outputs in order, each (1, C, H, W).

    Raises:
        UsageError: `x` has another shape.
    """
    if x.shape != (1, *graph.input_shape):
        raise UsageError(f"{graph.name} takes an input of shape {(1, *graph.input_shape)}, got {x.shape}")
    held = {graph.input: torch.from_numpy(np.array(x, dtype))}
    weights = {name: torch.from_numpy(np.array(value, dtype)) for name, value in graph.weights.items()}
    with torch.no_grad():
        for layer in graph.layers:
            tensor = run_layer(layer, [held[name] for name in layer.inputs], weights)
            if tuple(tensor.shape) != (1, *layer.out_shape):
                raise ValueError(f"layer {layer.name} makes {tuple(tensor.shape)}, but says {layer.out_shape}")
            held[layer.name] = tensor
    return [held[name].numpy() for name in graph.outputs]


def run_layer(layer: Layer, inputs: list[torch.Tensor], weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """One layer: its op and bias, then its epilogue. `inputs` as in Layer.inputs; `weights` as in Graph.weights."""
    return run_epilogue(layer, run_op(layer, inputs[: layer.operands], weights), inputs[layer.operands :])


def run_epilogue(layer: Layer, x: torch.Tensor, tensors: list[torch.Tensor]) -> torch.Tensor:
    """A layer's epilogue on what its op made; `tensors` are what its steps read, in order."""
    others = iter(tensors)
    for step in layer.epilogue:
        x = combine(step, x, next(others)) if step.reads else apply_step(step, x)
    return x


def run_op(layer: Layer, operands: list[torch.Tensor], weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """A layer's op and bias on its operands, without its epilogue."""
    if layer.op == "constant":
        return weights[f"{layer.name}.value"][None]
    x = operands[0]
    if layer.op == "conv":
        return _run_conv(layer, x, weights)
    if layer.op in ("max_pool", "avg_pool"):
        return run_pool(layer, x)
    if layer.op == "resize":
        return run_resize(layer, x)
    if layer.op == "concat":
        return torch.cat(_of_one_batch(operands), dim=1)
    if layer.product is not None:
        left, right = _of_one_batch(operands)
        return run_product(layer.product, left, right, layer.out_shape)
    if layer.reduction is not None:
        parameters = (weights.get(f"{layer.name}.{part}") for part in ("weight", "bias"))
        return run_reduction(layer.op, layer.reduction, x, *parameters)
    if layer.foreign is not None:
        return run_foreign(layer.foreign, operands, layer.out_shape)
    if layer.op == "rearrange":
        return run_rearrange(layer, operands)
    return x.expand(-1, *layer.out_shape)


def run_product(product: Product, left: torch.Tensor, right: torch.Tensor, shape: Shape) -> torch.Tensor:
    """The result (N, *shape) of a "matmul" of operands (N, C, H, W), without its epilogue; gradients pass through."""
    batch, extents = range(len(product.batch)), product.extents
    m, n, k = range(len(batch), len(extents))
    a, b = (
        operand.flatten(1)[:, torch.from_numpy(walk.indices(extents, _spot(operand), loops))]
        for operand, walk, loops in ((left, product.left, (*batch, m, k)), (right, product.right, (*batch, k, n)))
    )
    result = left.new_zeros(len(left), prod(shape))
    result[:, torch.from_numpy(product.out.indices(extents, shape, (*batch, m, n)))] = a @ b * product.scale
    return result.unflatten(1, shape)


def _spot(tensor: torch.Tensor) -> Shape:
    _, channels, height, width = tensor.shape
    return channels, height, width


def _run_conv(layer: Layer, x: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    bias = weights[f"{layer.name}.bias"] if layer.bias else None
    weight = weights[f"{layer.name}.weight"]
    if layer.transposed:
        return run_transposed(layer, x, weight, bias)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def _of_one_batch(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Tensors, of which constants are one picture and others several, as so many pictures."""
    count = max(len(tensor) for tensor in tensors)
    return [tensor.expand(count, -1, -1, -1) for tensor in tensors]


def run_single(
    layer: Layer, inputs: Sequence[np.ndarray], weight: np.ndarray | None = None, bias: np.ndarray | None = None
) -> np.ndarray:
    """One layer outside any graph, in float64.

    Args:
        inputs: one (C, H, W) array per Layer.inputs.
        weight: (out, in / groups, kh, kw), of a "conv".
        bias: (out,), where Layer.bias.

    Returns:
        (C, H, W) float64.
    """
    named = {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}
    weights = {
        name: torch.from_numpy(np.array(value, np.float64)) for name, value in named.items() if value is not None
    }
    tensors = [torch.from_numpy(np.array(value, np.float64)[None]) for value in inputs]
    with torch.no_grad():
        return run_layer(layer, tensors, weights)[0].numpy()
