"""TIR modules as TVM writes them into JSON, read for their convolution only: nothing of TVM is built of them.

A module is a list of nodes that name each other by number: {"root_index": N, "nodes": [{"type": ..., "data": ...}]}. Of
a block its loops and the regions that it reads say what it computes. A convolution's block has two axes of its input
that are output position x stride + kernel position x dilation, whatever the layout; the rest follows from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from fleetpose.codec import decode
from fleetpose.errors import DataError

BLOCK = "s_tir.SBlock"
#: kinds of loops of a block: over positions of the result, and over what is summed up
SPATIAL, REDUCE = 0, 2
#: nodes that an index may be nested in
DEEPEST = 24


@dataclass(frozen=True)
class BlockConvolution:
    """The convolution that a block computes, of an input that is padded already.

    Attributes:
        channels, filters, groups: as of a layer; padded, out: (rows, columns) of the padded input and of the output.
        channels_last: whether channels are the input's last axis.
    """

    channels: int
    filters: int
    groups: int
    padded: tuple[int, int]
    out: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    channels_last: bool


@dataclass(frozen=True)
class Nodes:
    """The nodes of a module, by number."""

    nodes: list[Any]

    def kind(self, index: Any) -> str:
        return decode(str, self._node(index).get("type"), "the type of a node")

    def data(self, index: Any) -> Any:
        return self._node(index).get("data")

    def entry(self, index: Any, name: str) -> Any:
        """What a node has under a name. Raises DataError where it has none."""
        content = self.data(index)
        if not isinstance(content, dict) or name not in content:
            raise DataError(f"a node has no {name!r}")
        return content[name]

    def items(self, index: Any) -> list[Any]:
        """The numbers of an array's entries."""
        return decode(list[Any], self.data(index), "an array of nodes")

    def number(self, index: Any) -> int:
        """The whole number that a node is."""
        return decode(int, self.data(self.entry(index, "value")), "a whole number of a node")

    def _node(self, index: Any) -> dict[str, Any]:
        if type(index) is not int or not 0 <= index < len(self.nodes):
            raise DataError("a node names another that is not there")
        return decode(dict[str, Any], self.nodes[index], "a node")


def find_convolution(module: Any) -> BlockConvolution | None:
    """The one convolution of a module; None where it has none, or several. Raises DataError for no module."""
    content = decode(dict[str, Any], module, "the module")
    if "root_index" not in content:
        raise DataError("its module is of an older version of TVM; databases are read as TVM 0.27 writes them")
    nodes = Nodes(decode(list[Any], content.get("nodes"), "its nodes"))
    blocks = [index for index in range(len(nodes.nodes)) if nodes.kind(index) == BLOCK]
    convolutions = [convolution for index in blocks if (convolution := _of_block(nodes, index)) is not None]
    return convolutions[0] if len(convolutions) == 1 else None


def _of_block(nodes: Nodes, block: int) -> BlockConvolution | None:
    loops = _loops(nodes, block)
    if not any(kind == REDUCE for kind, _ in loops.values()):
        return None
    regions = [list(_region(nodes, region)) for region in nodes.items(nodes.entry(block, "reads"))]
    windows = [_windows(region, loops) for region in regions]
    inputs = [place for place, moving in enumerate(windows) if len(moving) == 2]
    if len(regions) != 2 or len(inputs) != 1:
        return None
    return _assemble(regions[inputs[0]], windows[inputs[0]], regions[1 - inputs[0]], loops)


def _loops(nodes: Nodes, block: int) -> dict[int, tuple[int, int]]:
    """A block's loops: the number of the variable -> (kind, extent)."""
    loops = {}
    for loop in nodes.items(nodes.entry(block, "iter_vars")):
        extent = nodes.number(nodes.entry(nodes.entry(loop, "dom"), "extent"))
        loops[decode(int, nodes.entry(loop, "var"))] = (decode(int, nodes.entry(loop, "iter_type")), extent)
    return loops


#: an axis of a region: what its index is a sum of (variable -> factor; None: no such sum), which variables are in it,
#: and the extent of the buffer
Axis = tuple[dict[int, int] | None, frozenset[int], int]


