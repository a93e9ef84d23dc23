"""Layers of windows in records and in the latency model: nothing of them is lost, and every feature is a number."""

import json

import numpy as np
import pytest

from latency.cost_model.feature_names import NAMES
from latency.cost_model.features import extract
from latency.cost_model.work_counts import count
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample
from latency.records.identity import layer_from_dict, layer_to_dict
from models.graph.foreign.call import ForeignCall, ForeignTensor
from models.graph.index_map import IndexMap, Move, Run
from models.graph.layer import Layer
from models.graph.product import Product, Walk, channel_batches
from models.graph.reduction import Reduction
from models.plans.sparsity import Sparsity

TRANSPOSED = Layer(
    "", "conv", ("",), ((32, 8, 6),), (24, 16, 12), (4, 4), (2, 2), (1, 1), bias=True, transposed=True
)  # fmt: skip
ATTENTION = Product(
    (4, 48, 48, 16),
    Walk((0, 0, 0), ((16, 0, 0), (0, 0, 1), (0, 0, 0), (1, 0, 0))),
    Walk((64, 0, 0), ((16, 0, 0), (0, 0, 0), (0, 0, 1), (1, 0, 0))),
    channel_batches((4, 48, 48, 16), [False])[0],
    0.25,
)
FLIP = IndexMap(5, ((Run(0, ((3, 6),)),), (Run(0, ((1, 0),)),), (Run(0, ((6, -1),)),)))
GATHER = ForeignCall(
    "gather.default",
    '[{"operand": 0}, 1, {"operand": 1}, false]',
    (ForeignTensor((1, 5, 7, 9)), ForeignTensor((1, 2, 7, 9), "int64")),
    (1, 2, 7, 9),
)
LAYERS = {
    "layer norm": Layer(
        "", "normalise", ("",), ((96, 1, 48),), (96, 1, 48), reduction=Reduction("variance", "C", 1, 1e-6, "C")
    ),
    "softmax": Layer("", "softmax", ("",), ((48, 1, 192),), (48, 1, 192), reduction=Reduction("softmax", "C")),
    "mean": Layer("", "reduce", ("",), ((8, 6, 5),), (8, 1, 1), reduction=Reduction("mean", "HW")),
    "attention": Layer("", "matmul", ("", ""), ((192, 1, 48),) * 2, (192, 1, 48), product=ATTENTION),
    "flip": Layer("", "rearrange", ("",), ((3, 1, 6),), (3, 1, 6), moves=(Move(FLIP),)),
    "padded": Layer("", "rearrange", ("",), ((3, 1, 6),), (4, 1, 6), moves=(Move(FLIP, 0, (1, 0, 0)),), fill=-2.5),
    "transposed": TRANSPOSED,
    "adaptive": Layer("", "avg_pool", ("",), ((3, 12, 10),), (3, 5, 7), (3, 2), mode="adaptive"),
    "divisor": Layer("", "avg_pool", ("",), ((3, 12, 10),), (3, 6, 5), (2, 2), (2, 2), divisor=3),
    "fallback": Layer("", "fallback", ("", ""), ((5, 7, 9), (2, 7, 9)), (2, 7, 9), foreign=GATHER),
    "scaled": Layer("", "resize", ("",), ((3, 12, 10),), (3, 18, 15), mode="bicubic", scale=(0.6, 0.7)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_record_keeps_a_layer_of_windows(name):
    stored = json.loads(json.dumps(layer_to_dict(LAYERS[name])))
    assert layer_from_dict(stored) == LAYERS[name]


def test_record_of_a_plain_layer_says_nothing_of_later_fields():
    plain = layer_to_dict(Layer("", "conv", ("",), ((3, 8, 8),), (4, 8, 8)))
    assert not {"transposed", "divisor", "scale", "foreign", "product"} & set(plain)


@pytest.mark.parametrize("name", LAYERS)
def test_features_of_a_layer_of_windows_are_numbers(name):
    layer = LAYERS[name]
    kernel = "transposed" if name == "transposed" else layer.op if "_pool" not in layer.op else "pool"
    (row,) = extract([Sample(LAYERS[name], kernel)], Hardware())
    assert all(np.isfinite(value) for column, value in zip(NAMES, row, strict=True) if not column.startswith("config"))


def test_work_of_a_transposed_convolution_is_that_of_its_phases():
    work = count(Sample(TRANSPOSED, "transposed"), Hardware())
    assert (work.taps, work.macs) == (4, 8 * 6 * 32 * 24 * 16)
    assert work.macs_slices == work.macs
    sparse = count(Sample(TRANSPOSED, "transposed", Sparsity.parse("columns:0.75:4x1")), Hardware())
    assert sparse.macs_kept == work.macs / 4
