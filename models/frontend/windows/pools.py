"""Pools of torch as drafts: windows, adaptive ones, and means over planes; torch-free."""

from __future__ import annotations

from collections.abc import Callable

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.graph.pooling import ADAPTIVE, largest_window


def _pool(call: Call, op: str) -> Draft:
    """Windows of a fixed size; what ceil_mode adds is in the shape."""
    kernel = call.pair("kernel_size")
    stride, (rows, columns) = call.pair("stride", kernel), call.pair("padding")
    dilation = call.pair("dilation") if "dilation" in call.arguments else (1, 1)
    draft = call.draft(op, [call.tensor("self")], op, kernel=kernel, stride=stride, dilation=dilation)
    draft.margins = (rows, rows, columns, columns)
    draft.count_include_pad = bool(call.get("count_include_pad", True))
    draft.divisor = call.get("divisor_override") or 0
    return draft


def _adaptive_pool(call: Call, op: str) -> Draft:
    """To any size: windows of one size where it divides the input's, else of the sizes torch gives them."""
    name = call.tensor("self")
    (height, width), (rows, columns) = call.shapes[name][1:], call.shape[1:]
    if height % rows == 0 and width % columns == 0:
        kernel = (height // rows, width // columns)
        return call.draft(op, [name], op, kernel=kernel, stride=kernel)
    kernel = (largest_window(height, rows), largest_window(width, columns))
    return call.draft(op, [name], op, kernel=kernel, mode=ADAPTIVE)


POOLS: dict[str, Callable[[Call], Draft]] = {
    "max_pool2d": lambda call: _pool(call, "max_pool"),
    "max_pool2d_with_indices": lambda call: _pool(call, "max_pool"),
    "avg_pool2d": lambda call: _pool(call, "avg_pool"),
    "adaptive_avg_pool2d": lambda call: _adaptive_pool(call, "avg_pool"),
    "_adaptive_avg_pool2d": lambda call: _adaptive_pool(call, "avg_pool"),
    "adaptive_max_pool2d": lambda call: _adaptive_pool(call, "max_pool"),
}
