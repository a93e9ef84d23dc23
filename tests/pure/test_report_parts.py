"""What the report is put together from: markup, numbers, scales, break-even curves."""

from __future__ import annotations

import pytest

from latency.report.rendering.axes import Scale, spanning
from latency.report.rendering.formats import (
    DASH,
    MINUS,
    NOTHING,
    TIMES,
    as_printed,
    duration,
    interval,
    network_digits,
    to_fixed,
)
from latency.report.rendering.markup import Html, element, escape
from latency.report.sections.layers import kind_of
from latency.report.sections.model import crossing


def test_elements_escape_all_but_elements():
    assert element("p", "<b>", element("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"
    assert element("td", 'a"b', class_="x", data_key='"<', hidden=True, title=None) == (
        '<td class="x" data-key="&quot;&lt;" hidden>a&quot;b</td>'
    )
    assert isinstance(escape(["<", Html("<br>")]), Html)
    assert escape("a\x00b\ud800") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    assert escape(element("i", "x") + "<") == "&lt;i&gt;x&lt;/i&gt;&lt;"


def test_formats_write_numbers_as_in_the_report():
    assert to_fixed(-0.018, 3, sign=True) == f"{MINUS}0.018"
    assert to_fixed(float("nan"), 2) == to_fixed(None, 2) == NOTHING
    assert interval([0.6, 0.66]) == f"0.60{DASH}0.66"
    assert interval([-0.1, 0.1]) == f"{MINUS}0.10 to 0.10"
    assert interval([None, 1.0]) == interval(None) == ""
    assert [network_digits(*values) for values in ((204, 143.9), (7.1, 70), (None, 900), ())] == [1, 2, 0, 2]
    assert [as_printed(0.4, 2), as_printed(136.1), as_printed(9.0), as_printed(0.423, 2)] == [
        "0.40",
        "136.1",
        "9",
        "0.423",
    ]
    assert [duration(value) for value in (3.21, 59.4, 812, 5000)] == ["3.2 s", "59 s", "13 min 32 s", "1 h 23 min"]


def test_scale_maps_values_to_pixels():
    assert [Scale(1, 100, 0, 10, log=True)(value) for value in (1, 10, 1000)] == [0, 5, 10]
    assert Scale(0, 1, 100, 0)(0.25) == 75
    assert spanning([0, 12.1], 0, 1).ticks(5) == [0, 5, 10]
    assert spanning([1, 8], 0, 1, log=True).ticks(6) == [1, 2, 3, 4, 6, 8]
    assert spanning([], 0, 1, log=True).ticks()
    assert spanning([3, 3], 0, 1)(3) == 0.5


def test_a_curve_pays_from_its_last_crossing_on():
    assert crossing([1, 2, 4], [0.5, 0.9, 1.1]) == pytest.approx(3)
    assert crossing([1, 2, 4], [1.1, 0.8, 1.2]) == pytest.approx(3)
    assert crossing([1, 2, 4], [1.0, 1.5, 2.0]) == 1
    assert crossing([1, 2], [0.5, 0.9]) is None


def test_kinds_of_layers():
    layer = {"op": "conv", "kernel": [3, 3], "groups": 1, "out_shape": [8, 4, 4]}
    assert kind_of(layer) == f"3{TIMES}3"
    assert kind_of({**layer, "groups": 8}) == f"3{TIMES}3 depthwise"
    assert kind_of({**layer, "groups": 2}) == f"3{TIMES}3, 2 groups"
    assert kind_of({**layer, "op": "concat", "kernel": None}) == "concat"
