"""Choosing variants: thresholds, break-even, and assignments against trying everything."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from fleetpose.errors import UsageError
from latency.planning.assignment import (
    LayerOptions,
    allowed_options,
    break_even,
    fastest,
    within_loss,
    within_time,
)
from latency.planning.gains import KernelOption
from latency.planning.reasons import DenseKind, Reason
from models.plans.sparsity import Sparsity


def sure(ms: float, kept: float = 1.0, loss: float = 0.0, wide: float = 1.0, **more) -> KernelOption:
    sparsity = Sparsity("columns", 1 - kept, (8, 1)) if kept < 1 else None
    return KernelOption(ms, ms / wide, ms * wide, sparsity, kept, loss, **more)


def random_layers(seed: int, count: int = 5) -> list[LayerOptions]:
    random = np.random.default_rng(seed)
    layers = []
    for number in range(count):
        dense = sure(float(random.uniform(1, 5)))
        variants = [
            sure(dense.ms * kept * float(random.uniform(0.8, 1.6)), kept, (1 - kept) * float(random.uniform(0.5, 2)))
            for kept in (0.5, 0.25, 0.125)
        ]
        layers.append(LayerOptions(f"l{number}", dense, tuple(variants), "an output" if number == 0 else ""))
    return layers


def test_option_speedup_has_an_interval():
    speedup = sure(1, 0.5, wide=1.1).speedup_over(sure(2, wide=1.2))
    half = math.hypot(math.log(1.1), math.log(1.2))
    assert speedup == pytest.approx((2, 2 * math.exp(-half), 2 * math.exp(half)))
    assert speedup.shares == pytest.approx((0.5, 0.5 * math.exp(-half), 0.5 * math.exp(half)))
    assert speedup.interval == speedup[1:]
    assert replace(sure(1), low=0.0, high=math.inf).speedup_over(sure(2)).interval is None


def test_break_even_lies_between_the_options():
    # 1.2 ms with half kept and 0.7 with a quarter: 1.0 ms at 0.4 kept
    layer = LayerOptions("l", sure(1.0), (sure(1.2, 0.5), sure(0.7, 0.25)))
    assert break_even(layer) == pytest.approx(1 / 0.4)
    assert break_even(LayerOptions("l", sure(0.5), layer.variants)) is None
    # 0.5 and 0.3 ms: 1.0 ms would be reached beyond everything kept
    assert break_even(LayerOptions("l", sure(1.0), (sure(0.5, 0.5), sure(0.3, 0.25)))) == pytest.approx(1.0)
    assert break_even(LayerOptions("l", sure(1.0))) is None


def test_options_that_lose_on_both_counts_are_dropped():
    layer = LayerOptions("l", sure(1.0), (sure(0.5, 0.5, 1.0), sure(0.6, 0.25, 2.0), sure(0.3, 0.125, 3.0)))
    assert [option.ms for option in allowed_options(layer)] == [1.0, 0.5, 0.3]
    assert allowed_options(
        LayerOptions("l", sure(1.0), layer.variants, fixed=Reason(DenseKind.FIRST, "few weights"))
    ) == [layer.dense]


@pytest.mark.parametrize("seed", range(8))
def test_assignment_is_the_best_of_all(seed):
    layers = random_layers(seed)
    every = list(itertools.product(*(allowed_options(layer) for layer in layers)))
    dense_ms = sum(layer.dense.ms for layer in layers)
    least_ms = sum(option.ms for option in fastest(layers))
    target = (dense_ms + least_ms) / 2
    chosen = within_time(layers, target)
    assert sum(option.ms for option in chosen) <= target + 1e-6
    best = min(sum(o.loss for o in each) for each in every if sum(o.ms for o in each) <= target)
    assert sum(option.loss for option in chosen) == pytest.approx(best)
    assert chosen[0].sparsity is None
    limit = 0.5 * sum(option.loss for option in fastest(layers))
    chosen = within_loss(layers, limit)
    assert sum(option.loss for option in chosen) <= limit + 1e-6
    best = min(sum(o.ms for o in each) for each in every if sum(o.loss for o in each) <= limit)
    assert sum(option.ms for option in chosen) == pytest.approx(best)


def test_a_target_out_of_reach_says_what_is_in_reach():
    layers = random_layers(0)
    with pytest.raises(UsageError, match=r"the fastest whose gain is sure enough take \d"):
        within_time(layers, 0.01)


def test_no_loss_allowed_leaves_everything_dense():
    assert all(option.sparsity is None for option in within_loss(random_layers(1), 0.0))
