"""Reads a torch.export program into a Network of drafts: inputs, constants, operator calls, outputs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from fleetpose.errors import UsageError
from models.frontend.aten import convert
from models.frontend.call import Call
from models.frontend.draft import Draft, Network
from models.graph.layer import Shape


class ProgramReader:
    """Reads an exported program's nodes into a Network of drafts."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.nodes = {node.name: node for node in program.graph.nodes}
        self.values: dict[fx.Node, str | np.ndarray] = {}
        self.shapes: dict[str, Shape] = {}
        self.made_by: dict[str, Call] = {}
        self.drafts: list[Draft] = []

    def network(self) -> Network:
        source = self._read_inputs()
        outputs = self._output_nodes()
        live = _ancestors(outputs)
        for node in self.program.graph.nodes:
            if node in live and node.op == "call_function":
                self.values[node] = self._read_call(node)
        names = [self._output_name(node, source) for node in outputs]
        return Network(source, self.shapes[source], names, self.drafts)

    def _read_inputs(self) -> str:
        """Note the constants' values; answer the name of the one input."""
        sources = []
        held = {**self.program.constants, **self.program.state_dict}
        for spec in self.program.graph_signature.input_specs:
            node = self.nodes.get(getattr(spec.arg, "name", ""))
            if spec.kind is InputKind.USER_INPUT:
                sources.append(node)
            elif node is not None and spec.target is not None:
                value = held[spec.target]
                if isinstance(value, torch.Tensor):
                    self.values[node] = value.detach().cpu().double().numpy()
        if len(sources) != 1 or sources[0] is None:
            raise UsageError(f"the module takes {len(sources)} inputs; exactly one tensor is supported")
        source = sources[0]
        self.values[source] = source.name
        self.shapes[source.name] = _shape(source, "the input")
        return source.name

    def _output_nodes(self) -> list[fx.Node]:
        nodes: list[fx.Node] = []
        for spec in self.program.graph_signature.output_specs:
            node = self.nodes.get(getattr(spec.arg, "name", ""))
            if spec.kind is not OutputKind.USER_OUTPUT:
                raise UsageError(f"the module changes its own {spec.target!r}; call eval(), and keep no state")
            if node is None:
                raise UsageError(f"output {len(nodes)} of the module is not a tensor")
            nodes.append(node)
        return nodes

    def _output_name(self, node: fx.Node, source: str) -> str:
        """The tensor an output is; the input itself is copied first, so that every output is a layer's."""
        value = self.values[node]
        if not isinstance(value, str):
            raise UsageError(f"output {node.name!r} of the module does not depend on the input")
        if value != source:
            return value
        copy = Draft(f"{source}_copy", "elementwise", [source], self.shapes[source], kind="copy")
        self.drafts.append(copy)
        self.shapes[copy.name] = copy.shape
        return copy.name

    def _read_call(self, node: fx.Node) -> str | np.ndarray:
        packet = getattr(node.target, "overloadpacket", None)
        if packet is None and getattr(node.target, "__name__", "") == "getitem" and node.args[1] == 0:
            return self._value(node.args[0])  # the first of several results is the only one a draft has
        call = Call(
            name=node.name,
            op=getattr(packet, "__name__", str(node.target)),
            arguments=self._arguments(node) if packet else {},
            shape=_shape(node, f"operator {node.target}"),
            shapes=self.shapes,
            made_by=self.made_by,
            **_origin(node),
        )
        answer = convert(call)
        if isinstance(answer, str):
            return answer
        self.shapes[call.name] = call.shape
        self.made_by[call.name] = call
        self.drafts.append(answer)
        return call.name

    def _arguments(self, node: fx.Node) -> dict[str, Any]:
        """A call's arguments by name, defaults included, nodes replaced by what they stand for."""
        given = dict(node.kwargs)
        arguments = {}
        for position, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
            default = argument.default_value if argument.has_default_value() else None
            value = node.args[position] if position < len(node.args) else given.get(argument.name, default)
            arguments[argument.name] = self._value(value)
        return arguments

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return self.values[argument]
        return [self._value(part) for part in argument] if isinstance(argument, list | tuple) else argument


def _ancestors(nodes: list[fx.Node]) -> set[fx.Node]:
    seen: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(node.all_input_nodes)
    return seen


def _origin(node: fx.Node) -> dict[str, Any]:
    """The path of the innermost module a node came from, and whether that module is one of torch's own."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return {"path": re.sub(r"@\d+", "", path), "leaf": kind.startswith("torch.nn.modules.")}


def _shape(node: fx.Node, what: str) -> Shape:
    value = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) else value
    sizes = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    path = _origin(node)["path"]
    where = f" in module {path!r}" if path else ""
    if len(sizes) != 4 or not all(isinstance(size, int) for size in sizes):
        raise UsageError(f"{what}{where} has shape {sizes}; only (1, C, H, W) of fixed size is supported")
    if sizes[0] != 1:
        raise UsageError(f"{what}{where} has batch {sizes[0]}; only batch 1 is supported")
    return int(sizes[1]), int(sizes[2]), int(sizes[3])
