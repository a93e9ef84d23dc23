"""Break-even ratios, means and rows of `benchmarks.kernels` from given samples: arithmetic, without torch or TVM."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.kernel_break_even import (
    best_break_even,
    break_even,
    geometric_mean,
    median_ratio,
    middle_break_even,
)
from benchmarks.kernel_rows import ONEDNN, STOCK, Contender, LayerFacts, LayerTimes, Timed, make_row
from benchmarks.kernel_summary import summary
from models.plans.sparsity import Sparsity


@dataclass(frozen=True)
class Choice:
    """What a row reads of codegen.kernels.choice.ScheduleChoice."""

    schedule: str
    config: str = "F8"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({1.0: 1.0, 0.5: 0.6}, 1.0),  # no slower at once
        ({1.0: 0.9, 0.5: 0.6}, 1.0),
        ({1.0: 1.1, 0.5: 0.6}, 1 / 0.9),  # the line meets 1 at 0.9 of the weights
        ({1.0: 2.0, 0.5: 1.0}, 2.0),
        ({1.0: 3.0, 0.5: 2.0, 0.25: 1.5, 0.125: 0.75}, 1 / (0.125 + 0.125 / 3)),
        ({0.5: 0.9, 0.25: 0.5}, 2.0),  # not measured denser: an upper bound
        ({1.0: 2.0, 0.5: 1.5}, None),
        ({1.0: 0.9, 0.5: 1.1, 0.25: 0.6}, 1 / 0.45),  # the last crossing
        ({1.0: 0.5, 0.5: 1.1}, None),
        ({}, None),
    ],
)
def test_break_even_is_where_two_lines_meet(times, expected):
    assert break_even(times) == (None if expected is None else pytest.approx(expected))


def test_break_even_in_other_units():
    assert break_even({1.0: 11.0, 0.5: 6.0}, rival=10.0) == pytest.approx(1 / 0.9)


@given(
    fixed=st.floats(0, 0.9),
    slope=st.floats(0.05, 3),
    kept=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6, unique=True),
)
def test_break_even_of_a_linear_time_is_where_it_meets_the_rival(fixed, slope, kept):
    times = {share: fixed + slope * share for share in (0.001, 1.0, *kept)}
    meets = (1 - fixed) / slope
    found = break_even(times)
    if meets < 0.001:
        assert found is None
    else:
        assert found == pytest.approx(max(1.0, 1 / meets), rel=1e-6)


def test_break_even_best_and_middle_of_layers():
    assert best_break_even([{1.0: 1.1, 0.5: 0.6}, {1.0: 1.05, 0.5: 0.6}, {1.0: 3.0}]) == pytest.approx(18 / 17)
    assert best_break_even([{1.0: 3.0}]) is None
    assert best_break_even([]) is None
    assert middle_break_even([1.0, 1.2, None]) == 1.2
    assert middle_break_even([1.0, None, None]) is None
    assert middle_break_even([]) is None


def test_geometric_means_leave_out_what_is_missing():
    assert geometric_mean([1.0, 4.0, None]) == pytest.approx(2.0)
    assert geometric_mean([None]) is None
    assert median_ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == 3.0
    assert median_ratio([], [1.0]) is None


def timed(name: str, *secs: float, schedule: str = "", **more) -> Timed:
    return Timed(Contender(name, Choice(schedule) if schedule else None, **more), secs)


def sparse(ratio: float, *secs: float, family: str = "columns", kept: float | None = None) -> Timed:
    sparsity = Sparsity("columns", round(1 - 1 / ratio, 4), (8, 1))
    name, kept = f"{family} {sparsity}", kept or 1 / ratio
    return timed(name, *secs, schedule="columns", sparsity=sparsity, ratio=ratio, kept=kept, family=family)


def layer(label: str, kind: str, *found: Timed, share: float = 0.5, count: int = 1, stock=()) -> LayerTimes:
    by_name = {one.contender.name: one for one in found}
    return LayerTimes(LayerFacts(label, kind, count, 1000, share), by_name, {one.contender.name: one for one in stock})


DIRECT, WINOGRAD = (
    timed("direct", 4.0, 8.0, 4.4, schedule="direct"),
    timed("winograd", 2.0, 4.0, 2.2, schedule="winograd"),
)
FULL = layer(
    "one",
    "3x3",
    DIRECT,
    timed("direct slow", 5.0, 9.0, 5.0, schedule="direct"),
    WINOGRAD,
    timed(ONEDNN, 6.0, 12.0, 6.6),
    sparse(1, 4.4, 8.8, 4.84),
    sparse(2, 2.4, 4.8, 2.64),
    sparse(4, 1.2, 2.4, 1.32),
    sparse(8, 0.4, 0.8, 0.44, kept=0.1),  # keeps too little to stand for 8x, as its units are coarse
    Timed(Contender("broken", Choice("image")), error="it fails"),
    count=3,
    stock=[timed(STOCK, 80.0, 160.0), timed("winograd", 2.0, 4.0, schedule="winograd")],
)


def test_kernel_row_holds_the_best_of_each_kind():
    row = make_row(FULL)
    json.dumps(row, allow_nan=False)
    assert row["dense"] == {"winograd": {"ms": 2200.0, "config": "F8"}, "direct": {"ms": 4400.0, "config": "F8"}}
    assert row["best_dense"]["schedule"] == "winograd"
    assert row["best_direct_ms"] == 4400.0
    assert (row["dense_vs_onednn"], row["direct_vs_onednn"]) == (pytest.approx(3.0), pytest.approx(1.5))
    assert row["onednn_prepacked_ms"] is None
    assert row["dense_vs_onednn_prepacked"] is None
    assert row["dense_vs_stock_tvm"] == 40
    assert row["sparse"]["2"] == {"columns:0.5:8x1": 2640.0}
    assert set(row["best_sparse"]) == {"1", "2", "4", "8"}
    assert row["best_sparse"]["2"]["vs_direct"] == pytest.approx(4 / 2.4)
    assert row["best_sparse"]["2"]["vs_best_dense"] == pytest.approx(2 / 2.4)
    assert row["best_sparse"]["8"] is None
    assert row["break_even"]["direct"] == pytest.approx(1 / 0.9)
    assert row["break_even"]["best_dense"] == pytest.approx(1 / (0.25 + 0.25 * 0.8 / 1.2))
    assert row["errors"] == {"broken": "it fails"}
    assert row["best_sparse_direct"] == row["best_sparse"]


def test_sparse_winograd_does_not_break_even_with_direct():
    sparsity = Sparsity("connectivity", 0.5, (8, 1))
    how = {"schedule": "winograd_sparse", "sparsity": sparsity, "ratio": 2, "kept": 0.5, "family": "connectivity"}
    row = make_row(layer("one", "3x3", DIRECT, WINOGRAD, timed("sparse", 1.5, 3.0, 1.65, **how)))
    assert row["break_even"] == {"direct": None, "best_dense": 2.0}
    assert row["best_sparse"]["2"]["vs_direct"] == pytest.approx(4 / 1.5)
    assert row["best_sparse_direct"] == {"2": None}


def test_kernel_row_of_a_layer_of_failures():
    row = make_row(layer("none", "1x1", Timed(Contender("direct", Choice("direct")), error="no")))
    assert (row["best_dense"], row["dense"], row["sparse"]) == (None, {}, {})
    assert row["errors"] == {"direct": "no"}
    found = summary([row])
    json.dumps(found, allow_nan=False)
    assert found["geomean_dense_vs_onednn"] is None
    assert found["min_dense_vs_onednn"] is None
    assert found["sum_ms"]["best_dense"] is None


def test_kernel_summary_joins_rows():
    other = layer("two", "3x3", DIRECT, timed(ONEDNN, 3.0, 6.0, 3.3), sparse(1, 4, 8, 4.4), sparse(2, 1, 2, 1.1))
    small = layer("small", "depthwise", DIRECT, timed(ONEDNN, 1.0, 2.0, 1.1), share=0.001)
    found = summary([make_row(one) for one in (FULL, other, small)])
    json.dumps(found, allow_nan=False)
    assert found["geomean_dense_vs_onednn"] == pytest.approx((3 * 0.75 * 0.25) ** (1 / 3))
    assert found["min_dense_vs_onednn"] == {"layer": "two", "ratio": pytest.approx(0.75)}
    assert found["depthwise_vs_onednn"] == pytest.approx(0.25)
    assert found["sparse"] == {
        "3x3": {"2": pytest.approx((4 * 4 / 2.4) ** 0.5), "4": pytest.approx(4 / 1.2), "8": None}
    }
    assert found["sparse_vs_best_dense"]["3x3"]["2"] == pytest.approx((4 * 2 / 2.4) ** 0.5)
    assert found["break_even"]["direct"] == {"3x3": pytest.approx((1 / 0.9 + 1) / 2)}
    assert found["break_even"]["worst"]["direct"]["3x3"] == {"layer": "one", "ratio": pytest.approx(1 / 0.9)}
    assert found["sum_ms"]["best_dense"] == pytest.approx(3 * 2200 + 2 * 4400)
    assert found["sum_ms"]["stock_tvm"] is None
