"""Receptive fields by the recurrence, against sizes counted by hand."""

from __future__ import annotations

from fractions import Fraction

from models.graph import Graph
from models.layer import Layer, Step
from models.receptive import ReceptiveField, joined, receptive_fields

SHAPE = (4, 16, 16)


def conv(name, source, kernel, stride=1, dilation=1, epilogue=(), extra=()):
    inputs = (source, *extra)
    return Layer(
        name,
        "conv",
        inputs,
        (SHAPE,) * len(inputs),
        SHAPE,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        dilation=(dilation, dilation),
        epilogue=epilogue,
    )


def test_strides_widen_what_later_windows_see():
    layers = (conv("a", "x", 7, stride=2), conv("b", "a", 3, stride=2), conv("c", "b", 3, dilation=2))
    fields = receptive_fields(Graph("g", "x", SHAPE, ("c",), layers, {}))
    assert [fields[name].size for name in "xabc"] == [(1, 1), (7, 7), (11, 11), (27, 27)]
    assert fields["c"].step == (4, 4)


def test_three_3x3_see_what_a_7x7_sees():
    field = ReceptiveField()
    for _ in range(3):
        field = field.windowed((3, 3))
    assert field == ReceptiveField().windowed((7, 7)) == ReceptiveField().windowed((4, 4), dilation=(2, 2))


def test_a_sum_sees_the_larger_branch():
    layers = (conv("a", "x", 5), conv("b", "x", 1, epilogue=(Step("add"),), extra=("a",)))
    assert receptive_fields(Graph("g", "x", SHAPE, ("b",), layers, {}))["b"].size == (5, 5)
    assert joined([ReceptiveField((3, 9)), ReceptiveField((5, 1))]).size == (5, 9)


def test_a_global_pool_sees_everything_and_so_does_what_reads_it():
    pool = Layer("p", "avg_pool", ("x",), (SHAPE,), (4, 1, 1), kernel=(16, 16), stride=(16, 16))
    fields = receptive_fields(Graph("g", "x", SHAPE, ("p",), (pool,), {}))
    assert fields["p"].size is None
    assert joined([fields["p"], ReceptiveField((3, 3))]).size is None
    assert fields["p"].windowed((3, 3)).size is None
    assert str(fields["p"]) == "whole input"


def test_resizing_up_narrows_the_step():
    field = ReceptiveField((9, 9), (Fraction(4), Fraction(4))).resized((8, 8), (16, 16), bilinear=True)
    assert field == ReceptiveField((13, 13), (Fraction(2), Fraction(2)))
