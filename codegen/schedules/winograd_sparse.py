"""Winograd convolution with whole kernels missing ("connectivity"): both savings multiply.

A kernel of zeros is still zeros when transformed, so the matrix products walk, per filter group, only the channels it
keeps, the same at all n * n positions. Other patterns lose their zeros in the transform.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.pack import PackedColumns, pack_columns
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.rule import Rule
from codegen.schedules.streaming.matrix import ProductSums
from codegen.schedules.tile_choice import register_sums
from codegen.schedules.winograd import (
    UNROLL,
    WinogradTile,
    amplifies,
    space,
    tiling_of,
    turn_of,
    work_per_product,
    write,
)
from codegen.schedules.winograd_grids import Tiling
from codegen.schedules.winograd_transforms import transform_filters
from devices.profile import Profile
from models.plans.sparsity import Sparsity


def sparse_space(workload: Workload, profile: Profile) -> list[WinogradTile]:
    """The two filter groups of least estimated work for each kind of tile, in both orders for the first kind."""
    sparsity = workload.sparsity
    if sparsity is None or sparsity.pattern != "connectivity":
        return []
    tiles = []
    for tile in space(workload, profile):
        vectors = tiling_of(workload, profile, tile.m).vectors
        shapes = _shapes(workload.output.channels, vectors, sparsity, register_sums(workload, profile))
        tiles += [WinogradTile(tile.m, *shape, tile.filters_first) for shape in shapes[:2]]
    return list(dict.fromkeys(tiles))


def _shapes(filters: int, vectors: int, sparsity: Sparsity, budget: int) -> list[tuple[int, int]]:
    """(filters, vectors) of work-items, least work first.

    A kernel's group is a part or a multiple of the sparsity's; a multiple keeps whatever any of its parts keeps, as if
    they had been chosen at random.
    """
    group = sparsity.block[0]

    def cost(shape: tuple[int, int]) -> float:
        kept = 1 - sparsity.zeros ** max(shape[0] / group, 1)
        return kept * work_per_product(filters, vectors, shape)

    widths = [f for f in range(1, min(filters, budget) + 1) if group % f == 0 or f % group == 0]
    shapes = {(f, min(budget // f, vectors, v)) for f in widths for v in (1, 2, 3, 4)}
    return sorted(sorted(shapes), key=cost)


def make(workload: Workload, weights: Weights, profile: Profile, tile: WinogradTile) -> Kernel:
    assert weights.weight is not None
    kept = (weights.weight != 0).any(axis=(2, 3), keepdims=True).astype(np.float32)
    packed = pack_columns(kept, tile.filters)
    constants = {"weight": _pack(packed, weights.weight, tile), "channels": packed.channel.astype(np.int32)}
    if packed.common_length is None:
        constants["starts"] = packed.starts
    if profile.streams:  # as distances in bytes
        tiling = tiling_of(workload, profile, tile.m)
        constants["channels"] *= tiling.pitch * workload.output.item_bytes
    constants = {name: array if array.size else np.zeros(1, array.dtype) for name, array in constants.items()}
    columns, channels = len(packed.channel), workload.inputs[0].channels

    def products(frame, tiling: Tiling, position, block, add: ProductSums) -> None:
        length = packed.common_length
        first, count = (block * (length or 0), length) if length is not None else _bounds(frame, block)
        if frame.profile.streams:
            stream = add.stream(tiling.v(channels, position, 0, 0), (position * columns + first) * tile.filters)
            stream.add_listed(first, count, turn_of(workload))
            return
        _add_by_index(
            frame,
            first,
            count,
            lambda channel, number: add(
                tiling.v(channels, position, channel, 0), (position * columns + number) * tile.filters
            ),
        )

    return write(workload, weights, profile, tile, constants, products)


def _bounds(frame, block) -> tuple:
    """The first entry of a block's list, and how many there are."""
    bounds = registers(2, "int32", "bounds")
    for end in (0, 1):
        put(bounds, end, frame["starts"][block + end])
    return bounds[0], bounds[1] - bounds[0]


def _add_by_index(frame, first, count, add: Callable) -> None:
    """add(channel, number of the entry) for every entry of a list; several in a turn where their number is known."""

    def step(number) -> None:
        add(frame["channels"][number], number)

    if not isinstance(count, int):
        with T.serial(0, count) as number:
            step(first + number)
        return
    if count >= UNROLL:
        with T.serial(0, count // UNROLL) as turn:
            for number in range(UNROLL):
                step(first + turn * UNROLL + number)
    for number in range(count // UNROLL * UNROLL, count):
        step(first + number)


def _pack(packed: PackedColumns, weight: np.ndarray, tile: WinogradTile) -> np.ndarray:
    """Transformed filters as [position][kept channel of each group][filter]."""
    filters = tile.filters
    padded = np.zeros((len(packed.groups) * filters, *weight.shape[1:]))
    padded[: len(weight)] = weight
    transformed = transform_filters(padded, tile.m)
    group = np.repeat(packed.groups, packed.lengths)
    rows = group[:, None] * filters + np.arange(filters)
    return np.ascontiguousarray(transformed[:, rows, packed.channel[:, None]], np.float32).ravel()


WINOGRAD_SPARSE = Rule(
    "winograd_sparse", WinogradTile, sparse_space, make, reads_sparsity=True, widens=True, amplifies=amplifies
)
