"""From any traceable torch module to a Graph of fused layers, through torch.export.

export -> operator calls -> drafts (models.aten) -> fused drafts (models.fuse) -> named Layers
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from fleetpose.errors import UsageError
from models.aten import Call, convert
from models.draft import Draft, Network
from models.fuse import fuse
from models.graph import Graph
from models.layer import Layer, Shape


def trace(
    module: nn.Module | ExportedProgram,
    input_shape: Shape | None = None,
    name: str = "network",
    *,
    dtype: Any = np.float32,
) -> Graph:
    """The graph of fused layers `module` computes in eval mode.

    Batch norms and residual sums fold into convolutions (in float64), activations into epilogues; what no output
    depends on is dropped. The module's mode and weights are left as they are. Nested outputs come flat, in the order
    of torch's pytrees.

    Args:
        module: takes one tensor (1, *input_shape), returns 4-D tensors; or an ExportedProgram of such a module.
        input_shape: (channels, height, width); needed for a module, taken from an ExportedProgram.
        name: of the graph.
        dtype: of the graph's weights; float64 keeps folding exact, for checks.

    Raises:
        UsageError: the module cannot be exported; it uses an operator, or an operator in a way, that no Layer
            expresses (named, with the module it came from); inputs or outputs of another form.
    """
    if isinstance(module, ExportedProgram):
        program = module
    elif input_shape is None:
        raise UsageError("tracing a module needs its input shape (channels, height, width)")
    else:
        program = _export(module, input_shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = program.run_decompositions({})  # in-place operators become plain ones; nothing is decomposed
    network = fuse(_Reader(program).network())
    return _finish(network, name, dtype)


def _export(module: nn.Module, input_shape: Shape) -> ExportedProgram:
    first = next(module.parameters(), torch.empty(0))
    example = torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device)
    try:
        with _eval_mode(module), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, (example,), strict=False)
    except Exception as error:  # torch.export documents no base class for what it raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(
            f"torch.export cannot trace {type(module).__name__} at {input_shape}: {lines[0][:200]}"
        ) from error


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


class _Reader:
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
        for spec in self.program.graph_signature.input_specs:
            node = self.nodes.get(getattr(spec.arg, "name", ""))
            if spec.kind is InputKind.USER_INPUT:
                sources.append(node)
            elif node is not None and spec.target is not None:
                held = {**self.program.constants, **self.program.state_dict}[spec.target]
                if isinstance(held, torch.Tensor):
                    self.values[node] = held.detach().cpu().double().numpy()
        if len(sources) != 1 or sources[0] is None:
            raise UsageError(f"the module takes {len(sources)} inputs; exactly one tensor is supported")
        source = sources[0]
        self.values[source] = source.name
        self.shapes[source.name] = _shape(source, "the input")
        return source.name

    def _output_nodes(self) -> list[fx.Node]:
        nodes = []
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
            return self.values[node.args[0]]  # the first of several results is the only one a draft has
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
            arguments[argument.name] = fx.map_arg(value, lambda part: self.values[part])
        return arguments


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


def _finish(network: Network, name: str, dtype: Any) -> Graph:
    """Name the layers after the modules they came from, and freeze everything."""
    names = {network.input: network.input}
    for draft in network.drafts:
        names[draft.name] = _unique(_layer_name(draft), set(names.values()))
    shapes = {network.input: network.input_shape, **{draft.name: draft.shape for draft in network.drafts}}
    layers, weights = [], {}
    for draft in network.drafts:
        layer = _layer(draft, names, tuple(shapes[tensor] for tensor in draft.inputs))
        layers.append(layer)
        if draft.op == "conv":
            weights[f"{layer.name}.weight"] = np.ascontiguousarray(draft.weight, dtype)
            if draft.bias is not None:
                weights[f"{layer.name}.bias"] = np.ascontiguousarray(draft.bias, dtype)
    outputs = tuple(names[tensor] for tensor in network.outputs)
    return Graph(name, network.input, network.input_shape, outputs, tuple(layers), weights)


def _layer(draft: Draft, names: dict[str, str], in_shapes: tuple[Shape, ...]) -> Layer:
    return Layer(
        name=names[draft.name],
        op=draft.op,
        inputs=tuple(names[tensor] for tensor in draft.inputs),
        in_shapes=in_shapes,
        out_shape=draft.shape,
        kernel=(int(draft.kernel[0]), int(draft.kernel[1])),
        stride=draft.stride,
        padding=(draft.margins[0], draft.margins[2]),
        dilation=draft.dilation,
        groups=draft.groups,
        bias=draft.op == "conv" and draft.bias is not None,
        epilogue=tuple(draft.epilogue),
        mode=draft.mode,
        align_corners=draft.align_corners,
        count_include_pad=draft.count_include_pad,
        module=draft.path,
    )


def _layer_name(draft: Draft) -> str:
    """The module's path, without a last ".conv" that says nothing; with the operation where the module has several."""
    if not draft.leaf:
        return f"{draft.path}.{draft.kind}" if draft.path else draft.kind
    return draft.path.removesuffix(".conv")


def _unique(name: str, taken: set[str]) -> str:
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate
