"""Layers that rearrange, at odd shapes: every way of reading columns, boxes that fill part of the result, epilogues."""

import numpy as np

from models.frontend.views.placing import STANDARD
from models.frontend.views.view import TensorView
from models.graph.index_map import Move
from models.graph.layer import Layer, Shape, Step


def source(shape: Shape) -> TensorView:
    return TensorView.of("x", shape)


def rearranged(view: TensorView, groups=STANDARD, epilogue: tuple[Step, ...] = ()) -> Layer:
    """The layer that brings a view of (1, C, H, W) into planes."""
    index_map = view.index_map(groups)
    addends = sum(step.kind == "add" for step in epilogue)
    shape = index_map.sizes
    shapes = (view.source_shape, *[shape] * addends)
    names = ("x", *(f"addend{number}" for number in range(addends)))
    return Layer("layer", "rearrange", names, shapes, shape, epilogue=epilogue, moves=(Move(index_map),))


def joined(axis: int, *shapes: Shape, fill: float = 0.0, room: int = 0) -> Layer:
    """Tensors beside each other along rows (1) or columns (2), `room` of `fill` before, between and behind them."""
    moves, first = [], room
    for number, shape in enumerate(shapes):
        place = [0, 0, 0]
        place[axis] = first
        moves.append(Move(source(shape).index_map(STANDARD), number, (place[0], place[1], place[2])))
        first += shape[axis] + room
    out = list(shapes[0])
    out[axis] = first
    names = tuple(f"x{number}" for number in range(len(shapes)))
    return Layer("layer", "rearrange", names, shapes, (out[0], out[1], out[2]), moves=tuple(moves), fill=fill)


def shuffle(view: TensorView, groups: int) -> TensorView:
    _, channels, *space = view.sizes
    split = view.reshape([1, groups, channels // groups, *space])
    return split.permute([0, 2, 1, 3, 4]).reshape(view.sizes)


def pixel_shuffle(view: TensorView, factor: int) -> TensorView:
    _, channels, height, width = view.sizes
    split = view.reshape([1, channels // factor**2, factor, factor, height, width]).permute([0, 1, 4, 2, 5, 3])
    return split.reshape([1, channels // factor**2, height * factor, width * factor])


def windows(view: TensorView, size: int) -> TensorView:
    """(1, C, H, W) -> (windows, size x size, C), as in Swin."""
    _, channels, height, width = view.sizes
    split = view.reshape([1, channels, height // size, size, width // size, size]).permute([0, 2, 4, 3, 5, 1])
    return split.reshape([height // size * (width // size), size * size, channels])


MOVES = {
    "channels": rearranged(source((9, 5, 7)).take(1, range(2, 6))),
    "channels of wide planes": rearranged(source((7, 6, 49)).take(1, range(3, 7)), epilogue=(Step("relu"),)),
    "channel list": rearranged(source((9, 5, 19)).take(1, [7, 0, 0, 3, 8, 1])),
    "shuffle": rearranged(shuffle(source((12, 5, 33)), 3)),
    "crop": rearranged(source((3, 11, 40)).take(2, range(2, 9)).take(3, range(5, 37))),
    "focus": rearranged(source((3, 10, 38)).take(2, range(1, 10, 2)).take(3, range(1, 38, 2))),
    "every third": rearranged(source((3, 10, 38)).take(2, range(0, 10, 3)).take(3, range(2, 38, 3))),
    "flip rows": rearranged(source((3, 5, 17)).take(2, range(5)[::-1])),
    "flip columns": rearranged(source((3, 5, 17)).take(3, range(17)[::-1])),
    "flip whole vectors": rearranged(source((3, 5, 32)).take(3, range(32)[::-1])),
    "flip three columns": rearranged(source((2, 1, 3)).take(3, range(3)[::-1])),
    "roll": rearranged(source((3, 7, 40)).take(2, np.roll(np.arange(7), 3)).take(3, np.roll(np.arange(40), -5))),
    "reflect": rearranged(source((2, 4, 18)).take(3, [2, 1, *range(18), 16, 15, 14]).take(2, [1, 0, 1, 2, 3, 2])),
    "replicate": rearranged(source((2, 4, 18)).take(3, [0, 0, *range(18), 17]).take(2, [0, 0, 1, 2, 3])),
    "repeat": rearranged(source((3, 4, 9)).take(1, np.tile(np.arange(3), 2)).take(3, np.tile(np.arange(9), 3))),
    "expand": rearranged(source((1, 5, 1)).expand([1, 6, 5, 20])),
    "pixel shuffle": rearranged(pixel_shuffle(source((12, 5, 9)), 2)),
    "pixel shuffle wide": rearranged(pixel_shuffle(source((8, 3, 32)), 2)),
    "pixel shuffle by 3": rearranged(pixel_shuffle(source((9, 5, 7)), 3)),
    "transpose": rearranged(source((3, 6, 19)).permute([0, 1, 3, 2])),
    "channels last": rearranged(source((5, 6, 19)).permute([0, 2, 3, 1])),
    "tokens": rearranged(source((5, 6, 19)).reshape([1, 5, 114]), ((1,), (0,), (2,))),
    "tokens of whole vectors": rearranged(source((5, 6, 32)).reshape([1, 5, 192]), ((1,), (0,), (2,))),
    "map of tokens": rearranged(source((5, 1, 114)).reshape([1, 5, 6, 19])),
    "windows": rearranged(windows(source((3, 8, 12)), 4), ((0,), (1,), (2,))),
    "carries": rearranged(source((4, 2, 3)).reshape([1, 4, 3, 2])),
    "carries over channels": rearranged(source((3, 4, 5)).reshape([1, 5, 6, 2])),
    "add": rearranged(source((9, 5, 7)).take(1, range(2, 6)), epilogue=(Step("add"), Step("relu"))),
    "rows joined": joined(1, (3, 2, 19), (3, 1, 19), (3, 4, 19)),
    "columns joined": joined(2, (3, 2, 5), (3, 2, 19), (3, 2, 40)),
    "columns joined with room": joined(2, (3, 3, 5), (3, 3, 33), fill=-1.5, room=2),
    "rows with room": joined(1, (3, 3, 35), (3, 2, 35), fill=2.0, room=1),
    "channels with room": joined(0, (3, 3, 21), fill=0.0, room=2),
}
