"""What is right but for rounding is never called wrong: float32 of PyTorch, on the CPU, judged by float64."""

import numpy as np
import pytest
import torch

from codegen.judging.layers import RightResult
from codegen.lowering.layer import random_operands
from models.graph.reference import run_layer
from tests import sweep
from tests.host.kernel_cases import ACTIVATIONS, BINARY_CASES, CONVOLUTIONS, GATED, MOVES, POOLS, window

CASES = {
    **CONVOLUTIONS,
    **{f"{step.kind} {step.params}": window("conv", (7, 11), (6, 9), epilogue=(step,)) for step in ACTIVATIONS},
    **BINARY_CASES,
    **GATED,
    **POOLS,
    **MOVES,
    # a divisor makes another size of the sum than that of a mean
    "avg by 1": window("avg_pool", (5, 5), (4, 20), (3, 4), padding=(0, 1), divisor=1),
    "avg by 300": window("avg_pool", (5, 5), (4, 20), (3, 4), padding=(0, 1), divisor=300),
}


def in_float32(layer, inputs, weights) -> np.ndarray:
    parameters = {"weight": weights.weight, "bias": weights.bias}
    named = {f"{layer.name}.{name}": torch.from_numpy(array) for name, array in parameters.items() if array is not None}
    with torch.no_grad():
        return run_layer(layer, [torch.from_numpy(x)[None] for x in inputs], named)[0].numpy()


@pytest.mark.parametrize("name", CASES)
def test_what_is_right_is_not_called_wrong(name):
    layer = CASES[name]
    for seed in range(400 if sweep.EVERYTHING else 10):
        inputs, weights = random_operands(layer, seed)
        fault = RightResult(layer, "float32", inputs, weights).fault(in_float32(layer, inputs, weights))
        assert fault is None, f"seed {seed}: {fault}"


def test_a_sum_that_lacks_one_tap_is_called_wrong():
    layer = CASES["avg by 1"]
    inputs, weights = random_operands(layer, 0)
    found = in_float32(layer, inputs, weights)
    found[1, 1, 5] -= inputs[0][1, 1, 5]
    assert "is wrong in 1 of" in RightResult(layer, "float32", inputs, weights).fault(found)
