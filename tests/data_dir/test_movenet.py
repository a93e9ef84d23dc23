"""MoveNet MultiPose with its published weights: it finds people (needs ../shared)."""

from __future__ import annotations

import numpy as np
import pytest

from models.accuracy.protocol import evaluate_network
from models.frontend.trace import trace
from models.resolve import create_model, model_spec


@pytest.mark.long
def test_movenet_finds_people(shared_dir, few):
    weights = shared_dir / "data/weights/movenet_multipose_lightning_hwio.safetensors"
    if not weights.is_file():
        pytest.skip(f"no weights at {weights}")
    network, spec = create_model("movenet_multipose", weights), model_spec("movenet_multipose")
    assert evaluate_network(network, spec, few).ap >= 0.05


@pytest.mark.long
def test_movenet_is_traced_into_convolutions_and_resizes():
    graph = trace(create_model("movenet_multipose"), (3, 64, 96), dtype=np.float64)
    assert [graph.shape(output) for output in graph.outputs] == [(channels, 16, 24) for channels in (1, 34, 17, 34)]
    assert sum(layer.op == "resize" for layer in graph.layers) == 3
    assert {layer.op for layer in graph.layers} <= {"conv", "resize", "elementwise"}
