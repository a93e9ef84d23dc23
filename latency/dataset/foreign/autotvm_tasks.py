"""AutoTVM's tasks as layers: the arguments of its convolution templates, by version 0.1 and 0.2 of its logs.

A task is a template's name and its arguments, in the order of the template's function (TVM's python/tvm/topi and
relay/op/strategy): data, kernel, strides, padding, dilation, perhaps a layout or groups, and the type of the result. In
version 0.1 names are those of operators ("topi_nn_conv2d"), the template is named apart ("direct", "winograd"), and the
oldest logs have no dilation. Templates that somebody wrote for himself have other names and any arguments: what they
compute is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleetpose.codec import decode
from fleetpose.errors import DataError, quoted
from latency.dataset.foreign.shapes import convolution, out_extent
from models.graph.layer import Layer

#: what AutoTVM's arguments begin with where they are a tensor
TENSOR = "TENSOR"
#: in names of templates; one branch of TVM's for Adreno spells it otherwise
WINOGRAD = ("winograd", "winagrad")


@dataclass(frozen=True)
class TaskLayer:
    """The layer of a task, and how its kernel is made.

    Attributes:
        kind: "direct", "winograd", "depthwise" or "dense".
        layout: of the activations; memory: "texture" where they or the weights are images.
        dtype: "fp16", "fp16_acc32" (half, summed in float32) or "fp32".
    """

    layer: Layer
    kind: str
    layout: str
    memory: str
    dtype: str


class OtherTask(Exception):
    """A task that is no convolution of one picture; the text says what it is instead."""


def read_task(name: str, template: str, arguments: Sequence[Any]) -> TaskLayer:
    """The layer of a task.

    Args:
        name: of the task; template: of its template, "" in logs of version 0.2.

    Raises:
        OtherTask: it is another operator, or a convolution that no layer of one picture is.
        DataError: it is a convolution whose arguments are not what its template takes.
    """
    lowered = name.lower()
    if not ("." in name or lowered.startswith("topi_")):
        raise OtherTask(f"tasks of {name:.60}, a template that is not TVM's own")
    if "dense" in lowered:
        return _dense(name, arguments)
    if "conv2d" not in lowered or "transpose" in lowered or "int8" in lowered or "pack_weight" in lowered:
        raise OtherTask(f"tasks of {name:.60}")
    if "without_weight_transform" in lowered:
        raise OtherTask("Winograd convolutions whose weights were transformed before")
    if len(arguments) < 5:
        raise DataError(f"{name:.60} has {len(arguments)} arguments, too few for a convolution")
    data, kernel = _tensor(arguments[0]), _tensor(arguments[1])
    depthwise, last = "depthwise" in lowered, "nhwc" in lowered or "NHWC" in arguments
    channels, size, layout = _data_of(data[0], last)
    filters, window = _kernel_of(kernel[0], last, depthwise)
    settings = [value for value in arguments[2:] if not isinstance(value, str)]
    stride, pads, dilation, groups = _settings(name, settings)
    if depthwise:
        groups = channels
    out_size = tuple(
        out_extent(extent, reach, step, apart, around)
        for extent, reach, step, apart, around in zip(size, window, stride, dilation, pads, strict=True)
    )
    winograd = any(name in lowered + template.lower() for name in WINOGRAD)
    kind = "depthwise" if depthwise else "winograd" if winograd else "direct"
    layer = convolution(channels, size, filters, (out_size[0], out_size[1]), window, stride, dilation, groups)
    memory = "texture" if ".image2d" in lowered else ""
    return TaskLayer(layer, kind, layout, memory, _dtype(name, data[1], arguments))


def _dense(name: str, arguments: Sequence[Any]) -> TaskLayer:
    """A product of a matrix and a vector, which is a 1x1 convolution of one pixel."""
    if len(arguments) < 2:
        raise DataError(f"{name:.60} has {len(arguments)} arguments, too few for a product")
    data, kernel = _tensor(arguments[0]), _tensor(arguments[1])
    if len(data[0]) != 2 or len(kernel[0]) != 2 or data[0][0] != 1:
        raise OtherTask("products of packed matrices or of several vectors")
    layer = convolution(data[0][1], (1, 1), kernel[0][0], (1, 1), (1, 1))
    return TaskLayer(layer, "dense", "", "", _dtype(name, data[1], arguments))


def _tensor(argument: Any) -> tuple[list[int], str]:
    """The shape and the type of a tensor; in the oldest logs it lacks the word."""
    marked = decode(list[Any], argument, "a tensor")
    if len(marked) != 3 or marked[0] != TENSOR:
        raise DataError(f"{quoted(marked)} is no tensor")
    return decode(list[int], marked[1], "a tensor's shape"), decode(str, marked[2], "a tensor's type")


def _data_of(shape: list[int], last: bool) -> tuple[int, tuple[int, int], str]:
    """Channels, (rows, columns) and the layout's name of an input: NCHW, NHWC or NCHW4c. Raises OtherTask."""
    if len(shape) not in (4, 5):
        raise OtherTask(f"convolutions of inputs with {len(shape)} axes")
    if shape[0] != 1:
        raise OtherTask("batches of several pictures")
    if len(shape) == 5:
        block = shape[4]
        channels, size = (shape[3] if last else shape[1]) * block, shape[1:3] if last else shape[2:4]
        return channels, (size[0], size[1]), f"{'NHWC' if last else 'NCHW'}{block}c"
    if last:
        return shape[3], (shape[1], shape[2]), "NHWC"
    return shape[1], (shape[2], shape[3]), "NCHW"


