"""How fast a recovery goes, by how much of its time is over."""

from __future__ import annotations

import math

#: of the time, in which the rate rises to its height
WARM_UP = 0.03


def rate_at(progress: float, highest: float) -> float:
    """The rate after a fraction of the time: a short rise, then half a cosine down to nothing."""
    rise = min(1.0, (progress + 1e-3) / WARM_UP)
    return highest * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
