"""What annotated views teach: heatmaps, part-affinity fields, and where they count; NumPy alone.

Heatmaps: Gaussians of 7 px, summed and clipped at 1, and the background, 1 - their maximum. Fields: unit vectors within
one cell of a limb, averaged where limbs cross (Cao et al. 2017; Osokin 2018).
"""

from __future__ import annotations

import numpy as np

from models.pose.synthetic import render_fields


def target_maps(people: np.ndarray, cells: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps (19, cells, cells) and part-affinity fields (38, cells, cells), float32.

    Args:
        people: (P, 18, 2) crop pixels, integers at pixel centres; NaN where not there.
        cells: side of the maps.
        stride: pixels per cell; cell i covers the pixels [i * stride, (i + 1) * stride).
    """
    maps = render_fields((people + 0.5) / stride - 0.5, (cells, cells), 0.0, np.random.default_rng(0))
    return maps["heatmaps"], maps["pafs"]
