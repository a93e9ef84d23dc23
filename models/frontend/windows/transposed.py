"""Transposed convolutions of torch as drafts; torch-free."""

from __future__ import annotations

import numpy as np

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.graph.transposed import swap_channels


def transposed_conv(call: Call) -> Draft:
    """A transposed convolution of any stride, padding, output padding (which the shape says), dilation and groups."""
    weight, bias = call["weight"], call.get("bias")
    if not isinstance(weight, np.ndarray) or weight.ndim != 4 or isinstance(bias, str):
        raise call.refusal("only 2-D transposed convolution with constant weights is supported")
    groups = call["groups"]
    draft = call.draft("conv", [call.tensor("input")], "conv", weight=swap_channels(weight, groups), bias=bias)
    rows, columns = call.pair("padding")
    draft.kernel = (weight.shape[2], weight.shape[3])
    draft.margins, draft.dilation = (rows, rows, columns, columns), call.pair("dilation")
    draft.stride, draft.groups, draft.transposed = call.pair("stride"), groups, True
    return draft
