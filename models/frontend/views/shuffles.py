"""The torch operators that exchange channels and pixels, or channels of groups, as views of what they read."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from models.frontend.call import Call
from models.frontend.views.placing import Placing
from models.frontend.views.view import TensorView


def _pixel_shuffle(call: Call, placing: Placing) -> TensorView:
    view, factor = call["self"], call["upscale_factor"]
    *front, channels, height, width = view.sizes
    split = placing.reshape(view, [*front, channels // factor**2, factor, factor, height, width], call)
    first = len(front)
    order = [*range(first), first, first + 3, first + 1, first + 4, first + 2]
    return placing.reshape(split.permute(order), call.sizes, call)


def _pixel_unshuffle(call: Call, placing: Placing) -> TensorView:
    view, factor = call["self"], call["downscale_factor"]
    *front, channels, height, width = view.sizes
    split = placing.reshape(view, [*front, channels, height // factor, factor, width // factor, factor], call)
    first = len(front)
    order = [*range(first), first, first + 2, first + 4, first + 1, first + 3]
    return placing.reshape(split.permute(order), call.sizes, call)


def _channel_shuffle(call: Call, placing: Placing) -> TensorView:
    view, groups = call["self"], call["groups"]
    batch, channels, *space = view.sizes
    split = placing.reshape(view, [batch, groups, channels // groups, prod(space)], call)
    return placing.reshape(split.permute([0, 2, 1, 3]), view.sizes, call)


#: operator name -> the function that turns its call into a view
SHUFFLES: dict[str, Callable[[Call, Placing], TensorView]] = {
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
}
