"""The one feature extractor: samples to a matrix whose every column is named, described and versioned.

The baseline takes its physical terms from these columns and the trees take all of them, so the two cannot disagree. A
saved predictor lists `latency.cost_model.feature_names`, and is refused where they differ from what is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, prod, sqrt

import numpy as np

from latency.cost_model.feature_names import CLASSES, CONFIG, IN_FLIGHT, NAMES
from latency.cost_model.work_counts import Work, count, reads_sparsity
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample
from models.graph.index_map import IndexMap
from models.graph.layer import Layer

#: a work-group's worth of work-items where waves are counted on devices that run them one by one or in small steps
LEAST_WAVE = 64

#: steps of an epilogue that cost next to nothing
SIMPLE_STEPS = ("add", "relu", "relu6", "leaky_relu", "hardtanh")


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
        **_combining(sample.layer),
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
        "winograd_legal": layer.winograd_legal,
        "addends": len(layer.inputs) - layer.operands,
        "steps": len(layer.epilogue),
        "half": sample.dtype == "float16",
        "wide_sums": sample.widened != "",
        "wide_products": sample.widened == "products",
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
        "padding_4x4": _round_up(across, 4) * _round_up(down, 4) / plane,
        "padding_8x2": _round_up(across, 8) * _round_up(down, 2) / plane,
        "padding_32": _round_up(plane, 32) / plane,
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


def _round_up(value: int, step: int) -> int:
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
        "macs_wide_sums": useful if sample.widened == "sums" else 0.0,
        "macs_wide_products": useful if sample.widened == "products" else 0.0,
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
        **_work_groups(work, hardware),
        "depth_step": work.depth_step,
    }


def _work_groups(work: Work, hardware: Hardware) -> dict[str, float]:
    """What the last work-groups of a core and the last work-items of a work-group leave idle."""
    groups, wave, items = work.work_groups, max(1, hardware.wave), prod(work.grid)
    turns, padded = ceil(groups.count / hardware.cores), _round_up(groups.items, wave)
    return {
        "group_items": groups.items,
        "group_depth": groups.depth,
        "work_groups": groups.count,
        "group_turns": turns,
        "turn_macs": turns * padded * work.item_macs,
        "turn_loads": turns * padded * (work.loads_input + work.loads_weights) / work.work_items,
        "turn_padding": turns * hardware.cores * padded / items,
        "group_padding": groups.count * padded / items,
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


def _combining(layer: Layer) -> dict[str, float]:
    """What layers do that are no convolutions: combine elements, move them, multiply tensors."""
    volume, combined, cells = prod(layer.out_shape), 0, 0
    if layer.reduction is not None:
        combined = layer.reduction.count(layer.in_shapes[0])
        cells = prod(layer.in_shapes[0]) // combined
    elif layer.op in ("max_pool", "avg_pool"):
        combined = prod(layer.kernel)
    product = layer.product
    return {
        "combined": combined,
        "cells": cells,
        "exponentials": volume if layer.op == "softmax" else 0,
        "seams": sum(_seams(move.index_map) for move in layer.moves),
        "apart": product is not None and product.right.steps[-2] != (0, 0, 1),
    }


def _seams(index_map: IndexMap) -> int:
    """Elements of a map whose source does not follow that of their left neighbour; the first of each row is one."""
    *others, row = index_map.tables()
    breaks = 1 + int((np.diff(row) != 1).sum())
    return breaks * prod(len(table) for table in others)


def _kernel(sample: Sample) -> dict[str, float]:
    config = sample.config
    return {
        "one": 1.0,
        "grids": sample.grids,
        **{f"class_{name}": sample.kernel == name for name in CLASSES},
        **{f"config_{name}": config.get(name, float("nan")) for name in CONFIG},
    }
