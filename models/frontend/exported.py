"""Reads a torch.export program into a Network of drafts: inputs, constants, operator calls, outputs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from fleetpose.errors import UsageError
from models.frontend.aten import TABLE, convert
from models.frontend.call import Call
from models.frontend.constants import Constants, as_arrays
from models.frontend.draft import UNSUPPORTED, Draft, Network
from models.frontend.foreign import falls_back, read_fallback
from models.frontend.origin import origin_of
from models.frontend.parameters import name_parameters
from models.frontend.refusal import Refusal
from models.frontend.results.cuts import PostProcessing, end_at_stop, find_end
from models.frontend.results.macs import macs_of
from models.frontend.results.nesting import output_names
from models.frontend.results.stopping import stop_of
from models.frontend.results.views import operator_of, peel_views
from models.frontend.tokens.operators import TOKENS
from models.frontend.truths import TRUTHS
from models.frontend.views.operators import VIEWS
from models.frontend.views.placing import Placing, source_groups, usual_groups
from models.frontend.views.reading import PASSING, ViewReader
from models.frontend.views.view import TensorView
from models.frontend.windows.pads import PADS
from models.graph.answer import Answer, Cut, FixedOutput, View, ViewStep, apply_view
from models.graph.layer import Shape

#: operators that make no other numbers than they read, so that bytes stay bytes
KEEPING = frozenset({*VIEWS, *PASSING, *PADS, "cat", "concat", "concatenate", "stack"})


@dataclass
class Unreadable:
    """Stands for what a refused operator makes where that is no map, while refusals are gathered."""


@dataclass
class _Results:
    """What the module returns while it is read; the fields are as in Answer and Network."""

    tensors: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    fixed: list[FixedOutput] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)

    def add(self, tensor: str, name: str, view: View = ()) -> None:
        self.tensors.append(tensor)
        self.names.append(name)
        self.views.append(view)


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
        returned = self._returned()
        ended = self.post_processing = self._find_end(source, returned)
        bases = {node: peel_views(node) for node in returned.values() if isinstance(node, fx.Node)}
        wanted = [base for node, (base, _) in bases.items() if not ended or node not in ended.nodes]
        live = _ancestors([*wanted, *(ended.reads if ended else ())])
        for node in self.program.graph.nodes:
            if node in live and node.op == "call_function":
                self.values[node] = self._read_call(node)
        results = self._results(returned, bases, ended, source)
        answer = Answer(tuple(results.names), tuple(results.views), tuple(results.fixed), tuple(results.cuts))
        return Network(source, self.shapes[source], results.tensors, self.drafts, answer)

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
            raise UsageError(f"the module takes {len(sources)} inputs; exactly one tensor is supported")
        source = sources[0]
        self.values[source] = source.name
        self.shapes[source.name] = _shape(source, "the input")
        return source.name

    def _returned(self) -> dict[str, Any]:
        """What the module returns, by name: a node of the program, a number or text, or None."""
        returned: dict[str, Any] = {}
        names = output_names(self.program)
        for spec in self.program.graph_signature.output_specs:
            if spec.kind is not OutputKind.USER_OUTPUT:
                raise UsageError(f"the module changes its own {spec.target!r}; call eval(), and keep no state")
            number = len(returned)
            name = names[number] if number < len(names) else f"output_{number}"
            node = self.nodes.get(getattr(spec.arg, "name", ""))
            returned[name] = node if node is not None else getattr(spec.arg, "value", None)
        if not any(isinstance(value, fx.Node) for value in returned.values()):
            raise UsageError("the module returns no tensor")
        return returned

    def _find_end(self, source: str, returned: dict[str, Any]) -> PostProcessing | None:
        live = _ancestors([node for node in returned.values() if isinstance(node, fx.Node)])
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

    def _results(
        self,
        returned: dict[str, Any],
        bases: dict[fx.Node, tuple[fx.Node, View]],
        ended: PostProcessing | None,
        source: str,
    ) -> _Results:
        """What the network returns: first what the module does, then what its post-processing reads."""
        results, lost = _Results(), []
        for name, value in returned.items():
            if not isinstance(value, fx.Node):
                if isinstance(value, int | float):
                    results.fixed.append(FixedOutput(name, np.array(value)))
            elif ended and value in ended.nodes:
                lost.append(name)
            else:
                self._add_result(results, name, value, *bases[value], source)
        if ended:
            reads = [node for node in ended.reads if isinstance(self.values[node], str | TensorView)]
            placed = [self._place_output(node) for node in reads]
            given = [tensor for tensor, _ in placed]
            for node, (tensor, view) in zip(reads, placed, strict=True):
                results.add(tensor, tensor, view)
                self.results.append(node)
            if stop_of(lost):
                lost = ["what the module returns"]
            results.cuts.append(Cut(ended.op, ended.module, ended.line, tuple(lost), tuple(given)))
        if not results.tensors and not self.gather:
            raise UsageError("no output of the module depends on the input")
        return results

    def _add_result(self, results: _Results, name: str, node: fx.Node, base: fx.Node, view: View, source: str) -> None:
        """Add what a node returns, a view of `base`: a constant, or a tensor that some layer makes.

        The input itself is copied first, so that every output is a layer's.
        """
        value = self.values[base]
        if isinstance(value, np.ndarray):
            dtype = str(base.meta["val"].dtype).removeprefix("torch.")
            array = value.reshape(base.meta["val"].shape).astype(np.float32 if "float" in dtype else dtype)
            results.fixed.append(FixedOutput(name, apply_view(array, view)))
            return
        if isinstance(value, Unreadable):
            return
        tensor, first = self._place_output(base)
        if tensor == source:
            tensor = f"{source}_copy"
            if tensor not in self.shapes:
                self.drafts.append(Draft(tensor, "elementwise", [source], self.shapes[source], kind="copy"))
                self.shapes[tensor] = self.shapes[source]
        results.add(tensor, name, (*first, *view))
        self.results.append(node)

    def _place_output(self, node: fx.Node) -> tuple[str, View]:
        """The tensor that a node is, or is a view of, and how it is made of that one on this machine."""
        value = self.values[node]
        if not isinstance(value, TensorView):
            return value, ()
        groups = source_groups(value) or usual_groups(value.sizes)
        order = [axis for group in groups for axis in group]
        tensor = self.views.placing.place(value, groups, self._call(node))
        split = ViewStep("reshape", tuple(value.sizes[axis] for axis in order))
        return tensor, (split, ViewStep("transpose", tuple(order.index(axis) for axis in range(value.rank))))

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
            shape = _shape(node, "")
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
        if not _is_fixed(node.meta.get("val")):
            why = "the size of its result depends on the data"
            raise Refusal(operator_of(node), origin_of(node), why, "pick by constant positions, not by truths")
        call = self._call(node)
        if _is_bytes(node.meta.get("val")) and call.op not in KEEPING:
            raise call.refusal("it computes with whole numbers", "cast the picture to floating point before it")
        if not self.views.takes(call):
            call = replace(call, shape=_shape(node, "its result"))
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
            sizes=_sizes(node),
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


def _ancestors(nodes: list[fx.Node]) -> set[fx.Node]:
    seen: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(node.all_input_nodes)
    return seen


def _sizes(node: fx.Node) -> tuple[int, ...]:
    """The shape of a call's result, of the first of several; () where it has none that is fixed."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) and value else value
    sizes = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    return sizes if all(isinstance(size, int) for size in sizes) else ()


def _is_bytes(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.uint8


def _is_fixed(value: Any) -> bool:
    """Whether a tensor's sizes are numbers; so of what is no tensor."""
    return not isinstance(value, torch.Tensor) or all(isinstance(size, int) for size in value.shape)


def _shape(node: fx.Node, what: str) -> Shape:
    """(C, H, W) of what a node makes. Raises UsageError for the input, and Refusal for a call, of another form."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) else value
    sizes = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    if len(sizes) == 4 and sizes[0] == 1 and all(isinstance(size, int) for size in sizes):
        return int(sizes[1]), int(sizes[2]), int(sizes[3])
    if len(sizes) == 4 and sizes[0] != 1:
        why = f"{what} has batch {sizes[0]}; only batch 1 is supported"
    else:
        why = f"{what} has shape {sizes}; only (1, C, H, W) of fixed size is supported"
    if node.op == "call_function":
        raise Refusal(operator_of(node) or str(node.target), origin_of(node), why)
    raise UsageError(why)