def _kernel_of(shape: list[int], last: bool, depthwise: bool) -> tuple[int, tuple[int, int]]:
    """Filters and (rows, columns) of weights: OIHW, or HWIO (HWOI where depthwise), with a block of filters behind.

    Raises OtherTask for other orders.
    """
    if len(shape) not in (4, 5):
        raise OtherTask(f"convolutions of weights with {len(shape)} axes")
    block = shape[4] if len(shape) == 5 else 1
    window, outer, inner = (shape[0:2], shape[3], shape[2]) if last else (shape[2:4], shape[0], shape[1])
    return outer * block * (inner if depthwise else 1), (window[0], window[1])


def _settings(
    name: str, values: Sequence[Any]
) -> tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]], tuple[int, int], int]:
    """Stride, (before, after) of each axis' padding, dilation and groups of what follows the tensors."""
    if len(values) < 2:
        raise OtherTask(f"tasks of {name:.60} whose padding is a word")
    stride, dilation, groups = _pair(values[0]), (1, 1), 1
    padding = [values[1]] * 2 if isinstance(values[1], int) else decode(list[int], values[1], "padding")
    if len(padding) == 2:
        padding = [*padding, *padding]
    if len(padding) != 4 or min(padding) < 0:
        raise DataError(f"{quoted(padding)} is no padding")
    if len(values) > 2:
        dilation = _pair(values[2])
    if "group_conv2d" in name:
        if len(values) < 4:
            raise DataError(f"{name:.60} does not say its groups")
        groups = decode(int, values[3], "groups")
    return stride, ((padding[0], padding[2]), (padding[1], padding[3])), dilation, groups


def _pair(value: Any) -> tuple[int, int]:
    """A number for both axes, or one for each."""
    if isinstance(value, int):
        return (decode(int, value), decode(int, value))
    return decode(tuple[int, int], value, "a stride or a dilation")


def _dtype(name: str, element: str, arguments: Sequence[Any]) -> str:
    """fp16, fp16_acc32 or fp32. Raises OtherTask for other types."""
    if element == "float32":
        return "fp32"
    if element != "float16":
        raise OtherTask(f"layers of {element:.40}")
    result = next((value for value in reversed(arguments) if isinstance(value, str) and "float" in value), element)
    return "fp16_acc32" if result == "float32" or "acc32" in name else "fp16"
