"""Work: what a kernel has to do for a sample, counted: multiply-adds, bytes, tiles, work-items, and how evenly.

Everything here is arithmetic on shapes and a schedule's configuration; no time is looked at.
`latency.cost_model.features` makes columns of it. Symbols: a tile is the output of one work-item, filters x pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from devices.profile import ITEM_BYTES
from latency.dataset.hardware import Hardware
from latency.dataset.runtimes import WorkGroups, depth_loop, work_groups
from latency.dataset.runtimes import tile as foreign_tile
from latency.dataset.sample import OWN, Sample
from models.graph.layer import Layer

#: bytes of one entry of a sparse format's list of columns or channels
INDEX_BYTES = 4
#: output tile and transformed tile of Winograd's F(m x m, 3x3)
WINOGRAD_TILES = {2: 4, 4: 6}
#: filters of a tile where the configuration does not say
DEFAULT_FILTERS = 4


@dataclass(frozen=True)
class OutputTiling:
    """How a kernel cuts the output: filters x (columns x rows) pixels per tile, `tiles` tiles per work-item."""

    filters: int
    columns: int
    rows: int = 1
    tiles: int = 1

    @classmethod
    def of(cls, sample: Sample, hardware: Hardware) -> OutputTiling:
        """From the schedule's configuration, or what the foreign runtime chooses."""
        if tuned(sample):
            numbers = (max(1, int(sample.config.get(name, 1))) for name in ("filters", "columns", "rows"))
            return cls(*numbers)
        if sample.framework != OWN:
            across, down, slices = foreign_tile(sample.layer, sample.framework, sample.gpu)
            return cls(4 * slices, across, down)
        config = sample.config
        lanes = hardware.lanes * ITEM_BYTES["float32"] // ITEM_BYTES.get(sample.dtype, 4)
        per_channel = sample.kernel == "depthwise" or sample.layer.op != "conv"
        filters = config.get("filters", 1 if per_channel else DEFAULT_FILTERS)
        vectors, rows, tiles = (max(1, int(config.get(name, 1))) for name in ("vectors", "rows", "tiles"))
        return cls(max(1, int(filters)), vectors * lanes, rows, tiles)


@dataclass(frozen=True)
class Work:
    """Counts of one sample; see the descriptions in `latency.cost_model.feature_names.COLUMNS` for what each means."""

    kept: float
    channels: int
    taps: int
    out_pixels: int
    macs: float
    macs_kept: float
    macs_slices: float
    macs_tiles: float
    tile_filters: int
    tile_pixels: int
    pixel_padding: float
    filter_padding: float
    grid: tuple[int, int, int]
    work_groups: WorkGroups
    depth_step: int
    work_items: float
    item_macs: float
    loads_input: float
    loads_weights: float
    bytes_in: float
    bytes_out: float
    bytes_weights: float
    bytes_index: float
    bytes_addends: float
    bytes_scratch: float
    winograd_tiles: float
    winograd_macs: float


