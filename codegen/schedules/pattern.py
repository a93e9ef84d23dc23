"""Sparse 3x3 convolution by kernel patterns and connectivity (PatDNN, Niu et al. 2020).

A work-item computes one filter on a tile of vectors x rows. The taps of each of the layer's few patterns are baked into
the code, so a filter's kept kernels are walked in one short loop per pattern: an input channel, the vectors its taps
need (those that several rows of the tile share are loaded once), and four weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel, put, registers
from codegen.kernels.pack import PackedPatterns, pack_patterns
from codegen.kernels.rows import reads_by_pointers
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.order import TileOrder
from codegen.schedules.rule import Rule
from codegen.schedules.sparse_tiles import TallAccumulators, TallTiles, Window, plane_offsets
from codegen.schedules.streaming.kernels import KernelIndices, KernelPointers
from codegen.schedules.tile_choice import MOST_VECTORS, padding, register_sums
from devices.profile import Profile
from models.plans.sparsity import PATTERN_ENTRIES

#: configurations worth timing
MOST_TILES = 4
#: accumulators of a GPU's work-item: with 16, whose input rows are loaded together, an Adreno 730's compiler spills
MOST_SUMS_OF_GPU = 8


@dataclass(frozen=True)
class PatternTile:
    """Vectors x rows of a pixel tile, the order of work-items, and which filters come first.

    Attributes:
        vectors, rows: of a pixel tile.
        band: blocks of rows per band (0: filters run fastest; see TileOrder).
        sorted: 1: filters with more kernels come first.
    """

    vectors: int
    rows: int
    band: int = 0
    sorted: int = 0

    def __str__(self) -> str:
        order = f"b{self.band}" if self.band else "f"
        return f"V{self.vectors}R{self.rows} {order}" + (" sorted" if self.sorted else "")


def space(workload: Workload, profile: Profile) -> list[PatternTile]:
    """Tiles that fill the registers, the one that loads and pads least first; filters or pixels fastest."""
    layer, sparsity = workload.layer, workload.sparsity
    if not layer.convolves or layer.groups != 1 or layer.kernel != (3, 3):
        return []
    if sparsity is None or sparsity.pattern != "pattern":
        return []
    plane = workload.output
    budget = register_sums(workload, profile)
    budget = min(budget, MOST_SUMS_OF_GPU) if profile.streams else budget
    fitting = [
        (v, min(max(budget // v, 1), plane.height)) for v in range(1, min(plane.vectors, budget, MOST_VECTORS) + 1)
    ]
    best = sorted(
        fitting, key=lambda tile: padding(plane.vectors, tile[0]) * padding(plane.height, tile[1]) * _cost(*tile)
    )
    tiles = [PatternTile(v, r) for v, r in best[:MOST_TILES]]
    orders = [PatternTile(*best[0], band=plane.height), PatternTile(*best[0], sorted=1)]
    return tiles + (orders if not sparsity.balanced else orders[:1])


def _cost(vectors: int, rows: int) -> float:
    """Work per multiply-add of a kernel whose taps lie in two columns: input, splats, the loop.

    Input counts in aligned vectors touched, one more than are loaded in a row, since most taps are shifted.
    """
    products = PATTERN_ENTRIES * vectors * rows
    return (products + 2 * (rows + 2) * (vectors + 1) + PATTERN_ENTRIES + 2) / products


def make(workload: Workload, weights: Weights, profile: Profile, tile: PatternTile) -> Kernel:
    assert weights.weight is not None
    packed = pack_patterns(np.asarray(weights.weight, np.float32), bool(tile.sorted))
    constants = _constants(workload, weights, packed)
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = TallTiles(workload.output, vector, tile.vectors, tile.rows)
    if reads_by_pointers(profile, workload, rows):
        constants["offset"] *= workload.inputs[0].item_bytes
    order = TileOrder(workload.layer.out_shape[0], rows, tile.band)
    sizes = {
        name: array.size if array.dtype.kind == "f" else (array.size, "int32") for name, array in constants.items()
    }
    with kernel(workload.arguments(**sizes), order.extents, profile) as frame:
        sums = TallAccumulators(frame, workload, vector, rows, 1)
        window = Window(frame, workload, vector, rows)
        place = order.block(frame.axes)
        with order.tile(frame.axes) as (block, across):
            filters = registers(1, "int32", "filter")
            put(filters, 0, frame["order"][place] if "order" in constants else place)
            owned = [(filters[0], True)]
            sums.start(owned, place, block, across)
            for number, taps in enumerate(packed.taps):
                _add_pattern(frame, window, sums, place * len(packed.taps) + number, taps.tolist(), (block, across))
            sums.finish(owned, block, across)
    return Kernel(frame.func, constants)


def _constants(workload: Workload, weights: Weights, packed: PackedPatterns) -> dict[str, np.ndarray]:
    """Constant arguments of the kernel, in the order of the packed filters; none of them empty."""
    zero = np.zeros_like(packed.channel)
    arrays = {
        "weight": packed.weight.ravel(),
        "bias": weights.bias_or_zero(workload.layer.out_shape[0])[packed.order],
        "offset": plane_offsets(workload, packed.channel, zero, zero),
        "starts": packed.starts,
    }
    if (np.diff(packed.order) < 0).any():
        arrays["order"] = packed.order
    return {name: array if array.size else np.zeros(1, array.dtype) for name, array in arrays.items()}


def _add_pattern(frame, window: Window, sums: TallAccumulators, run, taps: Sequence[int], place: tuple) -> None:
    """The loop over a filter's kernels of one pattern; `run` is the number of its first one in `starts`.

    Four weights stay in registers while the input passes by, each vector used for all (row, tap) that need it.
    """
    layer, source, rows = window.workload.layer, window.workload.inputs[0], window.rows
    (height, width), stride = layer.dilation, layer.stride[0]
    users: dict[tuple[int, int], list[tuple[int, int]]] = {}  # (kernel column, input row of the tile) -> (row, tap)
    for row in range(rows.height):
        for number, tap in enumerate(taps):
            users.setdefault((tap % 3, row * stride + tap // 3 * height), []).append((row, number))
    kind = sums.products.type
    loaded, factors = registers(rows.width, kind, "loaded"), registers(len(taps), kind, "factors")
    bounds = registers(2, "int32", "bounds")
    for end in (0, 1):
        put(bounds, end, frame["starts"][run + end])
    reader = KernelPointers if reads_by_pointers(frame.profile, window.workload, rows) else KernelIndices
    kernels = reader(frame, window, bounds[0], window.base(*place))
    with T.serial(0, bounds[1] - bounds[0]) as number:
        for weight, load in kernels.turn(number):
            for tap in range(len(taps)):
                put(factors, tap, sums.splat(weight(tap)))
            for (kx, y), uses in sorted(users.items()):
                for v in range(rows.width):
                    put(loaded, v, sums.operand(load(v, y * source.pitch + kx * width)))
                for row, tap in uses:
                    for v in range(rows.width):
                        sums.sums[row].add(v, loaded[v] * factors[tap])
        sums.settle()


PATTERN = Rule("pattern", PatternTile, space, make, reads_sparsity=True, widens=True)
