"""What a learner sees of a configuration of a TVM template: its tile and work-groups beside the layer's extents.

Numbers are ratios and logarithms, so that what was learnt of one layer says something of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log, log2, nan, prod

from latency.dataset.sample import Sample
from latency.dataset.tvm_kernels import split_numbers

AXES = ("filters", "rows", "columns")
#: a configuration's knobs that are words -> numbers; how many of them a template has at most
ANNOTATIONS, MOST_ANNOTATIONS = {"none": 0.0, "unroll": 1.0, "vec": 2.0}, 5
#: work-items that every phone's GPU runs together
WAVE = 64
ITEM_BYTES = {"float16": 2, "float32": 4}
VECTOR_BYTES = 16


def columns(sample: Sample, schedule: str, knobs: Mapping[str, str]) -> list[float]:
    """The columns of one configuration; what its template has no knob for is NaN."""
    layer, config = sample.layer, sample.config
    extents = dict(zip(AXES, layer.out_shape, strict=True))
    tile = {axis: config.get(axis, 1.0) for axis in AXES}
    group = {axis: config.get(f"group_{axis}", 1.0) for axis in AXES}
    tiles = {axis: ceil(extents[axis] / tile[axis]) for axis in AXES}
    groups = {axis: ceil(tiles[axis] / group[axis]) for axis in AXES}
    outputs, items = prod(tile.values()), prod(group.values())
    work_groups = prod(groups.values())
    channels = layer.in_shapes[0][0] // layer.groups
    return [
        log(channels), log(layer.out_shape[0]), log(prod(layer.out_shape[1:])), float(prod(layer.kernel)),
        float(layer.stride[0]), log(layer.macs),
        log(outputs), log(items), log(work_groups), log(items * work_groups),
        prod(tiles[axis] * tile[axis] / extents[axis] for axis in AXES),
        prod(groups[axis] * group[axis] / tiles[axis] for axis in AXES),
        1 / tile["filters"] + 1 / (tile["rows"] * tile["columns"]),
        *(log2(tile[axis]) for axis in AXES), *(log2(group[axis]) for axis in AXES),
        *(log2(tile[axis] / extents[axis]) for axis in AXES),
        *(log2(group[axis] * tile[axis] / extents[axis]) for axis in AXES),
        items / (ceil(items / WAVE) * WAVE), min(items, WAVE),
        outputs * ITEM_BYTES[sample.dtype] / VECTOR_BYTES,
        *_loop(knobs, outputs, channels), *_annotations(knobs),
        float(config.get("texture", 0.0)), float(sample.dtype == "float32"), float(sample.widened != ""),
        *(float(name in schedule) for name in ("image2d", "spatial_pack", "KCRSk")),
    ]  # fmt: skip


def _loop(knobs: Mapping[str, str], outputs: float, channels: int) -> list[float]:
    """How the sum is cut and unrolled: steps along channels and the kernel, the body beside what is unrolled."""
    steps = [_last(knobs, names) for names in (("tile_rcc", "tile_rc"), ("tile_ry",), ("tile_rx",))]
    body = outputs * prod(1.0 if step != step else step for step in steps)
    most = _last(knobs, ("auto_unroll_max_step",))
    repeats = prod(
        numbers[0] for numbers in map(split_numbers, (knobs.get(name, "") for name in _SPLITS)) if len(numbers) == 3
    )
    across = steps[0] * 4 / channels
    return [
        log2(repeats), log2(steps[0]), log2(across), steps[1], steps[2], log2(body), most,
        nan if most != most else float(most >= body), log2((most + 1) / body),
        _last(knobs, ("unroll_explicit",)),
    ]  # fmt: skip


#: knobs of the templates that are made like CUDA's, whose first part repeats a work-group's work
_SPLITS = ("tile_fc", "tile_f", "tile_y", "tile_x")


def _last(knobs: Mapping[str, str], names: tuple[str, ...]) -> float:
    """The innermost part of the first of these knobs that there is; NaN where there is none."""
    numbers = next((split_numbers(knobs[name]) for name in names if name in knobs), ())
    return float(numbers[-1]) if numbers else nan


def _annotations(knobs: Mapping[str, str]) -> list[float]:
    """What is unrolled or vectorised of TVM's templates for Mali, and whether the order of its loops is the second."""
    words = [word for name in ("ann_reduce", "ann_spatial") for word in knobs.get(name, "").split("x") if word]
    values = [ANNOTATIONS.get(word, -1.0) for word in words[:MOST_ANNOTATIONS]]
    order = knobs.get("reorder_0", "")
    swapped = float(order.endswith("9x7x8")) if order else nan
    return [*values, *[nan] * (MOST_ANNOTATIONS - len(values)), swapped]