def count(sample: Sample, hardware: Hardware) -> Work:
    """Count the work of a sample; ops without weights have multiply-adds 0 and everything else."""
    layer, item = sample.layer, ITEM_BYTES.get(sample.dtype, 4)
    filters, rows, columns = layer.out_shape
    conv = layer.op == "conv"
    pooled = layer.op in ("max_pool", "avg_pool")
    channels = _depth(layer)
    taps = prod(layer.kernel) if conv or pooled else 1
    if layer.transposed:  # those of the kernel's positions that an output pixel reads
        taps = max(1, taps // prod(layer.stride))
    kept = kept_fraction(sample)
    tiling = OutputTiling.of(sample, hardware)
    blocks_of_group = ceil(filters / layer.groups / tiling.filters) if conv else ceil(filters / tiling.filters)
    blocks = blocks_of_group * (layer.groups if conv else 1)
    m = int(sample.config.get("m", 4)) if "winograd" in sample.kernel else 0
    across, down = ceil(columns / tiling.columns), ceil(rows / tiling.rows)
    spots = across * down
    if sample.framework != OWN and layer.groups > 1:  # groups share slices of 4 channels
        blocks = ceil(filters / tiling.filters)
    padded = float(spots * tiling.columns * tiling.rows)
    depth = channels * taps * kept
    weights = prod(layer.weight_shape) if conv else 0
    wino_tiles, wino_macs, scratch = _winograd(sample, m or 4, kept)
    if not m:
        scratch = prod(layer.in_shapes[0]) * item * 2.0 if sample.grids > 1 else 0.0
    if layer.foreign is not None:  # dense tensors between the borders, each written and read
        scratch = 2.0 * ITEM_BYTES["float32"] * sum(prod(shape) for shape in (*layer.in_shapes, layer.out_shape))
    operands = sum(prod(shape) for shape in layer.in_shapes[: layer.operands])
    slices = 16 * ceil(channels / 4) * ceil(filters / 4) if layer.groups == 1 else filters * channels
    return Work(
        kept=kept,
        channels=channels,
        taps=taps,
        out_pixels=rows * columns,
        macs=float(layer.macs),
        macs_kept=layer.macs * kept,
        macs_slices=float(slices * taps * rows * columns) * kept if conv else 0.0,
        macs_tiles=blocks * tiling.filters * padded * depth,
        tile_filters=tiling.filters,
        tile_pixels=tiling.columns * tiling.rows,
        pixel_padding=padded / (rows * columns),
        filter_padding=blocks * tiling.filters / filters,
        grid=(across, down, blocks),
        work_groups=_work_groups(sample, (across, down, blocks)),
        depth_step=depth_loop(layer, sample.framework, sample.gpu, tiling.filters * tiling.columns * tiling.rows // 4),
        work_items=blocks * ceil(spots / tiling.tiles),
        item_macs=tiling.filters * tiling.columns * tiling.rows * tiling.tiles * depth,
        loads_input=blocks * padded * depth,
        loads_weights=blocks * tiling.filters * spots * depth,
        bytes_in=float(operands * item),
        bytes_out=float(prod(layer.out_shape) * item),
        bytes_weights=float(weights * kept * item),
        bytes_index=_index_entries(sample) * INDEX_BYTES,
        bytes_addends=float(sum(prod(shape) for shape in layer.in_shapes[layer.operands :]) * item),
        bytes_scratch=scratch,
        winograd_tiles=wino_tiles,
        winograd_macs=wino_macs,
    )


def tuned(sample: Sample) -> bool:
    """Whether a sample is of a foreign kernel whose configuration is known."""
    return sample.framework != OWN and "filters" in sample.config


def _work_groups(sample: Sample, grid: tuple[int, int, int]) -> WorkGroups:
    """How the work-items of a `grid` (columns, rows, blocks) are grouped: as configured, or as the runtime chooses."""
    if not tuned(sample):
        return work_groups(sample.layer, sample.framework, sample.gpu, grid)
    names = ("group_columns", "group_rows", "group_filters")
    sizes = [max(1, int(sample.config.get(name, 1))) for name in names]
    count = prod(ceil(items / size) for items, size in zip(grid, sizes, strict=True))
    return WorkGroups(prod(sizes), sizes[2], count)


def _depth(layer: Layer) -> int:
    """Input channels that each element of the output is made of, positions of a kernel aside."""
    if layer.op == "conv":
        return layer.in_shapes[0][0] // layer.groups
    if layer.product is not None:
        return layer.product.depth
    return max(1, layer.macs // prod(layer.out_shape))


def kept_fraction(sample: Sample) -> float:
    """Weights a kernel multiplies by / all weights. Dense kernels multiply by zeros too."""
    layer, sparsity = sample.layer, sample.sparsity
    if sparsity is None or layer.op != "conv" or not reads_sparsity(sample.kernel):
        return 1.0
    return sparsity.kept_fraction(layer.weight_shape)


def reads_sparsity(kernel: str) -> bool:
    """Whether a class of kernel skips zeros."""
    return kernel.startswith(("columns", "pattern", "winograd_sparse", "transposed"))


def _index_entries(sample: Sample) -> float:
    """Entries in the lists a sparse kernel walks: kept units of every filter group."""
    if sample.sparsity is None or not reads_sparsity(sample.kernel):
        return 0.0
    shape = sample.layer.weight_shape
    per_group = sample.sparsity.kept_units(shape) / (1 if sample.sparsity.balanced else sample.sparsity.groups(shape))
    return float(per_group * sample.sparsity.groups(shape) * sample.sparsity.block[1])


def _winograd(sample: Sample, m: int, kept: float) -> tuple[float, float, float]:
    """(tiles, multiply-adds of the products, bytes of transformed input and products); 0 where it is not legal."""
    layer = sample.layer
    if not layer.winograd_legal:
        return 0.0, 0.0, 0.0
    filters, rows, columns = layer.out_shape
    tiles, points = ceil(rows / m) * ceil(columns / m), WINOGRAD_TILES.get(m, m + 2) ** 2
    channels, item = layer.in_shapes[0][0], ITEM_BYTES.get(sample.dtype, 4)
    products = float(tiles * points) * 16 * ceil(channels / 4) * ceil(filters / 4) * kept
    return float(tiles), products, 2.0 * tiles * points * (channels + filters) * item
