"""Which Plane each tensor of a graph lies in: borders as wide as its greediest reader needs.

Tensors that a concat joins share the border of the joined tensor, so that joining copies whole planes.
"""

from __future__ import annotations

from codegen.plane import Plane
from models.graph import Graph
from models.layer import Layer


def border_read(layer: Layer) -> tuple[int, int]:
    """How far beyond its first operand's edges `layer` reads: (rows, columns).

    Max pooling reads no border (zero is not its neutral element); resize clamps.
    """
    return layer.padding if layer.op in ("conv", "avg_pool") else (0, 0)


def assign_planes(graph: Graph, lanes: int, item_bytes: int = 4) -> dict[str, Plane]:
    """The plane of every tensor of `graph`, by tensor name."""
    borders = dict.fromkeys((graph.input, *(layer.name for layer in graph.layers)), (0, 0))
    for layer in graph.layers:
        _widen(borders, layer.inputs[0], border_read(layer))
    concats = [layer for layer in graph.layers if layer.op == "concat"]
    while any(_share(borders, layer) for layer in concats):  # a tensor may be joined twice, a join joined again
        pass
    return {
        name: Plane(*graph.shape(name), border=border, lanes=lanes, item_bytes=item_bytes)
        for name, border in borders.items()
    }


def _widen(borders: dict[str, tuple[int, int]], name: str, border: tuple[int, int]) -> None:
    have = borders[name]
    borders[name] = (max(have[0], border[0]), max(have[1], border[1]))


def _share(borders: dict[str, tuple[int, int]], concat: Layer) -> bool:
    """Give a join and its members the widest border among them; whether that changed one."""
    members = (concat.name, *concat.inputs[: concat.operands])
    before = [borders[name] for name in members]
    for name in members:
        _widen(borders, concat.name, borders[name])
    for name in members:
        _widen(borders, name, borders[concat.name])
    return before != [borders[name] for name in members]
