"""Which Winograd convolutions of a network, on a GPU, get their transformed input from the layer before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.lowering.launches.chained_functions import count_tiles, hand_over, take_over
from codegen.lowering.writing import ScheduledLayer, Tiles
from devices.profile import Profile

#: schedules whose functions begin with a transform of the input, and end with one of the output, channel by channel
CHAINED = ("winograd", "winograd_sparse")


def chain_layers(scheduled: Sequence[ScheduledLayer], profile: Profile) -> list[ScheduledLayer]:
    """The layers, those whose input comes of a Winograd convolution without a transform of it, which that one does.

    The tensor between them is written all the same, for whoever else reads it. Several readers take the same tiles
    where they cut it alike; those that cut it otherwise transform it themselves.
    """
    chained = [*scheduled]
    number_of = {item.layer.name: number for number, item in enumerate(scheduled)}
    for number, item in enumerate(scheduled):
        before = number_of.get(item.layer.inputs[0]) if item.layer.inputs else None
        if before is None or not {item.kernel.schedule, chained[before].kernel.schedule} <= {*CHAINED}:
            continue
        giver = chained[before]
        if giver.gives is None:
            func = hand_over(giver.func, item.func, item.layer.in_shapes[0][0], profile)
            if func is None:
                continue
            tiles = Tiles(f"{giver.layer.name} (tiles)", count_tiles(item.func), _cut(item))
            chained[before] = giver = replace(giver, func=func, gives=tiles)
        if giver.gives is not None and giver.gives.cut == _cut(item):
            taking = chained[number]
            chained[number] = replace(taking, func=take_over(taking.func), grids=taking.grids - 1, takes=giver.gives)
    return chained


def _cut(item: ScheduledLayer) -> tuple:
    """What tiles depend on besides their tensor: outputs of a tile, where the first begins, and how many there are."""
    assert item.kernel.choice is not None
    return (item.kernel.choice.config.m, item.layer.padding, item.layer.out_shape[1:], count_tiles(item.func))
