"""Operators of the zoo's networks replaced: one network of each kind of layers that replacing has to leave alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.replace.advice import advise, compare, plan_of
from models.replace.apply import replace_operators
from tests import sweep
from tests.zoo.catalogue import ZOO, create_zoo
from tests.zoo.checking import as_module_returns, exact_outputs, largest_error, picture

#: what is replaced in each: transposed, grouped, gated by linear layers, hard-swish, tokens, stages with large kernels
NETWORKS = {
    "SimpleBaseline 3x3": {"kernel": 1},
    "ResNeXt": {"kernel": 1},
    "SE-ResNet": {"kernel": 1, "squeeze_excite": 3},
    "MobileNetV3": {"squeeze_excite": 3, "activation": 2},
    "ViTPose simple": {"activation": 2},
    "ShuffleNetV1": {},
}


@sweep.part(2)
@pytest.mark.parametrize("name", NETWORKS)
def test_replaced_zoo_network_is_traced_and_keeps_its_other_weights(name):
    network, shape = create_zoo(name), ZOO[name].shape
    plan = plan_of(advise(network, shape))
    assert Counter(replacement.kind for replacement in plan) == NETWORKS[name]
    replaced, x = replace_operators(network, plan), picture(shape)
    before, after = compare(network, replaced, shape)
    assert after.multiplications <= before.multiplications
    expected, outputs = exact_outputs(replaced, x), exact_outputs(network, x)
    assert [array.shape for array in expected] == [array.shape for array in outputs]
    graph = trace(replaced, shape, dtype=np.float64)
    assert largest_error(as_module_returns(graph, run_graph(graph, x)), expected) <= 1e-6
    tensors = network.state_dict()
    if "kernel" not in NETWORKS[name]:  # new convolutions take over the numbers of their batch norm
        assert all(tensor.equal(tensors[key]) for key, tensor in replaced.state_dict().items())
