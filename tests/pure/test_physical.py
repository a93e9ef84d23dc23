"""The physical baseline: what a class of kernel learns from others, and what it does not."""

import numpy as np

from latency.cost_model.feature_names import NAMES
from latency.cost_model.physical import MOVING_TERMS, TERMS, TRANSFERS, PhysicalModel

LAUNCH_MS, BYTE_MS, ITEM_MS = 0.01, 2e-7, 1e-3


def rows(count: int, seed: int) -> np.ndarray:
    """Features of `count` kernels of one grid that read and write some bytes with some work-items."""
    random, table = np.random.default_rng(seed), np.zeros((count, len(NAMES)))
    table[:, NAMES.index("one")] = 1
    for name, most in (("bytes_in", 5e5), ("work_items", 2000)):
        table[:, NAMES.index(name)] = random.uniform(1, most, count)
    return table


def times(table: np.ndarray, item_ms: float) -> np.ndarray:
    values = [table[:, NAMES.index(name)] for name in ("one", "bytes_in", "work_items")]
    return LAUNCH_MS * values[0] + BYTE_MS * values[1] + item_ms * values[2]


def test_terms_of_moving_kernels_are_terms():
    assert set(TRANSFERS) < set(MOVING_TERMS) < set(TERMS)


def test_kernels_that_multiply_nothing_do_not_take_the_cost_of_a_convolutions_work_items():
    convolutions, copies = rows(200, 0), rows(50, 1)
    model = PhysicalModel.fit(convolutions, ["direct"] * 200, times(convolutions, ITEM_MS))
    assert np.allclose(model.predict(convolutions, ["direct"] * 200), times(convolutions, ITEM_MS), rtol=0.05)
    predicted = model.predict(copies, ["rearrange"] * 50)
    assert np.allclose(predicted, times(copies, 0.0), rtol=0.5)


def test_kernels_that_multiply_nothing_learn_from_one_another():
    convolutions, pools, copies = rows(200, 0), rows(60, 1), rows(50, 2)
    table, names = np.vstack([convolutions, pools]), ["direct"] * 200 + ["pool"] * 60
    item_ms = ITEM_MS / 50
    ms = np.concatenate([times(convolutions, ITEM_MS), times(pools, item_ms)])
    model = PhysicalModel.fit(table, names, ms)
    assert np.allclose(model.predict(copies, ["rearrange"] * 50), times(copies, item_ms), rtol=0.1)
