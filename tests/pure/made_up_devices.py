"""Layers and devices that are made up for tests of the latency model: times by a formula, with noise."""

from collections.abc import Sequence

import numpy as np

from latency.dataset.sample import Sample
from models.graph.layer import Layer


def layers(count: int, seed: int = 0) -> list[Layer]:
    """Convolutions of several sizes, all different."""
    random, found = np.random.default_rng(seed), {}
    while len(found) < count:
        cin, cout = (int(random.integers(2, 33)) * 8 for _ in range(2))
        size, kernel = int(random.integers(6, 60)), int(random.choice([1, 3]))
        shape, half = (cout, size, size), kernel // 2
        layer = Layer("", "conv", ("",), ((cin, size, size),), shape, (kernel, kernel), padding=(half, half), bias=True)
        found[repr(layer)] = layer
    return list(found.values())


def device(
    name: str, made_of: Sequence[Layer], slow: float = 1.0, small: float = 1.0, noise: float = 0.02, gpu: str = "Adreno"
) -> list[Sample]:
    """The samples of one device: arithmetic `slow` times, and kernels of one pixel `small` times as long as usual."""
    random, found = np.random.default_rng(abs(hash((slow, small))) % 2**32), []
    for layer in made_of:
        elements = float(sum(np.prod(shape) for shape in (*layer.in_shapes, layer.out_shape)))
        pixel = layer.kernel == (1, 1)
        ms = 0.02 + slow * 2e-8 * layer.macs * (small if pixel else 1.0) + slow * 2e-7 * elements
        kernel = "pointwise" if pixel else "direct"
        ms *= float(np.exp(random.normal(0, noise)))
        found.append(Sample(layer, kernel, ms=ms, framework="tvm", device=name, gpu=gpu))
    return found
