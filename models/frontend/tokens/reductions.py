"""The torch operators that combine elements along axes: norms, softmax, sums, means and extremes, of any rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.frontend.tokens.arranging import arrange
from models.frontend.tokens.reader import TensorReader, as_view, constant, leave
from models.frontend.views.placing import STANDARD, Groups, place_constant
from models.frontend.views.view import TensorView, placed
from models.graph.reduction import AXES, Reduction

#: float32's, which torch takes where an rms_norm names no eps
FLOAT32_EPS = 1.1920928955078125e-07
FLOATS = (None, torch.float32, torch.float64)

Answer = TensorView | Draft
Operator = Callable[[Call, TensorReader], Answer]


def _operand(call: Call, reader: TensorReader) -> TensorView:
    return as_view(call, reader, "input" if "input" in call.arguments else "self")


def _axes(call: Call, view: TensorView, dims: Sequence[int] | int | None) -> list[int]:
    """The axes that `dims` name; all for none. Raises UsageError where only a batch of one is named."""
    numbers = [dims] if isinstance(dims, int) else list(dims or range(view.rank))
    axes = sorted({number % view.rank for number in numbers})
    if axes == [0] and view.rank == 4 and view.sizes[0] == 1:
        raise call.refusal(f"dimension {dims} is the batch, which is 1")
    return axes


def normalise(
    call: Call,
    reader: TensorReader,
    view: TensorView,
    combined: Sequence[int],
    kind: str,
    eps: float,
    parameters: tuple[np.ndarray, np.ndarray] | None = None,
) -> TensorView:
    """Leave a "normalise" of a view over the axes `combined`; a view of the same sizes.

    Args:
        parameters: a weight and a bias that broadcast to the view's sizes, or None.
    """
    groups, axes, count = arrange(view, combined)
    settings: dict[str, Any] = {}
    affine = ""
    if parameters is not None:
        weight, bias = (place_constant(values, view.sizes, groups)[0] for values in parameters)
        shape = np.broadcast_shapes(weight.shape, bias.shape)
        affine = "".join(axis for axis, extent in zip(AXES, shape, strict=True) if extent > 1)
        if not affine:  # one number for all, which is one for each channel
            affine, shape = "C", (prod(view.sizes[axis] for axis in groups[0]), 1, 1)
        settings = {"weight": np.broadcast_to(weight, shape), "bias": np.broadcast_to(bias, shape)}
    reduction = Reduction(kind, axes, count, eps, affine)
    source = reader.placing.place(view, groups, call)
    shape = reader.placing.shapes[source]
    name = leave(call, reader, "normalise", [source], shape, reduction=reduction, **settings)
    return placed(name, view.sizes, groups)


def _parameters(call: Call, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """The weight and bias of a norm, as arrays of `shape`; None where it has neither."""
    weight, bias = constant(call, "weight"), constant(call, "bias") if "bias" in call.arguments else None
    if weight is None and bias is None:
        return None
    return (
        np.ones(shape) if weight is None else weight.reshape(shape),
        np.zeros(shape) if bias is None else bias.reshape(shape),
    )


def _group_norm(call: Call, reader: TensorReader) -> Answer:
    view, groups = _operand(call, reader), int(call["num_groups"])
    batch, channels, *space = view.sizes
    split = reader.placing.reshape(view, [batch, groups, channels // groups, *space], call)
    shape = [1, groups, channels // groups, *(1 for _ in space)]
    combined = range(2, split.rank)
    result = normalise(call, reader, split, combined, "variance", float(call["eps"]), _parameters(call, shape))
    return reader.placing.reshape(result, view.sizes, call)


def _layer_norm(kind: str, call: Call, reader: TensorReader) -> Answer:
    view, eps = _operand(call, reader), call.get("eps")
    first = view.rank - len(call["normalized_shape"])
    shape = [1] * first + list(view.sizes[first:])
    eps = FLOAT32_EPS if eps is None else float(eps)
    return normalise(call, reader, view, range(first, view.rank), kind, eps, _parameters(call, shape))


def _instance_norm(call: Call, reader: TensorReader) -> Answer:
    """A norm over each channel by its own statistics; with the running ones it is a batch norm."""
    if not call.get("use_input_stats", True):
        return _batch_norm(call, reader)
    view = _operand(call, reader)
    shape = [1, view.sizes[1], *(1 for _ in view.sizes[2:])]
    combined = range(2, view.rank)
    return normalise(call, reader, view, combined, "variance", float(call["eps"]), _parameters(call, shape))


def _batch_norm(call: Call, reader: TensorReader) -> Answer:
    """By running statistics an affine of each channel; where a network keeps none, an instance norm, batch being 1."""
    mean, variance = constant(call, "running_mean"), constant(call, "running_var")
    view = _operand(call, reader)
    if mean is None and variance is None and view.sizes[0] == 1:
        return _instance_norm(replace(call, arguments={**call.arguments, "use_input_stats": True}), reader)
    if call.get("training") or mean is None or variance is None:
        raise call.refusal("it takes its statistics from the data, though it keeps running ones", "call eval()")
    weight, bias = constant(call, "weight"), constant(call, "bias")
    scale = 1.0 / np.sqrt(variance + call["eps"]) * (1 if weight is None else weight)
    shift = -mean * scale + (0 if bias is None else bias)
    groups = channel_groups(view)
    source = reader.placing.place(view, groups, call)
    shape = reader.placing.shapes[source]
    named = replace(call, op="batch_norm")
    name = leave(named, reader, "affine", [source], shape, weight=scale, bias=shift)
    return placed(name, view.sizes, groups)


def channel_groups(view: TensorView) -> Groups:
    """The planes of a tensor (B, C, ...) whose channels alone are channels; the batch is joined to the rows."""
    *rows, column = range(2, view.rank) if view.rank > 2 else (0,)
    return (1,), (0, *rows) if view.rank > 2 else (), (column,)


def _softmax(kind: str, call: Call, reader: TensorReader) -> Answer:
    if call.get("dtype") not in FLOATS:
        raise call.refusal(f"its result is {call['dtype']}, not float32")
    view = _operand(call, reader)
    groups, axes, count = arrange(view, _axes(call, view, call["dim"]))
    source = reader.placing.place(view, groups, call)
    shape = reader.placing.shapes[source]
    name = leave(call, reader, "softmax", [source], shape, reduction=Reduction(kind, axes, count))
    return placed(name, view.sizes, groups)


def reduce(kind: str, call: Call, reader: TensorReader, correction: float = 0.0) -> Answer:
    """A statistic over the axes that a call names; they go, or are left with extent 1."""
    if call.get("dtype") not in FLOATS:
        raise call.refusal(f"its result is {call['dtype']}, not float32")
    view = _operand(call, reader)
    combined = _axes(call, view, call.get("dim"))
    if kind == "mean" and view.rank == 4 and view.sizes[0] == 1 and combined == [2, 3]:
        result = _pool(call, reader, view)
        return result if call.get("keepdim", False) else result.select(3, 0).select(2, 0)
    groups, axes, count = arrange(view, combined)
    source = reader.placing.place(view, groups, call)
    reduction = Reduction(kind, axes, count, correction=correction)
    shape = reduction.reduced(reader.placing.shapes[source])
    name = leave(call, reader, "reduce", [source], shape, reduction=reduction)
    sizes = [1 if axis in combined else size for axis, size in enumerate(view.sizes)]
    result = placed(name, sizes, groups)
    if not call.get("keepdim", False):
        for axis in reversed(combined):
            result = result.select(axis, 0)
    return result


def _pool(call: Call, reader: TensorReader, view: TensorView) -> TensorView:
    """The mean of every plane, as the average pool that it is."""
    source = reader.placing.place(view, STANDARD, call)
    channels, *kernel = reader.placing.shapes[source]
    shape, taps = (channels, 1, 1), (kernel[0], kernel[1])
    name = leave(call, reader, "avg_pool", [source], shape, kernel=taps, stride=taps)
    return TensorView.of(name, shape)


def _variance(kind: str, call: Call, reader: TensorReader) -> Answer:
    unbiased, correction = call.get("unbiased", True), call.get("correction")
    return reduce(kind, call, reader, float(unbiased) if correction is None else float(correction))


def _vector_norm(call: Call, reader: TensorReader) -> Answer:
    order = call["ord"] if "ord" in call.arguments else call.get("p")
    kinds = {1: "l1", 2: "l2", None: "l2"}
    if order not in kinds:
        raise call.refusal(f"only norms of order 1 and 2 are supported, not {order}")
    return reduce(kinds[order], call, reader)


def _norm(call: Call, reader: TensorReader) -> Answer:
    """torch.linalg.norm: that of a vector where one axis is named, or none or two and no order."""
    axes = call.get("dim")
    if call.get("ord") is not None and len(axes or ()) != 1:
        raise call.refusal("norms of matrices with an order are not supported")
    return _vector_norm(call, reader)


#: operator name -> the function that reads its call
REDUCTIONS: dict[str, Operator] = {
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "layer_norm": partial(_layer_norm, "variance"),
    "rms_norm": partial(_layer_norm, "rms"),
    "softmax": partial(_softmax, "softmax"),
    "_softmax": partial(_softmax, "softmax"),
    "log_softmax": partial(_softmax, "log_softmax"),
    "_log_softmax": partial(_softmax, "log_softmax"),
    "sum": partial(reduce, "sum"),
    "mean": partial(reduce, "mean"),
    "amax": partial(reduce, "max"),
    "amin": partial(reduce, "min"),
    "max": partial(reduce, "max"),
    "min": partial(reduce, "min"),
    "var": partial(_variance, "variance"),
    "std": partial(_variance, "deviation"),
    "linalg_vector_norm": _vector_norm,
    "linalg_norm": _norm,
    "norm": _vector_norm,
}
