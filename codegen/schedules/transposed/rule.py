"""The rule for transposed convolutions, dense and sparse: in one grid, or in three on narrow maps."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.order import CACHE_BYTES, band_in_cache
from codegen.schedules.rule import Rule
from codegen.schedules.tile_choice import MOST_VECTORS, padding
from codegen.schedules.transposed.flat import MOST_WOVEN, FlatMap, make_flat
from codegen.schedules.transposed.fused import make_fused
from devices.profile import Profile

#: of either way, tiles worth timing
MOST_TILES = 4
#: of an entry of a list beside its products, in multiply-adds
OVERHEAD = 1.5
#: of loading a vector on a CPU, in multiply-adds: half of them cross cache lines, and most come from the second cache
CPU_LOAD = 2.4
#: products of an output element from which on writing the phases down and interleaving them later costs a CPU little
FLAT_DEPTH = 32


@dataclass(frozen=True)
class PhaseTile:
    """How a transposed convolution is cut.

    Attributes:
        filters, vectors: accumulators of a work-item, for each column phase.
        flat: 1: three grids on rows that lie close together, 0: one grid.
        band: of one grid: rows per band (0: filters run fastest; see TileOrder); of three: tiles that all filters read
            before the next ones (0: all tiles).
    """

    filters: int
    vectors: int
    flat: int = 0
    band: int = 0

    def __str__(self) -> str:
        if self.flat:
            return f"F{self.filters}V{self.vectors} flat" + (f" b{self.band}" if self.band else "")
        return f"F{self.filters}V{self.vectors} " + (f"b{self.band}" if self.band else "f")


def space(workload: Workload, profile: Profile) -> list[PhaseTile]:
    """Tiles of both ways that fill the registers; first those of three grids where a CPU has much to multiply."""
    layer = workload.layer
    if layer.op != "conv" or not layer.transposed:
        return []
    flat = FlatMap(layer, workload.output.lanes, workload.output.item_bytes)
    load = CPU_LOAD if profile.gpu == "cpu" else 1.0
    apart = [
        PhaseTile(*shape, 1, band)
        for number, shape in enumerate(_shapes(workload, profile.accumulators, flat.vectors, load))
        for band in _bands(workload, profile, flat, shape[1])[: None if number == 0 else 1]
    ]
    if layer.stride[1] > MOST_WOVEN:
        return apart
    of_row = -(-flat.columns // workload.output.lanes)
    shapes = _shapes(workload, profile.accumulators // layer.stride[1], of_row, load)
    first = band_in_cache(workload, profile) * layer.stride[0]
    bands = [PhaseTile(*shapes[0], band=band) for band in dict.fromkeys((min(first, workload.output.height), 0))]
    together = [*bands, *(PhaseTile(*shape) for shape in shapes[1:])]
    deep = prod(layer.weight_shape[1:]) >= FLAT_DEPTH * prod(layer.stride)
    return [*apart, *together] if deep and profile.gpu == "cpu" else [*together, *apart]


def _bands(workload: Workload, profile: Profile, flat: FlatMap, vectors: int) -> list[int]:
    """Bands of three grids, the default first: single tiles, so that filters run fastest; tiles whose input takes up a
    quarter of a core's cache, in bands of one size; all tiles, which alone suit a GPU, whose work-items run side by
    side."""
    if profile.gpu != "cpu":
        return [0]
    channels = workload.layer.in_shapes[0][0] // workload.layer.groups
    tile_bytes = vectors * workload.output.lanes * workload.output.item_bytes * channels * len(flat.shifts)
    most, tiles = (profile.cache_bytes or CACHE_BYTES) // 4 // tile_bytes, -(-flat.vectors // vectors)
    return list(dict.fromkeys((1, -(-tiles // -(-tiles // max(most, 1))) if most < tiles else 0, 0)))


def _shapes(workload: Workload, budget: int, vectors: int, load: float) -> list[tuple[int, int]]:
    """(filters, vectors) of at most `budget` accumulators, of least estimated work first; `load`: of loading a vector.

    Filters divide a sparsity's block: a block of more would hold entries that only some of its filters have.
    """
    filters, sparsity = workload.layer.out_shape[0] // workload.layer.groups, workload.sparsity
    block = sparsity.block[0] if sparsity is not None else filters
    shapes = [
        (f, v)
        for f in range(1, min(filters, budget) + 1)
        if sparsity is None or block % f == 0
        for v in range(1, min(vectors, MOST_VECTORS, budget // f) + 1)
    ]

    def cost(shape: tuple[int, int]) -> float:
        f, v = shape
        return padding(filters, f) * padding(vectors, v) * (max(f * v, f + load * v + 2) + OVERHEAD) / (f * v)

    return sorted(shapes, key=cost)[:MOST_TILES]


def make(workload: Workload, weights: Weights, profile: Profile, tile: PhaseTile) -> Kernel:
    if tile.flat:
        return make_flat(workload, weights, profile, tile.filters, tile.vectors, tile.band)
    if workload.layer.stride[1] > MOST_WOVEN:
        raise ValueError(f"strides up to {MOST_WOVEN} are interleaved in registers, not for {workload.label}")
    return make_fused(workload, weights, profile, tile.filters, tile.vectors, tile.band)


TRANSPOSED = Rule("transposed", PhaseTile, space, make)
