"""Reads a torch.export program into a Network of drafts: inputs, constants, operator calls, outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from fleetpose.errors import UsageError
from models.frontend.aten import TABLE, convert
from models.frontend.call import Call
from models.frontend.constants import Constants, as_arrays
from models.frontend.draft import UNSUPPORTED, Draft, Network
from models.frontend.foreign import falls_back, read_fallback
from models.frontend.origin import origin_of
from models.frontend.parameters import name_parameters
from models.frontend.refusal import ONE_INPUT, Refusal
from models.frontend.results.cuts import PostProcessing, end_at_stop, find_end
from models.frontend.results.macs import macs_of
from models.frontend.results.nodes import ancestors, is_bytes, is_fixed, shape_of, sizes_of
from models.frontend.results.returned import ReturnedResults, Unreadable, returned_values
from models.frontend.results.stopping import stop_of
from models.frontend.results.views import operator_of, peel_views
from models.frontend.tokens.operators import TOKENS
from models.frontend.truths import TRUTHS
from models.frontend.views.operators import VIEWS
from models.frontend.views.placing import Placing
from models.frontend.views.reading import PASSING, ViewReader
from models.frontend.windows.pads import PADS
from models.graph.layer import Shape

#: operators that make no other numbers than they read, so that bytes stay bytes
KEEPING = frozenset({*VIEWS, *PASSING, *PADS, "cat", "concat", "concatenate", "stack"})


class ProgramReader:
    """Reads an exported program's nodes into a Network of drafts.

    Args:
        program: to read.
        gather: keep refusals in `refusals`, with a draft of the op UNSUPPORTED in place of what is refused, and read
            on; else the first is raised.
    """

    def __init__(self, program: ExportedProgram, gather: bool = False) -> None:
        self.program = program
        self.gather = gather
        self.refusals: list[Refusal] = []
        #: the nodes of `refusals`, and those that read what these would have made and were not read themselves
        self.refused: list[fx.Node] = []
        self.skipped: list[fx.Node] = []
        #: why no layer of ours does what falls back, and the nodes that do
        self.fallbacks: list[Refusal] = []
        self.fallen_back: list[fx.Node] = []
        self.nodes = {node.name: node for node in program.graph.nodes}
        self.values: dict[fx.Node, Any] = {}
        self.shapes: dict[str, Shape] = {}
        self.made_by: dict[str, Call] = {}
        self.drafts: list[Draft] = []
        #: the node of each of the network's outputs, as the module returns it
        self.results: list[fx.Node] = []
        self.constants = Constants()
        #: names of parameters, by the node that each is
        self.parameters: dict[fx.Node, str] = {}
        self.post_processing: PostProcessing | None = None
        self.views = ViewReader(Placing(self.drafts, self.shapes), convert)

    def network(self) -> Network:
        source = self._read_inputs()
        returned = returned_values(self.program, self.nodes)
        ended = self.post_processing = self._find_end(source, returned)
        bases = {node: peel_views(node) for node in returned.values() if isinstance(node, fx.Node)}
        wanted = [base for node, (base, _) in bases.items() if not ended or node not in ended.nodes]
        live = ancestors([*wanted, *(ended.reads if ended else ())])
        for node in self.program.graph.nodes:
            if node in live and node.op == "call_function":
                self.values[node] = self._read_call(node)
        results = ReturnedResults(self.values, source, self.views.placing, self._call)
        results.read(returned, bases, ended)
        if not results.tensors and not self.gather:
            raise UsageError("no output of the module depends on the input; return what is computed from the picture")
        self.results = results.nodes
        return Network(source, self.shapes[source], results.tensors, self.drafts, results.answer)

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
                    self.constants.give(node, value)
                    self.values[node] = as_arrays(self.constants.values[node])
                    if spec.kind is InputKind.PARAMETER:
                        self.parameters[node] = spec.target
        if len(sources) != 1 or sources[0] is None:
            raise UsageError(f"the module takes {len(sources)} inputs; exactly one tensor is supported; {ONE_INPUT}")
        source = sources[0]
        self.values[source] = source.name
        self.shapes[source.name] = shape_of(source, "the input")
        return source.name

    def _find_end(self, source: str, returned: dict[str, Any]) -> PostProcessing | None:
        live = ancestors([node for node in returned.values() if isinstance(node, fx.Node)])
        varying: set[fx.Node] = {self.nodes[source]}
        for node in self.program.graph.nodes:
            if any(parent in varying for parent in node.all_input_nodes):
                varying.add(node)
        ordered = [node for node in self.program.graph.nodes if node in live]
        known = {*TABLE, *VIEWS, *TOKENS}
        nodes = [node for node in returned.values() if isinstance(node, fx.Node)]
        if stop := stop_of(list(returned)):
            return end_at_stop(stop, nodes, ordered, varying, known - TRUTHS.keys())
        return find_end(nodes, ordered, varying, known - TRUTHS.keys(), known)

    def _read_call(self, node: fx.Node) -> Any:
        """What a call makes: a tensor's name, a TensorView, a list of either, or a constant."""
        if any(isinstance(self.values.get(parent), Unreadable) for parent in node.all_input_nodes):
            self.skipped.append(node)
            return self._stand_in(node)
        try:
            return self._convert(node)
        except Refusal as refused:
            refusal = refused
            if falls_back(node):
                try:
                    result = read_fallback(node, self._call(node), self.values, self.views, macs_of(node))
                    self.fallbacks.append(refused)
                    self.fallen_back.append(node)
                    return result
                except Refusal as other:
                    refusal = other
            if not self.gather:
                raise refusal from None
            self.refusals.append(refusal)
            self.refused.append(node)
            return self._stand_in(node)

    def _stand_in(self, node: fx.Node) -> Any:
        """What stands for the result of a call that is not supported."""
        try:
            shape = shape_of(node, "")
        except UsageError:
            return Unreadable()
        inputs = [value for parent in node.all_input_nodes if isinstance(value := self.values.get(parent), str)]
        self.drafts.append(Draft(node.name, UNSUPPORTED, inputs, shape, kind=operator_of(node)))
        self.shapes[node.name] = shape
        return node.name

    def _convert(self, node: fx.Node) -> Any:
        if self.constants.covers(node):
            return as_arrays(self.constants.evaluate(node))
        if getattr(node.target, "__name__", "") == "getitem":
            return self._read_item(node)
        if not is_fixed(node.meta.get("val")):
            why = "the size of its result depends on the data"
            raise Refusal(operator_of(node), origin_of(node), why, "pick by constant positions, not by truths")
        call = self._call(node)
        if is_bytes(node.meta.get("val")) and call.op not in KEEPING:
            raise call.refusal("it computes with whole numbers", "cast the picture to floating point before it")
        if not self.views.takes(call):
            call = replace(call, shape=shape_of(node, "its result"))
        before, value = len(self.drafts), self.views.read(call)
        read = [source for source in node.all_input_nodes if source in self.parameters]
        name_parameters(self.drafts[before:], {self.parameters[source]: self.values[source] for source in read})
        return value

    def _call(self, node: fx.Node) -> Call:
        """The call that a node is, but for the shape of its result in planes."""
        packet = getattr(node.target, "overloadpacket", None)
        return Call(
            name=node.name,
            op=getattr(packet, "__name__", str(node.target)),
            arguments=self._arguments(node) if packet else {},
            shape=(0, 0, 0),
            shapes=self.shapes,
            origin=origin_of(node),
            made_by=self.made_by,
            sizes=sizes_of(node),
        )

    def _read_item(self, node: fx.Node) -> Any:
        """One of several results; of operators whose others are not read (indices, statistics) the first is a draft."""
        results, number = self._value(node.args[0]), node.args[1]
        if isinstance(results, list) and isinstance(number, int):
            return results[number]
        if number != 0:
            maker = node.all_input_nodes[0]
            raise Refusal(operator_of(maker), origin_of(maker), f"its result {number} is read; only the first is made")
        return results

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
