"""Fallback: a call that no layer of ours expresses becomes one of op "fallback", if TVM's own kernels can do it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import fx

from models.frontend.arithmetic import constant
from models.frontend.call import Call
from models.frontend.refusal import Refusal
from models.frontend.results.views import operator_of
from models.frontend.tokens.reader import TensorReader, leave
from models.frontend.views.placing import usual_groups
from models.frontend.views.reading import simplify
from models.frontend.views.view import TensorView, placed
from models.graph.foreign.call import DTYPE, OPERAND, ForeignCall, ForeignTensor, plane_shape
from models.graph.foreign.operators import OPERATORS

#: whole numbers up to this one are exact in float32, in which constants lie in planes
MOST_EXACT = 1 << 24
#: operators whose results are taken with one picture as their batch only
FLAT = ("conv2d.", "conv_transpose2d.")
#: types of elements as ForeignTensor has them
_DTYPES = {torch.int64: "int64", torch.int32: "int64", torch.bool: "bool"}


def falls_back(node: fx.Node) -> bool:
    """Whether a call's operator may run on TVM's kernels, and its result is numbers of a fixed shape."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) and value else value
    operator = operator_name(node)
    if operator not in OPERATORS or not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return False
    if operator.startswith(FLAT) and (value.ndim != 4 or value.shape[0] != 1):
        return False
    return all(isinstance(size, int) and size for size in value.shape)


def operator_name(node: fx.Node) -> str:
    """Name and overload, "cumsum.default"; "" of what is none of torch's own operators."""
    target: Any = node.target
    return f"{operator_of(node)}.{target._overloadname}" if getattr(target, "namespace", "") == "aten" else ""


def read_fallback(
    node: fx.Node, call: Call, values: dict[fx.Node, Any], reader: TensorReader, macs: int
) -> TensorView | str:
    """The result of a call that `falls_back`, a layer of its own.

    Args:
        values: what the program's nodes are: names, views, or constants.
        macs: the call's multiply-adds.

    Raises:
        Refusal: an argument that cannot be data, or whole numbers beyond `MOST_EXACT`.
    """
    given = _given(node)
    if len(call.sizes) > 2 and call.sizes[0] == 1 and 0 in (given.get("dim"), given.get("dims")):
        raise call.refusal("it works along the first axis, which counts the pictures of a batch")
    arguments = _Arguments(call, values, reader)
    text = json.dumps([arguments.encode(value) for value in given.values()])
    foreign = ForeignCall(operator_name(node), text, tuple(arguments.tensors), call.sizes, macs)
    name = leave(call, reader, "fallback", arguments.names, plane_shape(call.sizes), foreign=foreign)
    return simplify(placed(name, call.sizes, usual_groups(call.sizes)))


def _given(node: fx.Node) -> dict[str, Any]:
    """A call's arguments by name, in the order of its operator's schema."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    return {
        argument.name: node.args[place]
        if place < len(node.args)
        else node.kwargs.get(argument.name, argument.default_value)
        for place, argument in enumerate(schema)
    }


class _Arguments:
    """A call's arguments as JSON, and the tensors among them brought into planes, in their order."""

    def __init__(self, call: Call, values: dict[fx.Node, Any], reader: TensorReader) -> None:
        self.call, self.values, self.reader = call, values, reader
        self.nodes: list[fx.Node] = []
        self.names: list[str] = []
        self.tensors: list[ForeignTensor] = []

    def encode(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return {OPERAND: self._operand(value)}
        if isinstance(value, list | tuple):
            return [self.encode(part) for part in value]
        if isinstance(value, torch.dtype):
            return {DTYPE: str(value).removeprefix("torch.")}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise self._refusal(f"its argument {value} is not supported")

    def _operand(self, node: fx.Node) -> int:
        if node not in self.nodes:
            sizes = tuple(node.meta["val"].shape)
            self.nodes.append(node)
            dtype = _DTYPES.get(node.meta["val"].dtype, "float32")
            self.names.append(self._place(self.values[node], sizes, dtype == "int64"))
            self.tensors.append(ForeignTensor(sizes, dtype))
        return self.nodes.index(node)

    def _place(self, value: Any, sizes: tuple[int, ...], whole: bool) -> str:
        """The name of a tensor of numbers, or `whole` ones, whose elements lie in their order."""
        placing, groups = self.reader.placing, usual_groups(sizes)
        if isinstance(value, np.ndarray):
            if whole and np.abs(value).max() > MOST_EXACT:
                raise self._refusal(f"it reads whole numbers beyond {MOST_EXACT}")
            planes = value.reshape(plane_shape(sizes))
            draft = constant(self.call, planes, f"{self.call.name}.value{len(self.names)}")
            placing.drafts.append(draft)
            placing.shapes[draft.name] = draft.shape
            return draft.name
        if isinstance(value, str):
            value = TensorView.of(value, placing.shapes[value])
        if not isinstance(value, TensorView):
            raise self._refusal("it reads what is no tensor")
        return placing.place(value, groups, self.call)

    def _refusal(self, why: str) -> Refusal:
        return self.call.refusal(why)
