"""Which speed-ups a frontier is made of: those that were asked for, or, for "auto", up to all that is in reach."""

from __future__ import annotations

import math

import numpy as np

from fleetpose.errors import UsageError
from fleetpose.options import real
from latency.planning.choosing import choose_fastest
from latency.planning.options import NetworkOptions

#: what stands for speed-ups that are chosen by the network's own options
AUTO = (0.0,)
#: how many these are, the least of them, and what they are rounded to
POINTS, LEAST, STEP = 4, 1.15, 0.05


def parse_speedup(text: str) -> float:
    """ "1.5" -> 1.5, and "auto" -> AUTO's; for argparse's `type`, whose errors it raises."""
    if text.strip() == "auto":
        return AUTO[0]
    return real(above=1)(text.strip().removesuffix("x"))


def check_speedups(speedups: tuple[float, ...]) -> None:
    """Raise UsageError for what is no frontier; () is none."""
    if speedups == AUTO:
        return
    if AUTO[0] in speedups:
        raise UsageError("--frontier auto stands alone; give either it or speed-ups")
    for value in speedups:
        if not (math.isfinite(value) and value > 1):
            raise UsageError(f"--frontier {value:g}: a speed-up is above 1")
    if len(set(speedups)) < len(speedups):
        raise UsageError(f"--frontier {' '.join(f'{value:g}' for value in speedups)}: a speed-up stands there twice")


def speedups_of(network: NetworkOptions, asked: tuple[float, ...]) -> tuple[float, ...]:
    """The speed-ups that were asked for, ascending; of AUTO those from LEAST to the most that is predicted, in equal
    factors."""
    if asked != AUTO:
        return tuple(sorted(asked))
    most = network.total(network.dense).ms / network.total(choose_fastest(network)).ms
    steps = np.geomspace(LEAST, most, POINTS) if most > LEAST else np.array([most])
    rounded = dict.fromkeys(round(STEP * math.floor(value / STEP + 1e-6), 4) for value in steps)
    return tuple(value for value in rounded if value > 1) or (1 + STEP,)
