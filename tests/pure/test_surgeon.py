"""Optimal removal and constrained least squares, against solving every case from scratch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.plans.sparsity import Sparsity
from models.prune.masks.build import spread
from models.prune.reconstruction.surgeon import Solver, removals, unit_labels


def random_problem(filters: int, columns: int, seed: int = 0, samples: int = 200):
    """x (samples, columns) with correlated columns, t (samples, filters)."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((samples, columns)) @ (np.eye(columns) + 0.3 * random.standard_normal((columns,) * 2))
    return x, x @ random.standard_normal((columns, filters)) + random.standard_normal((samples, filters))


def best(x: np.ndarray, t: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares on some columns: weights (filters, all columns), squared error."""
    found = np.linalg.lstsq(x[:, columns], t, rcond=None)[0]
    weight = np.zeros((t.shape[1], x.shape[1]))
    weight[:, columns] = found.T
    return weight, float(((x[:, columns] @ found - t) ** 2).sum())


@pytest.mark.parametrize("text", ["block_punched:0.5:4x3", "columns:0.5:8x1", "connectivity:0.5:4x2"])
@pytest.mark.parametrize("shape", [(8, 6, 3, 3), (9, 7, 1, 1), (5, 5, 3, 1)])
def test_labels_are_the_units_of_masks(text, shape):
    """A unit kept alone is, by `masks.spread`, the columns that bear its label."""
    sparsity, labels = Sparsity.parse(text), unit_labels(Sparsity.parse(text), shape)
    positions = 1 if sparsity.pattern == "connectivity" else shape[2] * shape[3]
    assert labels.max() + 1 == sparsity.units(shape)
    for unit in range(sparsity.units(shape)):
        units = np.zeros((sparsity.groups(shape), sparsity.units(shape)), bool)
        units[:, unit] = True
        wide = spread(units.reshape(len(units), -1, positions), sparsity, shape)
        assert (wide.reshape(shape[0], -1) == (labels == unit)).all()


def test_costs_are_what_the_error_grows_by():
    x, t = random_problem(3, 10)
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])  # the tenth column, the bias, always stays
    inverse = np.linalg.inv(x.T @ x)
    found = removals(inverse, (t.T @ x) @ inverse, labels, keep=1, share=0.01)
    assert sorted(found.order) == sorted(set(found.order))
    left, before = np.ones(10, bool), best(x, t, np.arange(10))[1]
    for unit, cost in zip(found.order, found.costs, strict=True):
        left[:9] &= labels != unit
        after = best(x, t, np.flatnonzero(left))[1]
        assert cost * 3 * (labels == unit).sum() == pytest.approx(after - before)
        before = after


def test_the_cheapest_unit_goes_first():
    x, t = random_problem(2, 8, seed=3)
    inverse = np.linalg.inv(x.T @ x)
    found = removals(inverse, (t.T @ x) @ inverse, np.arange(8) // 2, keep=2, share=0.01)
    left = set(range(4))
    for unit in found.order:
        errors = {u: best(x, t, np.flatnonzero(np.isin(np.arange(8) // 2, [*(left - {u})])))[1] for u in left}
        assert unit == min(errors, key=errors.get)
        left.remove(unit)


def test_many_at_a_time_end_with_as_few():
    x, t = random_problem(2, 40)
    inverse = np.linalg.inv(x.T @ x)
    for share in (0.01, 0.3, 1.0):
        found = removals(inverse, (t.T @ x) @ inverse, np.arange(40), keep=7, share=share)
        assert len(found.order) == 33
        assert len(set(found.order.tolist())) == 33


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**31))
def test_the_solver_is_least_squares_with_zeros(filters, columns, seed):
    x, t = random_problem(filters, columns, seed)
    kept = np.random.default_rng(seed).random((filters, columns)) < 0.6
    found = Solver(x.T @ x, kept)(t.T @ x)
    for row in range(filters):
        expected, _ = best(x, t[:, row : row + 1], np.flatnonzero(kept[row]))
        np.testing.assert_allclose(found[row], expected[0], atol=1e-6)
    assert not found[~kept].any()
