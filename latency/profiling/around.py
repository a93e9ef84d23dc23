"""Layers around those of networks: a space-filling sample, so that a model also knows what lies between networks.

A point of a scrambled Sobol sequence is a layer: one of the networks' convolutions with its channels and size scaled,
perhaps another kernel, stride, dilation or grouping, and a few sparsities. The same seed gives the same layers, and the
first N of a longer sample are the sample of N.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from scipy.stats import qmc

from codegen.lowering.layer import standalone_planes
from devices.profile import Profile
from latency.profiling.space import Group
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity

#: channels and sides are scaled by a factor from 1 / SCALE to SCALE
SCALE = 2.0
#: sparse variants of a sampled layer
VARIANTS = 3
KERNELS = (1, 3, 5, 7)
PATTERNS = ("columns", "block_punched", "connectivity", "pattern")
FILTERS, CHANNELS = (2, 4, 8, 16), (1, 2, 4, 8)
ZEROS = (0.3, 0.95)
#: how often kernel, stride, dilation and grouping are others than the network's own
OTHERWISE = 0.3
_LAYER_AXES, _VARIANT_AXES = 11, 4
_POINTS = 128  # drawn at a time: Sobol's are balanced by powers of two


def sample_around(
    groups: Sequence[Group],
    count: int,
    profile: Profile,
    dtypes: Sequence[str] = ("float32",),
    seed: int = 0,
) -> list[Group]:
    """`count` layers around the convolutions of `groups`, each dense and under VARIANTS sparsities or fewer.

    None has more multiply-adds than the largest of `groups`. Their planes are those of a layer outside a network.
    Without a convolution among `groups` there is nothing to sample around: [].
    """
    bases = [group.workload.layer for group in groups if group.workload.layer.convolves]
    if not bases:
        return []
    known = {group.key for group in groups}
    return list(islice(_distinct(bases, profile, dtypes, seed, known), count))


def _distinct(
    bases: Sequence[Layer], profile: Profile, dtypes: Sequence[str], seed: int, known: set[tuple]
) -> Iterator[Group]:
    most = max(base.macs for base in bases)
    engine = qmc.Sobol(_LAYER_AXES + VARIANTS * _VARIANT_AXES, scramble=True, seed=seed)
    while True:
        for point in engine.random(_POINTS):
            layer = sampled_layer(bases, point[:_LAYER_AXES])
            dtype = _pick(dtypes, point[9])
            border = (1, 1) if point[10] < 0.5 else (0, 0)
            dense = standalone_planes(layer, profile.lanes_of(dtype), border, dtype)
            group = Group(dense, _sparsities(layer, point[_LAYER_AXES:]))
            if layer.macs <= most and group.key not in known:
                known.add(group.key)
                yield group


def sampled_layer(bases: Sequence[Layer], point: np.ndarray) -> Layer:
    """The convolution that a point of the unit cube means: base, input and output channels, height, aspect, then
    kernel, stride, dilation and grouping, each the base's own unless the coordinate is below OTHERWISE.
    """
    base = _pick(bases, point[0])
    (channels, height, width), filters = base.in_shapes[0], base.out_shape[0]
    channels, filters = (_scale(size, at) for size, at in zip((channels, filters), point[1:3], strict=True))
    height = _scale(height, point[3])
    width = max(1, round(height * width / base.in_shapes[0][1] * 2 ** (point[4] - 0.5)))
    side = _otherwise(KERNELS, base.kernel[0], point[5])
    stride = _otherwise((1, 2), base.stride[0], point[6])
    dilation = _otherwise((1, 2), base.dilation[0], point[7]) if side > 1 else 1
    was_depthwise = 1 < base.groups == base.in_shapes[0][0]
    depthwise = was_depthwise != (point[8] < OTHERWISE / 4)
    groups = channels if depthwise else 1 if was_depthwise else base.groups
    if depthwise:
        filters = channels
    elif groups > 1:
        channels, filters = (groups * max(1, round(size / groups)) for size in (channels, filters))
    padding = dilation * (side - 1) // 2
    rows, columns = ((size - 1) // stride + 1 for size in (height, width))
    out_shape = (filters, rows, columns)
    names = tuple(f"in{number}" for number in range(len(base.inputs)))
    return Layer(
        "sampled", "conv", names, ((channels, height, width), *[out_shape] * (len(names) - 1)), out_shape,
        (side, side), (stride, stride), (padding, padding), (dilation, dilation), groups,
        bias=base.bias, epilogue=base.epilogue,
    )  # fmt: skip


def _sparsities(layer: Layer, point: np.ndarray) -> tuple[Sparsity | None, ...]:
    chosen: dict[Sparsity | None, None] = {None: None}
    for at in point.reshape(-1, _VARIANT_AXES):
        pattern = _pick(PATTERNS if layer.kernel == (3, 3) else PATTERNS[:2], at[0])
        zeros = round(ZEROS[0] + (ZEROS[1] - ZEROS[0]) * at[1], 2)
        block = (_pick(FILTERS, at[2]), 1 if pattern == "columns" else _pick(CHANNELS, at[3]))
        if pattern == "pattern":
            sparsity = Sparsity(pattern, max(zeros, 0.56), patterns=8)
        else:
            sparsity = Sparsity(pattern, zeros, block)
        if sparsity.applies_to(layer) is None:
            chosen[sparsity] = None
    return tuple(chosen)


def _scale(size: int, at: float) -> int:
    return max(1, round(size * math.exp((2 * at - 1) * math.log(SCALE))))


def _pick(choices: Sequence[Any], at: float) -> Any:
    return choices[min(int(at * len(choices)), len(choices) - 1)]


def _otherwise(choices: Sequence[int], own: int, at: float) -> int:
    return _pick(choices, at / OTHERWISE) if at < OTHERWISE else own
