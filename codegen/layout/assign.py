"""Which Plane each tensor of a graph lies in, and in which buffer.

Borders are as wide as a tensor's greediest reader needs. Tensors that a concat joins share the border of the joined
tensor and, where they can, its buffer too: their producers write straight into their planes of it, so that joining
costs nothing. A tensor can lie in one buffer only; a second join that wants it, and joins of the network's input or of
a constant, copy. A slice of neighbouring channels lies where its source does, unless a join wants it. A product with a
gate that its reader has in its weights (`codegen.layout.gates`) is its map, unmultiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from codegen.layout.gates import FoldedGate, folded_gates
from codegen.layout.plane import Plane
from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.pooling import ADAPTIVE, overhang
from models.graph.rearrangement import channel_slice
from models.graph.transposed import beyond_input


@dataclass(frozen=True)
class Layout:
    """Where the tensors of one graph lie.

    Attributes:
        planes: the plane of every tensor, by tensor name.
        buffers: the buffer of every tensor, by tensor name; called after the outermost tensor that lies in it.
        copied: per concat, the positions of the operands that its kernel must copy.
        slices: the layers whose results are planes of their inputs, so that no kernel makes them.
        gates: the products that are done on their readers' weights, by name; their planes are those of their maps.
    """

    planes: Mapping[str, Plane]
    buffers: Mapping[str, str]
    copied: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    slices: frozenset[str] = frozenset()
    gates: Mapping[str, FoldedGate] = field(default_factory=dict)


def join_copies(join: Layer, layout: Layout) -> Iterator[tuple[Layer, dict[str, Plane]]]:
    """The members of a join that lie elsewhere: each as a layer that copies it, and the planes it copies between."""
    first, whole = 0, layout.planes[join.name]
    for position, name in enumerate(join.inputs[: join.operands]):
        plane = layout.planes[name]
        if position in layout.copied[join.name] and not join.epilogue:
            shared = whole.shared or whole.channels
            target = replace(whole, channels=plane.channels, first=whole.first + first, shared=shared)
            layer = replace(join, inputs=(name,), in_shapes=(plane.shape,), out_shape=plane.shape)
            yield layer, {name: plane, join.name: target}
        first += plane.channels


def border_read(layer: Layer) -> tuple[int, int]:
    """How far beyond its first operand's edges `layer` reads: (rows, columns).

    Max pooling and resizing keep to the image's rows. What they load from beside a row they do not use, zero being no
    neutral element of a maximum; but it must be there to load.
    """
    if layer.op in ("max_pool", "resize"):
        return (0, max(layer.padding[1], 1 if layer.op == "resize" else 0))
    if layer.mode == ADAPTIVE:
        return (0, 0)
    if layer.op == "avg_pool":
        rows, columns = (max(layer.padding[axis], overhang(layer, axis)) for axis in (0, 1))
        return (rows, columns)
    if layer.transposed:
        rows, columns = (max(beyond_input(layer, axis)) for axis in (0, 1))
        return (rows, columns)
    return layer.padding if layer.op == "conv" else (0, 0)


def assign_layout(graph: Graph, lanes: int, item_bytes: int = 4) -> Layout:
    """The layout of `graph` for vectors of `lanes` elements of `item_bytes` each."""
    borders = dict.fromkeys((graph.input, *(layer.name for layer in graph.layers)), (0, 0))
    for layer in graph.layers:
        for name in layer.inputs[:1]:
            _widen(borders, name, border_read(layer))
    concats = [layer for layer in graph.layers if layer.op == "concat"]
    slices = [layer for layer in graph.layers if not layer.epilogue and channel_slice(layer) is not None]
    while any(_share(borders, layer) for layer in (*concats, *slices)):  # a tensor may be joined twice, a join again
        pass
    planes = {
        name: Plane(*graph.shape(name), border=border, lanes=lanes, item_bytes=item_bytes)
        for name, border in borders.items()
    }
    given = {graph.input, *(layer.name for layer in graph.layers if layer.op == "constant")}
    return _fold_gates(graph, _lay_slices(slices, _join(given, concats, planes)))


def _fold_gates(graph: Graph, layout: Layout) -> Layout:
    """Let products whose gates go into weights be the maps they are products of."""
    gates = {gate.product: gate for gate in folded_gates(graph)}
    planes = {name: layout.planes[gate.source] for name, gate in gates.items()}
    buffers = {name: layout.buffers[gate.source] for name, gate in gates.items()}
    return replace(layout, planes={**layout.planes, **planes}, buffers={**layout.buffers, **buffers}, gates=gates)


def _lay_slices(slices: list[Layer], layout: Layout) -> Layout:
    """Give slices of channels their place in the buffer of what they are slices of."""
    planes, buffers, laid = dict(layout.planes), dict(layout.buffers), set()
    for layer in slices:
        first, source = channel_slice(layer), planes[layer.inputs[0]]
        if buffers[layer.name] == layer.name and first is not None:
            shared = source.shared or source.channels
            planes[layer.name] = replace(planes[layer.name], first=source.first + first, shared=shared)
            buffers[layer.name] = buffers[layer.inputs[0]]
            laid.add(layer.name)
    return replace(layout, planes=planes, buffers=buffers, slices=frozenset(laid))


def _join(given: set[str], concats: list[Layer], planes: dict[str, Plane]) -> Layout:
    """Give the members of each join their place in its buffer; outer joins before those they contain.

    Tensors that no kernel of the network's layers writes, `given`, have buffers of their own.
    """
    buffers = {name: name for name in planes}
    placed = set(given)
    copied = {}
    for layer in reversed(concats):
        whole, missed, first = planes[layer.name], [], 0
        for position, name in enumerate(layer.inputs[: layer.operands]):
            channels = planes[name].channels
            if name in placed or layer.epilogue:
                missed.append(position)
            else:
                shared = whole.shared or whole.channels
                planes[name] = replace(planes[name], first=whole.first + first, shared=shared)
                buffers[name] = buffers[layer.name]
                placed.add(name)
            first += channels
        copied[layer.name] = tuple(missed)
    return Layout(planes, buffers, copied)


def _widen(borders: dict[str, tuple[int, int]], name: str, border: tuple[int, int]) -> None:
    have = borders[name]
    borders[name] = (max(have[0], border[0]), max(have[1], border[1]))


def _share(borders: dict[str, tuple[int, int]], layer: Layer) -> bool:
    """Give a join and its members, or a slice and its source, the widest of their borders; whether that changed one."""
    members = (layer.name, *layer.inputs[: layer.operands])
    before = [borders[name] for name in members]
    for name in members:
        _widen(borders, layer.name, borders[name])
    for name in members:
        _widen(borders, name, borders[layer.name])
    return before != [borders[name] for name in members]
