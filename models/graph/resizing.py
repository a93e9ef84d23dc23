"""What each output position of a resize reads along an axis, for every mode, as torch.nn.functional.interpolate has it.

A resize is linear and separable: output position i of an axis is the sum of weight x input over a few positions. Cubic
weights are those of Keys 1981 with a = -0.75, with antialiasing -0.5, as in torch.
"""

from __future__ import annotations

import numpy as np
import torch

from models.graph.layer import Layer

#: every mode, and the factor a of its cubic polynomial where it has one
MODES: dict[str, float | None] = {
    "nearest": None,
    "nearest_exact": None,
    "bilinear": None,
    "bicubic": -0.75,
    "bilinear_antialias": None,
    "bicubic_antialias": -0.5,
}


def resize_taps(layer: Layer, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Along an axis (0: rows, 1: columns), the input positions that each output position reads, and their weights.

    Returns:
        int64 (outputs, taps) and float64 (outputs, taps); a position may come twice.
    """
    extent, outputs = layer.in_shapes[0][1 + axis], layer.out_shape[1 + axis]
    positions = np.arange(outputs)
    if layer.mode in ("nearest", "nearest_exact"):
        # in float32, whatever the tensor's type: 11 x (26 / 22) is 12 in torch
        half, step = np.float32(0.5 if layer.mode == "nearest_exact" else 0.0), np.float32(_step(layer, axis))
        places, weights = np.floor((positions[:, None].astype(np.float32) + half) * step), np.ones((outputs, 1))
    elif layer.mode.endswith("antialias"):
        places, weights = _antialias(layer, axis)
    else:
        places, weights = _between(layer, axis)
    return places.astype(np.int64).clip(0, extent - 1), weights


def reads_whole_fractions(layer: Layer) -> bool:
    """Whether a nearest output reads floor(position x extent / outputs), in whole numbers, along both axes."""
    sizes = zip(layer.in_shapes[0][1:], layer.out_shape[1:], strict=True)
    return all(
        np.array_equal(resize_taps(layer, axis)[0][:, 0], np.arange(outputs) * extent // outputs)
        for axis, (extent, outputs) in enumerate(sizes)
    )


def _step(layer: Layer, axis: int) -> float:
    """Input positions from one output position to the next."""
    extent, outputs = layer.in_shapes[0][1 + axis], layer.out_shape[1 + axis]
    if layer.align_corners:
        return (extent - 1) / (outputs - 1) if outputs > 1 else 0.0
    return layer.scale[axis] or extent / outputs


def _between(layer: Layer, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear and bicubic: the positions around the output's."""
    positions, step = np.arange(layer.out_shape[1 + axis]), _step(layer, axis)
    source = positions * step if layer.align_corners else (positions + 0.5) * step - 0.5
    factor = MODES[layer.mode]
    if factor is None:
        source = source.clip(0, layer.in_shapes[0][1 + axis] - 1)
        around = np.array([0, 1])
    else:
        around = np.array([-1, 0, 1, 2])
    places = np.floor(source)[:, None] + around
    distance = np.abs(source[:, None] - places)
    return places, _triangle(distance) if factor is None else _cubic(distance, factor)


def _antialias(layer: Layer, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The filter of bilinear or bicubic widened to the step where the output is the smaller, its weights made to sum to
    1."""
    extent, positions, step = layer.in_shapes[0][1 + axis], np.arange(layer.out_shape[1 + axis]), _step(layer, axis)
    factor, wide = MODES[layer.mode], max(step, 1.0)
    support = wide * (1.0 if factor is None else 2.0)
    centre = positions * step + (0.5 * step)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), extent)
    places = first[:, None] + np.arange(int((last - first).max()))
    distance = np.abs(places - centre[:, None] + 0.5) / wide
    weights = (_triangle(distance) if factor is None else _cubic(distance, factor)) * (places < last[:, None])
    return places, weights / weights.sum(axis=1, keepdims=True)


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - distance, 0)


def _cubic(distance: np.ndarray, factor: float) -> np.ndarray:
    near = ((factor + 2) * distance - (factor + 3)) * distance**2 + 1
    far = factor * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def run_resize(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """A "resize", without its epilogue."""
    for axis in (0, 1):
        places, weights = resize_taps(layer, axis)
        matrix = np.zeros((layer.out_shape[1 + axis], layer.in_shapes[0][1 + axis]))
        np.add.at(matrix, (np.arange(len(places))[:, None], places), weights)
        x = torch.tensordot(x, torch.from_numpy(matrix).to(x), dims=([2 + axis], [1])).movedim(-1, 2 + axis)
    return x
