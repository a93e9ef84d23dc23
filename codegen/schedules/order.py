"""TileOrder: in which order work-items walk the filter blocks and pixel tiles of a layer, so that caches hold what they
share.

Neighbouring work-items run close in time. With filters fastest they share a pixel tile's input and stream the weights;
with pixels fastest they share a block's weights and stream the input; bands of rows do the latter over a piece of the
image small enough to stay in cache until all filter blocks have read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from codegen.kernels.builder import when
from codegen.kernels.rows import RowTiles
from codegen.kernels.workload import Workload
from devices.profile import Profile

#: of a CPU's core, where the profile does not say
CACHE_BYTES = 1 << 20


@dataclass(frozen=True)
class TileOrder:
    """How a grid covers `blocks` filter blocks x the tiles of `rows`.

    Attributes:
        blocks: filter blocks.
        rows: the pixel tiles; one row high.
        band: rows of a band; 0: filters fastest; the image's height or more: pixels fastest.
        tiles: neighbouring pixel tiles that one work-item makes one after the other.
    """

    blocks: int
    rows: RowTiles
    band: int
    tiles: int = 1

    @property
    def bands(self) -> int:
        return -(-self.rows.down // self.band) if self.band else 1

    @property
    def _tiles_of_band(self) -> int:
        return (min(self.band, self.rows.down) or self.rows.down) * self.rows.across

    @property
    def extents(self) -> tuple[int, ...]:
        """Work-items along each axis of the grid."""
        items = -(-self._tiles_of_band // self.tiles)
        return (self.bands, self.blocks, items) if self.band else (items, self.blocks)

    def block(self, axes):
        """Number of a work-item's filter block."""
        return axes[1]

    @contextmanager
    def tile(self, axes) -> Iterator[tuple]:
        """(row, tile along the row) of the work-item's pixel tile; a loop in the kernel where there are several."""
        band, item = (axes[0], axes[2]) if self.band else (0, axes[0])
        if self.tiles == 1:
            with self._place(band, item) as place:
                yield place
            return
        with T.serial(0, self.tiles) as number:
            tile = item * self.tiles + number
            surplus = self._tiles_of_band % self.tiles
            with when(tile < self._tiles_of_band if surplus else True), self._place(band, tile) as place:
                yield place

    @contextmanager
    def _place(self, band, tile) -> Iterator[tuple]:
        row, across = tile // self.rows.across, tile % self.rows.across
        if self.bands > 1:
            row = band * self.band + row
        with when(row < self.rows.down if self.bands > 1 and self.rows.down % self.band else True):
            yield row, across


def band_in_cache(workload: Workload, profile: Profile) -> int:
    """Rows of a band whose input takes up at most half a core's cache; at least one.

    On a GPU all rows: its work-items run side by side, and those of one warp should read neighbouring pixels.
    """
    layer, source = workload.layer, workload.inputs[0]
    if profile.gpu != "cpu":
        return workload.output.height
    row_bytes = source.channels // layer.groups * source.pitch * source.item_bytes
    fitting = (profile.cache_bytes or CACHE_BYTES) // 2 // row_bytes
    halo = (layer.kernel[0] - 1) * layer.dilation[0]
    most = max((fitting - halo) // layer.stride[0], 1)
    bands = -(-workload.output.height // most)
    return -(-workload.output.height // bands)
