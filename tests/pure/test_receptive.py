"""Receptive fields of graphs, by hand and against which input pixels matter."""

from __future__ import annotations

import pytest

from models.graph.layer import Layer, Step
from models.graph.network import Graph
from models.graph.receptive import receptive_fields


def conv(name, source, shape, kernel=3, stride=1, dilation=1, padding=None, **more):
    """A "same" convolution of 1 channel to 1."""
    _, height, width = shape
    padding = dilation * (kernel // 2) if padding is None else padding
    window = dilation * (kernel - 1) + 1
    out = (1, *((side + 2 * padding - window) // stride + 1 for side in (height, width)))
    per_axis = {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}
    pairs = {key: (value, value) for key, value in per_axis.items()}
    return Layer(name, "conv", (source,), (shape,), out, **pairs, **more)


def chain(*layers, shape=(1, 64, 64)):
    return receptive_fields(Graph("g", "input", shape, (layers[-1].name,), layers, {}))


def test_receptive_field_of_a_row_of_convolutions():
    a = conv("a", "input", (1, 64, 64), kernel=7, stride=2)
    b = conv("b", "a", a.out_shape, kernel=3, stride=2)
    c = conv("c", "b", b.out_shape, kernel=3, dilation=2)
    fields = chain(a, b, c)
    assert [fields[name].size for name in ("input", "a", "b", "c")] == [(1, 1), (7, 7), (11, 11), (27, 27)]
    assert [fields[name].stride for name in ("input", "a", "b", "c")] == [(1, 1), (2, 2), (4, 4), (4, 4)]


def test_an_uneven_kernel_keeps_its_axes_apart():
    layer = Layer("a", "conv", ("input",), ((1, 8, 8),), (1, 4, 8), kernel=(3, 1), stride=(2, 1), padding=(1, 0))
    field = chain(layer, shape=(1, 8, 8))["a"]
    assert (field.size, field.stride) == ((3, 1), (2, 1))


def test_the_widest_input_of_an_add_counts_whichever_it_is():
    shape = (1, 64, 64)
    wide, narrow = conv("wide", "input", shape, 7), conv("narrow", "input", shape, 3)
    added = {"in_shapes": (shape, shape), "epilogue": (Step("add"), Step("relu"))}
    for operand, addend in (("wide", "narrow"), ("narrow", "wide")):
        last = Layer("last", "conv", (operand, addend), out_shape=shape, **added)
        assert chain(wide, narrow, last)["last"].size == (7, 7)


def test_a_kernel_widens_only_the_operand_not_the_addend():
    shape = (1, 64, 64)
    wide = conv("wide", "input", shape, 7)
    last = Layer(
        *("last", "conv", ("input", "wide"), (shape, shape), shape),
        kernel=(3, 3),
        padding=(1, 1),
        epilogue=(Step("add"),),
    )
    assert chain(wide, last)["last"].size == (7, 7)


def test_a_concat_takes_the_union_even_where_fields_are_shifted():
    """Unpadded 3x3 looks right and down, cell 0 at pixels 0 to 2; two pixels of padding on a 5x5 left and up."""
    shape = (1, 64, 64)
    right = Layer("right", "conv", ("input",), (shape,), (1, 60, 60), kernel=(5, 5))
    left = conv("left", "input", shape, 5)
    crop = Layer("crop", "conv", ("left",), (shape,), (1, 60, 60), kernel=(5, 5))
    crop_left = Layer("same", "max_pool", ("left",), (shape,), (1, 60, 60), kernel=(5, 5))
    joined = Layer("joined", "concat", ("right", "crop"), ((1, 60, 60),) * 2, (2, 60, 60))
    fields = chain(right, left, crop, crop_left, joined)
    assert fields["crop"].size == fields["same"].size == (9, 9)
    assert (fields["joined"].rows.low, fields["joined"].rows.high) == (-2, 6)


@pytest.mark.parametrize(("mode", "size"), [("nearest", 3), ("bilinear", 5)])
def test_receptive_field_has_smaller_steps_after_a_resize(mode, size):
    down = conv("down", "input", (1, 64, 64), 3, 2)
    up = Layer("up", "resize", ("down",), (down.out_shape,), (1, 64, 64), mode=mode)
    after = conv("after", "up", (1, 64, 64), 3)
    fields = chain(down, up, after)
    assert (fields["up"].size, fields["up"].stride) == ((size, size), (1, 1))
    assert fields["after"].size == (size + 2, size + 2)
