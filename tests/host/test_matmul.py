"""Products of two tensors on this machine's OpenCL against float64: heads, windows, slices, every way operands lie."""

from dataclasses import replace

import pytest

from codegen.kernels.choice import ScheduleChoice
from codegen.schedules.matrices.matmul import MATMUL, ProductTile
from models.graph.layer import Layer, Step
from models.graph.product import Product, Walk, channel_batches
from tests.host.test_kernels import check

RELU, ADD = Step("relu"), Step("add")
NOT = (0, 0, 0)


def product(extents, left, right, shapes, rows=None, scale=1.0, epilogue=()) -> Layer:
    """A "matmul" of loops `extents`; left and right are (first, steps...)."""
    out, shape = channel_batches(extents, rows or [False] * (len(extents) - 3))
    walks = [Walk(first, steps) for first, *steps in (left, right)]
    walks = [replace(walk, steps=tuple(walk.steps)) for walk in walks]
    addends = sum(step.kind == "add" for step in epilogue)
    return Layer(
        "layer",
        "matmul",
        ("left", "right", *(f"addend{number}" for number in range(addends))),
        (*shapes, *[shape] * addends),
        shape,
        epilogue=epilogue,
        product=Product(tuple(extents), *walks, out, scale),
    )


def scores(heads: int, width: int, tokens: int, windows: int = 1, **others) -> Layer:
    """Keys x queries of each head (and window), both out of one tensor of queries, keys and values."""
    shape, size = (3 * heads * width, windows, tokens), heads * width
    keys = ((size, 0, 0), (0, 1, 0), (width, 0, 0), (0, 0, 1), NOT, (1, 0, 0))
    queries = (NOT, (0, 1, 0), (width, 0, 0), NOT, (0, 0, 1), (1, 0, 0))
    return product((windows, heads, tokens, tokens, width), keys, queries, (shape, shape), (True, False), **others)


def weighted(heads: int, width: int, tokens: int) -> Layer:
    """Values weighted by the softmax of scores."""
    values = ((2 * heads * width, 0, 0), (width, 0, 0), (1, 0, 0), NOT, (0, 0, 1))
    weights = (NOT, (tokens, 0, 0), NOT, (0, 0, 1), (1, 0, 0))
    shapes = ((3 * heads * width, 1, tokens), (heads * tokens, 1, tokens))
    return product((heads, width, tokens, tokens), values, weights, shapes)


PRODUCTS = {
    "scores of heads": scores(3, 8, 21, scale=8**-0.5),
    "scores of one token": scores(2, 4, 1),
    "scores in windows": scores(2, 6, 9, windows=5),
    "scores with a bias": scores(2, 5, 17, epilogue=(ADD,)),
    "weighted values": weighted(3, 8, 21),
    "matrices as they are": product(
        (3, 7, 19, 11), (NOT, (1, 0, 0), (0, 1, 0), NOT, (0, 0, 1)), (NOT, (1, 0, 0), NOT, (0, 0, 1), (0, 1, 0)),
        ((3, 7, 11), (3, 11, 19)), (False,), epilogue=(RELU,),
    ),
    "second one turned": product(
        (2, 7, 19, 11), (NOT, (1, 0, 0), (0, 1, 0), NOT, (0, 0, 1)), (NOT, (1, 0, 0), NOT, (0, 1, 0), (0, 0, 1)),
        ((2, 7, 11), (2, 19, 11)), (False,),
    ),
    "shared by the batch": product(
        (4, 5, 33, 6), (NOT, (5, 0, 0), (1, 0, 0), NOT, (0, 0, 1)), (NOT, NOT, NOT, (0, 0, 1), (1, 0, 0)),
        ((20, 1, 6), (6, 1, 33)), (False,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_equal_float64(host, name):
    check(host, PRODUCTS[name], border=(1, 2))


@pytest.mark.parametrize("tile", [ProductTile(1, 1), ProductTile(5, 2, 3), ProductTile(8, 1, 4)], ids=str)
@pytest.mark.parametrize("name", ["scores of heads", "weighted values", "second one turned"])
def test_products_cut_otherwise_equal_float64(host, name, tile):
    check(host, PRODUCTS[name], border=(1, 2), choice=ScheduleChoice(MATMUL.name, tile))


@pytest.mark.parametrize("name", ["scores in windows", "weighted values", "second one turned"])
def test_products_shaped_for_a_phone_equal_float64(host, name):
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=8, work_group=5)
    check(host, PRODUCTS[name], border=(2, 2), profile=phone)


def test_product_refuses_a_result_that_lies_across():
    walk = Walk(NOT, (NOT, NOT, NOT))
    with pytest.raises(ValueError, match="rows of a product"):
        Product((2, 2, 2), walk, walk, walk)
