"""What a torch network runs, operator by operator, with shapes and the modules operators come from.

Coarser than `models.frontend.trace` on purpose: it also reads networks with operators no Layer expresses, such as the
products of squeeze-excite, because those are what is to be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export.graph_signature import InputKind

from models.frontend.trace import export
from models.graph.layer import Shape


@dataclass(frozen=True, eq=False)
class Op:
    """One operator call of a network; compared by identity.

    Attributes:
        kind: the ATen name without the in-place underscore, e.g. "conv2d".
        path: of the innermost module it came from; `leaf`: that module is one of torch's own.
        inputs: the tensors it reads that depend on the network's input; "" is made of none.
        shape: of its (first) result, batch included; of the network's input for kind "input".
        arguments: by their schema's names; tensors as fx nodes.
        weight_shape: of the weight of a convolution or linear layer.
    """

    node: fx.Node
    kind: str
    path: str
    leaf: bool
    inputs: tuple[Op, ...]
    shape: tuple[int, ...]
    arguments: dict[str, Any]
    weight_shape: tuple[int, ...] = ()

    def pair(self, argument: str) -> tuple[int, int]:
        """A per-axis setting, given as one number, one in a list, or two."""
        value = self.arguments[argument]
        values = list(value) if isinstance(value, list | tuple) else [value]
        return int(values[0]), int(values[-1])


@dataclass(frozen=True)
class OperatorProgram:
    """Operators in the order they run, the input first; and those whose results the network returns."""

    ops: tuple[Op, ...]
    outputs: tuple[Op, ...]

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(op.shape for op in self.outputs)

    def readers(self, op: Op) -> tuple[Op, ...]:
        return tuple(other for other in self.ops if op in other.inputs)


def program(module: nn.Module, input_shape: Shape) -> OperatorProgram:
    """What `module` runs in eval mode on one input of shape (1, *input_shape); the module is left as it is.

    Raises:
        UsageError: torch.export cannot trace it.
    """
    return _read(export(module, input_shape))


def one_path_each(module: nn.Module, ran: OperatorProgram) -> dict[Op, str]:
    """The path each operator is known by: of a module that is in several places, the first."""
    first: dict[int, str] = {}
    return {op: first.setdefault(id(module.get_submodule(op.path)), op.path) for op in ran.ops}


def _read(exported: torch.export.ExportedProgram) -> OperatorProgram:
    sources = {
        getattr(spec.arg, "name", "")
        for spec in exported.graph_signature.input_specs
        if spec.kind is InputKind.USER_INPUT
    }
    ops: dict[fx.Node, Op] = {}
    outputs: list[fx.Node] = []
    for node in exported.graph.nodes:
        if node.op == "placeholder" and node.name in sources:
            ops[node] = Op(node, "input", "", False, (), _shape(node), {})
        elif node.op == "call_function":
            inputs = tuple(ops[source] for source in node.all_input_nodes if source in ops)
            if inputs:
                ops[node] = _op(node, inputs)
        elif node.op == "output":
            outputs = list(node.all_input_nodes)
    live = set(_upstream([ops[node] for node in outputs if node in ops]))
    return OperatorProgram(tuple(op for op in ops.values() if op in live), tuple(ops[n] for n in outputs if n in ops))


def _upstream(ops: list[Op]) -> Iterator[Op]:
    seen: set[Op] = set()
    waiting = list(ops)
    while waiting:
        op = waiting.pop()
        if op not in seen:
            seen.add(op)
            yield op
            waiting.extend(op.inputs)


def _op(node: fx.Node, inputs: tuple[Op, ...]) -> Op:
    packet = getattr(node.target, "overloadpacket", None)
    kind = getattr(packet, "__name__", getattr(node.target, "__name__", str(node.target)))
    arguments = _arguments(node) if packet is not None else {}
    weight = arguments.get("weight") if kind in ("conv2d", "convolution", "linear", "conv1d") else None
    path, leaf = _origin(node)
    shape = _shape(weight) if isinstance(weight, fx.Node) else ()
    return Op(node, kind.rstrip("_"), path, leaf, inputs, _shape(node), arguments, shape)


def _arguments(node: fx.Node) -> dict[str, Any]:
    arguments = {}
    for position, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        default = argument.default_value if argument.has_default_value() else None
        given = node.args[position] if position < len(node.args) else node.kwargs.get(argument.name, default)
        arguments[argument.name] = given
    return arguments


def _origin(node: fx.Node) -> tuple[str, bool]:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return re.sub(r"@\d+", "", path), kind.startswith("torch.nn.modules.")


def _shape(node: fx.Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) else value
    return tuple(int(size) for size in value.shape) if isinstance(value, torch.Tensor) else ()
