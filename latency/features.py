"""The one feature extractor: samples to a matrix whose every column is named, described and versioned.

The baseline takes its physical terms from these columns and the trees take all of them, so the two cannot disagree. A
saved predictor names its columns and FEATURES_VERSION, and is refused where either differs from what is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, prod, sqrt

import numpy as np

from latency.hardware import Hardware
from latency.runtimes import winograd_legal
from latency.sample import Sample
from latency.work import Work, count, reads_sparsity

#: raised whenever a column changes its meaning
FEATURES_VERSION = 1

#: classes of kernels that have a column of their own
CLASSES = (
    "direct", "pointwise", "vector", "strided", "grouped", "depthwise", "phases", "image",
    "winograd2", "winograd4", "winograd_sparse2", "winograd_sparse4", "columns", "pattern", "pool",
    "constants", "depthwise3x3",
)  # fmt: skip

#: fields of schedules' configurations that have a column of their own; others are left out
CONFIG = ("filters", "vectors", "rows", "tiles", "band", "unroll", "channels", "late", "sorted", "filters_first")

#: a work-group's worth of work-items where waves are counted on devices that run them one by one or in small steps
LEAST_WAVE = 64

#: a device that holds so many work-items takes no less time for fewer
IN_FLIGHT = (256, 1024, 4096, 16384)

#: steps of an epilogue that cost next to nothing
SIMPLE_STEPS = ("add", "relu", "relu6", "leaky_relu", "hardtanh")

#: every column, in order, and what it is. Rates and bytes are of the sample's dtype; times are at peak rates.
COLUMNS: dict[str, str] = {
    "one": "1: what every launch costs",
    "grids": "kernels launched",
    "cin": "input channels",
    "cout": "output channels",
    "group_channels": "input channels of one group",
    "h_in": "input height",
    "h_out": "output height",
    "w_out": "output width",
    "out_pixels": "output height x width",
    "taps": "positions of the kernel",
    "stride": "stride along rows",
    "dilation": "dilation along rows",
    "padding": "zeros on each side of a row that the kernel adds itself",
    "groups": "groups",
    "log_volume": "log of output elements",
    "macs": "multiply-adds of the dense layer",
    "macs_kept": "multiply-adds that are left of it",
    "macs_slices": "the same with channels rounded up to 4",
    "macs_tiles": "the same with the output rounded up to whole tiles",
    "bytes_in": "bytes of the operands",
    "bytes_out": "bytes of the result",
    "bytes_weights": "bytes of the weights that are kept",
    "bytes_index": "bytes of a sparse format's lists",
    "bytes_addends": "bytes that the epilogue adds",
    "bytes_scratch": "bytes of intermediate grids, written and read",
    "bytes_all": "all of these",
    "intensity": "kept multiply-adds / bytes",
    "roofline_ms": "the longer of arithmetic and memory at the device's peak rates",
    "tile_filters": "output channels of a work-item's tile",
    "tile_pixels": "pixels of a work-item's tile",
    "pixel_padding": "computed pixels / pixels: tails of vectors and tiles",
    "filter_padding": "computed channels / channels: tails of filter blocks",
    "slice_padding": "multiply-adds with channels rounded up to 4 / without",
    "slices_in": "slices of 4 input channels",
    "slices_out": "slices of 4 output channels",
    **{f"slices_in_mod{number}": f"slices_in modulo {number}" for number in (2, 4)},
    **{f"slices_out_mod{number}": f"slices_out modulo {number}" for number in (2, 4, 8)},
    "volume_in": "slices_in x output pixels",
    "volume_out": "slices_out x output pixels",
    "slice_products": "slices_in x slices_out",
    "widening": "output channels / input channels",
    "surplus": "input rows that no output row needs: those a stride skips, or padding done by another op",
    "grid_columns": "tiles along a row",
    "grid_rows": "tiles down the output",
    "grid_blocks": "blocks of filters",
    "grid_plane": "tiles of all pixels",
    **{f"grid_columns_mod{number}": f"grid_columns modulo {number}" for number in (4, 8)},
    "grid_rows_mod4": "grid_rows modulo 4",
    "grid_plane_mod16": "grid_plane modulo 16",
    "grid_blocks_mod4": "grid_blocks modulo 4",
    "padding_4x4": "tiles in work-groups of 4x4 / tiles",
    "padding_8x2": "tiles in work-groups of 8x2 / tiles",
    "padding_32": "tiles in waves of 32 / tiles",
    "work_items": "work-items",
    "items_per_core": "work-items / core",
    "item_macs": "multiply-adds of one work-item",
    "waves": "turns a core takes, in waves of work-items, rounded up",
    "wave_macs": "waves x multiply-adds of one work-item: the longest core's work",
    "imbalance": "work of the longest core / of the mean core",
    "loads_input": "input elements loaded by all tiles",
    "loads_weights": "weights loaded by all tiles",
    "reuse": "multiply-adds / element loaded by the tiles",
    "depth": "multiply-adds per output element that are left, at least one",
    "root_work": "square root of depth x output elements",
    "steps_volume": "steps of the epilogue x output elements",
    "smooth_volume": "smooth_steps x output elements",
    "item_weights": "bytes of weights / work-items",
    **{f"items_{least}": f"item_macs x work_items, counting at least {least} of them" for least in IN_FLIGHT},
    **{f"outputs_{least}": f"depth x output elements / 4, counting at least {least} of them" for least in IN_FLIGHT},
    "winograd_legal": "whether a Winograd transform can compute it",
    "winograd_tiles": "tiles of that transform",
    "winograd_macs": "multiply-adds of its products",
    "kept": "fraction of the weights a kernel multiplies by",
    "zeros": "wanted fraction of zeros of the sparsity, 0 of a dense layer",
    "block_filters": "filters of a block of the sparsity, 0 of a dense layer",
    "block_channels": "channels of a block, 0 of a dense layer",
    "filter_groups": "filter groups of the sparsity, 0 of a dense layer",
    "group_units": "units a filter group keeps, 0 of a dense layer",
    "free": "filter groups may differ in length",
    "skips_zeros": "the kernel is a sparse one",
    "addends": "tensors the epilogue adds",
    "steps": "steps of the epilogue",
    "smooth_steps": "steps of the epilogue that take more than a comparison or a sum",
    "half": "elements are of half precision",
    **{f"class_{name}": f"the kernel is of class {name}" for name in CLASSES},
    **{f"config_{name}": f"field {name} of the schedule's configuration" for name in CONFIG},
}
NAMES = tuple(COLUMNS)


def extract(samples: Sequence[Sample], hardware: Hardware) -> np.ndarray:
    """The features of `samples`: float64 (samples, columns), NaN where a configuration lacks a field."""
    rows = [_row(sample, hardware) for sample in samples]
    return np.array(rows, np.float64).reshape(len(rows), len(NAMES))


def _row(sample: Sample, hardware: Hardware) -> list[float]:
    work = count(sample, hardware)
    values = {
        **_shape(sample, work),
        **_slices(sample),
        **_amounts(sample, work, hardware),
        **_grid(work),
        **_occupancy(sample, work),
        **_parallelism(work, hardware),
        **_sparsity(sample, work),
        **_kernel(sample),
    }
    return [values[name] for name in NAMES]  # a column that is not computed is a KeyError in every test


def _shape(sample: Sample, work: Work) -> dict[str, float]:
    layer = sample.layer
    cin, h_in, _ = layer.in_shapes[0]
    cout, h_out, w_out = layer.out_shape
    return {
        "cin": cin,
        "cout": cout,
        "group_channels": work.channels,
        "h_in": h_in,
        "h_out": h_out,
        "w_out": w_out,
        "out_pixels": work.out_pixels,
        "taps": work.taps,
        "stride": layer.stride[1],
        "dilation": layer.dilation[1],
        "padding": layer.padding[1],
        "groups": layer.groups,
        "log_volume": log(prod(layer.out_shape)),
        "winograd_legal": winograd_legal(layer),
        "addends": len(layer.inputs) - layer.operands,
        "steps": len(layer.epilogue),
        "half": sample.dtype == "float16",
    }


def _slices(sample: Sample) -> dict[str, float]:
    """Channels in vectors of 4, as most phone kernels hold them; remainders, since trees cannot find those."""
    layer = sample.layer
    (cin, h_in, _), (cout, h_out, w_out) = layer.in_shapes[0], layer.out_shape
    slices_in, slices_out, pixels = ceil(cin / 4), ceil(cout / 4), h_out * w_out
    return {
        "slices_in": slices_in,
        "slices_out": slices_out,
        **{f"slices_in_mod{number}": slices_in % number for number in (2, 4)},
        **{f"slices_out_mod{number}": slices_out % number for number in (2, 4, 8)},
        "volume_in": slices_in * pixels,
        "volume_out": slices_out * pixels,
        "slice_products": slices_in * slices_out,
        "widening": cout / cin,
        "surplus": h_in - ((h_out - 1) * layer.stride[0] + layer.dilation[0] * (layer.kernel[0] - 1) + 1),
    }


def _grid(work: Work) -> dict[str, float]:
    """Tiles along each axis, and what whole work-groups of common shapes waste on them."""
    across, down, blocks = work.grid
    plane = across * down
    return {
        "grid_columns": across,
        "grid_rows": down,
        "grid_blocks": blocks,
        "grid_plane": plane,
        "grid_columns_mod4": across % 4,
        "grid_columns_mod8": across % 8,
        "grid_rows_mod4": down % 4,
        "grid_plane_mod16": plane % 16,
        "grid_blocks_mod4": blocks % 4,
        "padding_4x4": _rounded(across, 4) * _rounded(down, 4) / plane,
        "padding_8x2": _rounded(across, 8) * _rounded(down, 2) / plane,
        "padding_32": _rounded(plane, 32) / plane,
    }


def _occupancy(sample: Sample, work: Work) -> dict[str, float]:
    """Work as it takes part in the baseline's sums: idle work-items counted, epilogues by what they touch."""
    layer, volume = sample.layer, prod(sample.layer.out_shape)
    depth = max(1.0, work.channels * work.taps * work.kept)
    smooth = sum(step.kind not in SIMPLE_STEPS for step in layer.epilogue)
    return {
        "depth": depth,
        "root_work": sqrt(depth * volume),
        "steps_volume": len(layer.epilogue) * volume,
        "smooth_steps": smooth,
        "smooth_volume": smooth * volume,
        "item_weights": work.bytes_weights / work.work_items,
        **{f"items_{least}": work.item_macs * max(work.work_items, least) for least in IN_FLIGHT},
        **{f"outputs_{least}": depth * max(volume / 4, least) for least in IN_FLIGHT},
    }


