"""The torch operators a network may use, each turned into a Draft (or found to change nothing).

`TABLE` is the whole list: operator name -> function of a `Call`. What a function cannot express exactly in a Layer it
refuses with `Call.refusal`, which names the operator and the module it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from models.frontend.activations import ACTIVATIONS
from models.frontend.arithmetic import ARITHMETIC, constant
from models.frontend.call import Answer, Call
from models.frontend.draft import Draft, Margins
from models.frontend.truths import TRUTHS
from models.frontend.windows.pads import PADS
from models.frontend.windows.pools import POOLS
from models.frontend.windows.resizes import RESIZES
from models.frontend.windows.transposed import transposed_conv


def _conv(call: Call) -> Answer:
    if call.get("transposed"):
        return transposed_conv(call)
    weight, bias = call["weight"], call.get("bias")
    if not isinstance(weight, np.ndarray) or weight.ndim != 4 or isinstance(bias, str):
        raise call.refusal("only 2-D convolution with constant weights is supported")
    dilation = call.pair("dilation")
    kernel = weight.shape[2:]
    if isinstance(call["padding"], str):
        total = [
            step * (taps - 1) if call["padding"] == "same" else 0 for step, taps in zip(dilation, kernel, strict=True)
        ]
        margins: Margins = (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    else:
        rows, columns = call.pair("padding")
        margins = (rows, rows, columns, columns)
    draft = call.draft("conv", [call.tensor("input")], "conv", weight=weight, bias=bias, kernel=kernel)
    draft.margins, draft.dilation = margins, dilation
    draft.stride, draft.groups = call.pair("stride"), call["groups"]
    return draft


def _cat(call: Call) -> Answer:
    names, dim = call["tensors"], call["dim"]
    if dim not in (1, -3):
        raise call.refusal(f"concatenation along dimension {dim} is not supported, only along channels (1)")
    constants: list[Draft] = []
    for number, value in enumerate(names):
        if not isinstance(value, str):
            constants.append(constant(call, value[0], f"{call.name}.value{number}"))
    given = iter(constants)
    names = [value if isinstance(value, str) else next(given).name for value in names]
    return names[0] if len(names) == 1 else [*constants, call.draft("concat", names, "concat")]


def _identity(call: Call) -> Answer:
    if call.get("train"):
        raise call.refusal("dropout in training mode is not supported", "call eval()")
    return call.tensor("input" if "input" in call.arguments else "self")


def _cast(call: Call) -> Answer:
    """Casts between floating-point types change nothing: everything is computed in the network's own."""
    dtype = call.get("dtype")
    if dtype == torch.bool:
        return TRUTHS["ne"](replace(call, arguments={"self": call.tensor("self"), "other": 0.0}))
    if dtype is not None and not dtype.is_floating_point:
        raise call.refusal(f"a cast to {dtype} is not supported", "keep what depends on the input in floating point")
    return _identity(call)


TABLE: dict[str, Callable[[Call], Answer]] = {
    "conv2d": _conv,
    "convolution": _conv,
    "conv_transpose2d": transposed_conv,
    **ACTIVATIONS,
    **ARITHMETIC,
    **TRUTHS,
    "max": ARITHMETIC["maximum"],  # of two tensors; along axes they are reductions
    "min": ARITHMETIC["minimum"],
    "cat": _cat,
    **PADS,
    **POOLS,
    **RESIZES,
    "dropout": _identity,
    "feature_dropout": _identity,
    "clone": _identity,
    "contiguous": _identity,
    "alias": _identity,
    "detach": _identity,
    "type_as": _identity,
    "to": _cast,
    "_to_copy": _cast,
}


def convert(call: Call) -> Answer:
    """The drafts of a call, or the name of the tensor it merely passes on.

    Raises:
        UsageError: an operator not in TABLE, or one used in a way no Layer expresses.
    """
    if call.op not in TABLE:
        raise call.refusal("it is not supported, and has no fallback")
    return TABLE[call.op](call)
