"""The torch operators that combine elements of a map: norms, softmax, sums, means and extremes over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.graph.reduction import AXES, Reduction

#: float32's, which torch takes where an rms_norm names no eps
FLOAT32_EPS = 1.1920928955078125e-07


def axes_of(call: Call, dims: Sequence[int] | int | None) -> str:
    """The axes of (C, H, W) that dims of (1, C, H, W) name, "CHW" for none or all; the batch, being 1, does not count.

    Raises UsageError where only the batch is named.
    """
    numbers = [dims] if isinstance(dims, int) else list(dims or range(4))
    axes = "".join(axis for number, axis in enumerate(AXES) if {number + 1, number - 3} & set(numbers))
    if not axes:
        raise call.refusal(f"dimension {dims} is the batch, which is 1")
    return axes


def _draft(
    call: Call, op: str, reduction: Reduction, weight: np.ndarray | None = None, bias: np.ndarray | None = None
) -> Draft:
    """A draft of `op`; weight and bias, if any, of the reduction's affine_shape."""
    source = call.tensor("input" if "input" in call.arguments else "self")
    return call.draft(op, [source], call.op, reduction=reduction, weight=weight, bias=bias)


def _norm(call: Call, reduction: Reduction, affine: str) -> Draft:
    """A "normalise" with the weight and bias of the call, if it has any, which vary along the axes `affine`."""
    weight, bias = call.get("weight"), call.get("bias")
    if weight is None and bias is None:
        return _draft(call, "normalise", reduction)
    if not isinstance(weight, np.ndarray | None) or not isinstance(bias, np.ndarray | None):
        raise call.refusal("its weight and bias must be constants")
    varying = replace(reduction, affine=affine)
    shape = varying.affine_shape(call.shape)
    weight = np.ones(shape) if weight is None else weight.reshape(shape)
    bias = np.zeros(shape) if bias is None else bias.reshape(shape)
    return _draft(call, "normalise", varying, weight, bias)


def _group_norm(call: Call) -> Draft:
    return _norm(call, Reduction("variance", "CHW", int(call["num_groups"]), float(call["eps"])), "C")


def _layer_norm(call: Call) -> Draft:
    axes = AXES[3 - len(call["normalized_shape"]) :]
    return _norm(call, Reduction("variance", axes, eps=float(call["eps"])), axes)


def _rms_norm(call: Call) -> Draft:
    axes = AXES[3 - len(call["normalized_shape"]) :]
    eps = call.get("eps")
    return _norm(call, Reduction("rms", axes, eps=FLOAT32_EPS if eps is None else float(eps)), axes)


def instance_norm(call: Call) -> Draft:
    """A norm over each plane by its own statistics; with the running ones it is a batch norm."""
    return _norm(call, Reduction("variance", "HW", eps=float(call["eps"])), "C")


def _instance_norm(call: Call) -> Draft:
    if call["use_input_stats"]:
        return instance_norm(call)
    return batch_norm(call)


def batch_norm(call: Call) -> Draft:
    """By running statistics an affine of each channel; where a network keeps none, an instance norm, batch being 1."""
    mean, variance = call.get("running_mean"), call.get("running_var")
    if mean is None and variance is None:
        return instance_norm(call)
    if call.get("training") or mean is None or variance is None:
        raise call.refusal("it takes its statistics from the data, though it keeps running ones; call eval()")
    scale = 1.0 / np.sqrt(variance + call["eps"])
    if call.get("weight") is not None:
        scale = scale * call["weight"]
    shift = -mean * scale
    if call.get("bias") is not None:
        shift = shift + call["bias"]
    return call.draft("affine", [call.tensor("input")], "batch_norm", weight=scale, bias=shift)


def _softmax(kind: str, call: Call) -> Draft:
    if call.get("dtype") not in (None, torch.float32, torch.float64):
        raise call.refusal(f"its result is {call['dtype']}, not float32")
    return _draft(call, "softmax", Reduction(kind, axes_of(call, call["dim"])))


def _check_kept(call: Call) -> None:
    if not call.get("keepdim", False):
        raise call.refusal("only keepdim=True is supported")


def _reduce(kind: str, call: Call, dims: Any = None, correction: float = 0.0) -> Draft:
    _check_kept(call)
    if call.get("dtype") not in (None, torch.float32, torch.float64):
        raise call.refusal(f"its result is {call['dtype']}, not float32")
    dims = call.get("dim") if dims is None else dims
    return _draft(call, "reduce", Reduction(kind, axes_of(call, dims), correction=correction))


def reduce_mean(call: Call) -> Draft:
    """The mean over any axes."""
    return _reduce("mean", call)


def _variance(kind: str, call: Call) -> Draft:
    unbiased, correction = call.get("unbiased", True), call.get("correction")
    return _reduce(kind, call, correction=float(unbiased) if correction is None else float(correction))


def _vector_norm(call: Call) -> Draft:
    order = call["ord"] if "ord" in call.arguments else call["p"]
    kinds = {1: "l1", 2: "l2", None: "l2"}
    if order not in kinds:
        raise call.refusal(f"only norms of order 1 and 2 are supported, not {order}")
    return _reduce(kinds[order], call)


#: operator name -> the function that turns its call into a draft
REDUCTIONS: dict[str, Callable[[Call], Draft]] = {
    "batch_norm": batch_norm,
    "_native_batch_norm_legit": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "softmax": partial(_softmax, "softmax"),
    "_softmax": partial(_softmax, "softmax"),
    "log_softmax": partial(_softmax, "log_softmax"),
    "_log_softmax": partial(_softmax, "log_softmax"),
    "sum": partial(_reduce, "sum"),
    "amax": partial(_reduce, "max"),
    "amin": partial(_reduce, "min"),
    "max": partial(_reduce, "max"),
    "min": partial(_reduce, "min"),
    "var": partial(_variance, "variance"),
    "std": partial(_variance, "deviation"),
    "linalg_vector_norm": _vector_norm,
    "norm": _vector_norm,
}
