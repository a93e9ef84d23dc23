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
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity

TRANSPOSED = Layer(
    "", "conv", ("",), ((32, 8, 6),), (24, 16, 12), (4, 4), (2, 2), (1, 1), bias=True, transposed=True
)  # fmt: skip
LAYERS = {
    "transposed": TRANSPOSED,
    "adaptive": Layer("", "avg_pool", ("",), ((3, 12, 10),), (3, 5, 7), (3, 2), mode="adaptive"),
    "divisor": Layer("", "avg_pool", ("",), ((3, 12, 10),), (3, 6, 5), (2, 2), (2, 2), divisor=3),
    "scaled": Layer("", "resize", ("",), ((3, 12, 10),), (3, 18, 15), mode="bicubic", scale=(0.6, 0.7)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_record_keeps_a_layer_of_windows(name):
    stored = json.loads(json.dumps(layer_to_dict(LAYERS[name])))
    assert layer_from_dict(stored) == LAYERS[name]


def test_record_of_a_plain_layer_says_nothing_of_later_fields():
    plain = layer_to_dict(Layer("", "conv", ("",), ((3, 8, 8),), (4, 8, 8)))
    assert not {"transposed", "divisor", "scale"} & set(plain)


@pytest.mark.parametrize("name", LAYERS)
def test_features_of_a_layer_of_windows_are_numbers(name):
    kernel = "transposed" if name == "transposed" else "pool"
    (row,) = extract([Sample(LAYERS[name], kernel)], Hardware())
    assert all(np.isfinite(value) for column, value in zip(NAMES, row, strict=True) if not column.startswith("config"))


def test_work_of_a_transposed_convolution_is_that_of_its_phases():
    work = count(Sample(TRANSPOSED, "transposed"), Hardware())
    assert (work.taps, work.macs) == (4, 8 * 6 * 32 * 24 * 16)
    assert work.macs_slices == work.macs
    sparse = count(Sample(TRANSPOSED, "transposed", Sparsity.parse("columns:0.75:4x1")), Hardware())
    assert sparse.macs_kept == work.macs / 4