def _region(nodes: Nodes, region: int) -> Iterator[Axis]:
    buffer = nodes.entry(region, "source")
    shape = nodes.items(nodes.entry(nodes.entry(buffer, "ty"), "shape"))
    ranges = nodes.items(nodes.entry(region, "region"))
    if len(shape) != len(ranges):
        raise DataError("a region has other axes than its buffer")
    for extent, part in zip(shape, ranges, strict=True):
        index = nodes.entry(part, "min")
        yield _linear(nodes, index), _variables(nodes, index), nodes.number(extent)


def _linear(nodes: Nodes, index: Any, depth: int = 0) -> dict[int, int] | None:
    """An index as a sum of variables times factors, what is constant left out; None where it is none."""
    kind = nodes.kind(index)
    if depth > DEEPEST:
        raise DataError("an index is nested too deep")
    if kind == "ir.Var":
        return {index: 1}
    if kind == "ir.IntImm":
        return {}
    if kind not in ("prim.Add", "prim.Mul", "prim.Sub"):
        return None
    left, right = nodes.entry(index, "a"), nodes.entry(index, "b")
    if kind == "prim.Mul":
        scaled, factor = (left, right) if nodes.kind(right) == "ir.IntImm" else (right, left)
        terms = _linear(nodes, scaled, depth + 1)
        if terms is None or nodes.kind(factor) != "ir.IntImm":
            return None
        return {variable: count * nodes.number(factor) for variable, count in terms.items()}
    first, second = _linear(nodes, left, depth + 1), _linear(nodes, right, depth + 1)
    sign = -1 if kind == "prim.Sub" else 1
    if first is None or second is None:
        return None
    return {key: first.get(key, 0) + sign * second.get(key, 0) for key in {**first, **second}}


def _variables(nodes: Nodes, index: Any) -> frozenset[int]:
    """The variables that an index is made of; by levels, each node once."""
    seen, waiting, variables = set[int](), [index], set[int]()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if nodes.kind(node) == "ir.Var":
            variables.add(node)
        elif isinstance(content := nodes.data(node), dict):
            waiting += [content[name] for name in ("a", "b") if name in content]
    return frozenset(variables)


#: an axis of the input that a kernel moves along: the loops of the output and of the kernel, stride, dilation, extent
Window = tuple[int, int, int, int, int]


def _windows(region: Sequence[Axis], loops: dict[int, tuple[int, int]]) -> list[Window]:
    windows = []
    for terms, variables, extent in region:
        kinds = {loops[variable][0]: variable for variable in variables if variable in loops}
        if terms is None or len(variables) != 2 or set(kinds) != {SPATIAL, REDUCE}:
            continue
        out, position = kinds[SPATIAL], kinds[REDUCE]
        windows.append((out, position, terms[out], terms[position], extent))
    return windows


def _assemble(
    source: Sequence[Axis], windows: Sequence[Window], weights: Sequence[Axis], loops: dict[int, tuple[int, int]]
) -> BlockConvolution | None:
    """The convolution of an input and weights; None where they are those of no convolution."""
    of_windows = {variable for out, position, *_ in windows for variable in (out, position)}
    of_weights = frozenset[int]().union(*(variables for _, variables, _ in weights))
    if not {position for _, position, *_ in windows} <= of_weights or of_weights & {out for out, *_ in windows}:
        return None
    filters = prod(loops[name][1] for name in of_weights if name in loops and loops[name][0] == SPATIAL)
    summed = [name for name in of_weights if name in loops and loops[name][0] == REDUCE and name not in of_windows]
    moving = [bool(variables & of_windows) for _, variables, _ in source]
    planes = [extent for _, variables, extent in source if variables & of_weights and not variables & of_windows]
    batches = [extent for _, variables, extent in source if not variables & of_weights and not variables & of_windows]
    if not planes or prod(batches) != 1:
        return None
    channels = prod(planes)
    depth = prod(loops[name][1] for name in summed)
    if depth < 1 or channels % depth:
        return None
    (out_y, ky, step_y, apart_y, rows), (out_x, kx, step_x, apart_x, columns) = windows
    return BlockConvolution(
        channels, filters, channels // depth, (rows, columns), (loops[out_y][1], loops[out_x][1]),
        (loops[ky][1], loops[kx][1]), (step_y, step_x), (apart_y, apart_x), not moving[-1],
    )  # fmt: skip
