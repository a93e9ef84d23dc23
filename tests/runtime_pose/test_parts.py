"""Parts of decoding by themselves: the assignment against SciPy's, maxima against OpenCV's."""

import ctypes

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from benchmarks.runtime_pose import _Error, _HeightWidth
from models.pose.decoding.maxima import local_maxima
from tests import sweep

MAXIMUM = np.dtype([("row", np.uint32), ("column", np.uint32), ("score", np.float32)])


def assign(library, costs):
    columns, workspace = np.zeros(len(costs), np.int32), ctypes.create_string_buffer(64)
    costs = np.ascontiguousarray(costs, np.float64)
    assert library.calls.fp_assign(
        workspace, ctypes.c_void_p(costs.ctypes.data), *costs.shape, ctypes.c_void_p(columns.ctypes.data)
    )
    return columns


@pytest.mark.parametrize("kind", ["numbers", "whole", "equal"])
def test_assignment_is_scipys(library, kind):
    random = np.random.default_rng(1)
    for _ in range(sweep.examples(900)):
        shape = tuple(random.integers(1, 31, 2).tolist())
        costs = random.normal(0, 10, shape) if kind == "numbers" else np.full(shape, 3.0)
        if kind == "whole":
            costs = random.integers(-3, 4, shape).astype(float)
        columns = assign(library, costs)
        rows, expected = linear_sum_assignment(costs)
        chosen = np.flatnonzero(columns >= 0)
        assert len(set(columns[chosen].tolist())) == len(chosen) == min(shape)
        assert costs[chosen, columns[chosen]].sum() == pytest.approx(costs[rows, expected].sum(), abs=1e-9)
        if kind == "numbers":
            np.testing.assert_array_equal(chosen, rows)
            np.testing.assert_array_equal(columns[chosen], expected)


def find_maxima(library, values, kernel, threshold, most):
    workspace, error = ctypes.create_string_buffer(256), _Error()
    status = library.calls.fp_find_maxima(
        workspace,
        ctypes.c_void_p(values.ctypes.data),
        _HeightWidth(*values.shape),
        kernel,
        ctypes.c_float(threshold),
        most,
        ctypes.byref(error),
    )
    library.checked(status, error)
    address, _, count = (int(number) for number in np.frombuffer(workspace, np.uint64, 3))
    count &= 0xFFFFFFFF
    return np.frombuffer((ctypes.c_char * (MAXIMUM.itemsize * count)).from_address(address), MAXIMUM) if count else []


@sweep.part(12)
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("levels", [2, 3, 6, 1000000])
@pytest.mark.parametrize("size", [(1, 1), (1, 8), (9, 1), (2, 2), (31, 44), (64, 65)])
def test_maxima_are_opencvs(library, kernel, levels, size):
    """Few levels make plateaus, whose cells and order have to be the same as well."""
    random = np.random.default_rng([kernel, levels, *size])
    for threshold in (-0.5, 0.1, 0.6):
        for most in (3, 30, 100000):
            values = (np.floor(random.uniform(0, levels, size)) / levels).astype(np.float32)
            expected = local_maxima(values, kernel, threshold, most)
            maxima = find_maxima(library, values, kernel, threshold, most)
            assert len(maxima) == len(expected)
            if len(expected):
                np.testing.assert_array_equal(maxima["row"], expected.row)
                np.testing.assert_array_equal(maxima["column"], expected.column)
                np.testing.assert_array_equal(maxima["score"], expected.score)