def _rounded(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def _amounts(sample: Sample, work: Work, hardware: Hardware) -> dict[str, float]:
    """Multiply-adds and bytes, and what they take at peak rates."""
    names = ("macs", "macs_kept", "macs_slices", "macs_tiles", "loads_input", "loads_weights")
    parts = ("bytes_in", "bytes_out", "bytes_weights", "bytes_index", "bytes_addends", "bytes_scratch")
    values = {name: getattr(work, name) for name in (*names, *parts, "winograd_tiles", "winograd_macs")}
    total = sum(values[name] for name in parts)
    useful = work.winograd_macs if "winograd" in sample.kernel else work.macs_kept
    arithmetic, memory = 2e-6 * useful / hardware.gflops, 1e-6 * total / hardware.gbytes_per_sec
    return {
        **values,
        "bytes_all": total,
        "intensity": work.macs_kept / total,
        "roofline_ms": max(arithmetic, memory),
        "slice_padding": work.macs_slices / work.macs_kept if work.macs_kept else 1.0,
        "reuse": work.macs_kept / (work.loads_input + work.loads_weights),
    }


def _parallelism(work: Work, hardware: Hardware) -> dict[str, float]:
    at_once = hardware.cores * (max(hardware.wave, LEAST_WAVE) if hardware.wave > 1 or hardware.cores == 1 else 1)
    waves = ceil(work.work_items / at_once)
    return {
        "tile_filters": work.tile_filters,
        "tile_pixels": work.tile_pixels,
        "pixel_padding": work.pixel_padding,
        "filter_padding": work.filter_padding,
        "work_items": work.work_items,
        "items_per_core": work.work_items / hardware.cores,
        "item_macs": work.item_macs,
        "waves": waves,
        "wave_macs": waves * work.item_macs,
        "imbalance": waves * at_once / work.work_items,
    }


def _sparsity(sample: Sample, work: Work) -> dict[str, float]:
    sparsity = sample.sparsity
    dense = sparsity is None or sample.layer.op != "conv"
    values = dict.fromkeys(("zeros", "block_filters", "block_channels", "filter_groups", "group_units", "free"), 0.0)
    if sparsity is not None and not dense:
        shape = sample.layer.weight_shape
        groups, units = sparsity.groups(shape), sparsity.kept_units(shape)
        values = {
            "zeros": sparsity.zeros,
            "block_filters": sparsity.block[0],
            "block_channels": sparsity.block[1],
            "filter_groups": groups,
            "group_units": units if sparsity.balanced else units / groups,
            "free": not sparsity.balanced,
        }
    return {**values, "kept": work.kept, "skips_zeros": reads_sparsity(sample.kernel)}


def _kernel(sample: Sample) -> dict[str, float]:
    config = sample.config
    return {
        "one": 1.0,
        "grids": sample.grids,
        **{f"class_{name}": sample.kernel == name for name in CLASSES},
        **{f"config_{name}": config.get(name, float("nan")) for name in CONFIG},
    }
