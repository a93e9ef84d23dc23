"""Linear layers on tensors of any rank: 1x1 convolutions of planes whose channels are the features, or, of a map that
was made a vector, one convolution of the map's size. And convolutions and pools along one axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.frontend.call import Call
from models.frontend.tokens.arranging import feature_groups, natural_groups
from models.frontend.tokens.reader import TensorReader, as_view, constant, joined_shape, leave
from models.frontend.views.placing import Groups, source_groups
from models.frontend.views.view import TensorView, placed


def linear(call: Call, reader: TensorReader) -> TensorView:
    view, weight = as_view(call, reader, "input"), constant(call, "weight")
    if weight is None or weight.ndim != 2:
        raise call.refusal("its weight is no constant matrix")
    return apply_linear(call, reader, view, weight, constant(call, "bias"))


def apply_linear(
    call: Call, reader: TensorReader, view: TensorView, weight: np.ndarray, bias: np.ndarray | None
) -> TensorView:
    """Leave the layer that multiplies a view's last axis by `weight` (O, I) and adds `bias` (O,)."""
    features, outputs = view.rank - 1, weight.shape[0]
    sizes = (*view.sizes[:-1], outputs)
    bias = None if bias is None else np.broadcast_to(bias.reshape(-1), (outputs,))
    if order := _whole_map(view):
        channels, height, width = view.source_shape
        taps = np.zeros((outputs, channels * height * width))
        taps[:, order] = weight
        kernel = taps.reshape(outputs, channels, height, width)
        name = leave(
            call, reader, "conv", [view.source], (outputs, 1, 1), weight=kernel, bias=bias, kernel=(height, width)
        )
        return placed(name, sizes, (tuple(range(view.rank)), (), ()))
    groups = _feature_last(view)
    source = reader.placing.place(view, groups, call)
    shape = joined_shape(sizes, groups)
    assert groups[0][-1] == features
    name = leave(call, reader, "conv", [source], shape, weight=weight[:, :, None, None], bias=bias)
    return placed(name, sizes, groups)


def _whole_map(view: TensorView) -> list[int] | None:
    """The number, in its source, of each element of a view that is one vector of all the source's elements, which are
    more than its channels; else None."""
    channels, height, width = view.source_shape
    count = channels * height * width
    if height * width == 1 or view.sizes[-1] != count or any(size != 1 for size in view.sizes[:-1]):
        return None
    order = view.tables[-1] + view.offset + sum(int(table[0]) for table in view.tables[:-1])
    return order.tolist() if np.array_equal(np.sort(order), np.arange(count)) else None


def _feature_last(view: TensorView) -> Groups:
    """Planes whose channels are a view's last axis: those that it lies in, if they are so."""
    last = view.rank - 1
    for groups in (source_groups(view), natural_groups(view)):
        if groups is not None and [axis for axis in groups[0] if view.sizes[axis] > 1 or axis == last] == [last]:
            return (*(axis for axis in groups[0] if axis != last), last), groups[1], groups[2]
    return feature_groups(view.sizes, (last,), alone=True)


def conv1d(call: Call, reader: TensorReader) -> TensorView:
    """A convolution along the last axis of (1, C, N): one of (C, 1, N) with a kernel one row high."""
    view, weight = as_view(call, reader, "input"), constant(call, "weight")
    if weight is None or view.rank != 3 or view.sizes[0] != 1:
        raise call.refusal("only a convolution of (1, C, N) by constant weights is supported")
    groups: Groups = ((0, 1), (), (2,))
    (stride,), (dilation,) = _numbers(call["stride"]), _numbers(call["dilation"])
    taps = weight.shape[2]
    before, after = _margins(call, taps, dilation)
    name = leave(
        call,
        reader,
        "conv",
        [reader.placing.place(view, groups, call)],
        joined_shape(call.sizes, groups),
        weight=weight[:, :, None, :],
        bias=constant(call, "bias"),
        kernel=(1, taps),
        stride=(1, stride),
        dilation=(1, dilation),
        groups=call["groups"],
        margins=(0, 0, before, after),
    )
    return placed(name, call.sizes, groups)


def _margins(call: Call, taps: int, dilation: int) -> tuple[int, int]:
    padding = call["padding"]
    if isinstance(padding, str):
        total = dilation * (taps - 1) if padding == "same" else 0
        return total // 2, total - total // 2
    (amount,) = _numbers(padding)
    return amount, amount


def _numbers(values: int | Sequence[int]) -> list[int]:
    return [values] if isinstance(values, int) else list(values)
