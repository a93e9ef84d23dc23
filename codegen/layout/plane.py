"""Plane: how one activation tensor lies in its device buffer. Pure arithmetic; knows neither torch nor TVM.

A (C, H, W) tensor is C planes, one behind the other, in a flat buffer:

    plane = [lead | top border rows | H rows | bottom border rows],   row = [W elements | gap]

Every row has the same pitch, a multiple of the vector width, and the gap at its end is wide enough to be the right
border of this row *and* the left border of the next one, so that each kernel tap is one shifted vector load. Kernels
that produce the tensor write the zeros of lead, borders and gap themselves: no padding pass ever runs. `slack`
elements follow the last plane because vector loads may run past it; what they read there is never used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.graph.layer import Shape

#: the largest overrun of a vector load past the last plane, in vectors
SLACK_VECTORS = 16
#: planes whose pitch is a multiple of this many bytes collide in the cache
BAD_PITCH_BYTES = 1024


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Plane:
    """Geometry of a (channels, height, width) tensor; everything below counts elements, not bytes.

    Attributes:
        border: zero elements readable (above and below, left and right) of the image.
        lanes: elements of one vector load; row pitch and origin are multiples of it.
        item_bytes: bytes of one element.
        first: number of the tensor's first plane in its buffer, where several tensors share one.
        shared: planes of the whole buffer; None: the tensor's own.
    """

    channels: int
    height: int
    width: int
    border: tuple[int, int] = (0, 0)
    lanes: int = 16
    item_bytes: int = 4
    first: int = 0
    shared: int | None = None

    @property
    def shape(self) -> Shape:
        return (self.channels, self.height, self.width)

    @property
    def pitch(self) -> int:
        """Elements from one row to the next."""
        return round_up(self.width + self.border[1], self.lanes)

    @property
    def lead(self) -> int:
        """Elements before the first row: the left border of the topmost row."""
        return round_up(self.border[1], self.lanes)

    @property
    def origin(self) -> int:
        """Offset of element (0, 0) within its plane."""
        return self.lead + self.border[0] * self.pitch

    @property
    def rows(self) -> int:
        return self.height + 2 * self.border[0]

    @property
    def stride(self) -> int:
        """Elements from one channel to the next."""
        stride = self.lead + self.rows * self.pitch
        return stride + self.lanes if stride * self.item_bytes % BAD_PITCH_BYTES == 0 else stride

    @property
    def size(self) -> int:
        """Elements of the whole buffer."""
        return (self.shared or self.channels) * self.stride + SLACK_VECTORS * self.lanes

    @property
    def vectors(self) -> int:
        """Vectors of a row that hold image elements; the rest of the pitch, if any, is all gap."""
        return -(-self.width // self.lanes)

    def index(self, channel: Any, row: Any, column: Any) -> Any:
        """Flat index of an element; row and column may reach into the border. Works on ints and on TIR expressions."""
        return self.start(channel) + self.origin + row * self.pitch + column

    def start(self, channel: Any) -> Any:
        """Flat index of the first element of a channel's plane, its lead."""
        return (channel + self.first) * self.stride if self.first else channel * self.stride

    def pack(self, tensor: np.ndarray) -> np.ndarray:
        """(C, H, W) -> flat buffer, borders zero. Raises ValueError on another shape."""
        if tensor.shape != self.shape:
            raise ValueError(f"expected {self.shape}, got {tensor.shape}")
        flat = np.zeros(self.size, tensor.dtype)
        self._view(flat)[...] = tensor
        return flat

    def unpack(self, flat: np.ndarray) -> np.ndarray:
        """Flat buffer -> (C, H, W) copy."""
        return self._view(flat).copy()

    def _view(self, flat: np.ndarray) -> np.ndarray:
        if flat.shape != (self.size,):
            raise ValueError(f"expected {(self.size,)}, got {flat.shape}")
        steps = tuple(step * flat.itemsize for step in (self.stride, self.pitch, 1))
        return np.lib.stride_tricks.as_strided(flat[self.start(0) + self.origin :], self.shape, steps)
