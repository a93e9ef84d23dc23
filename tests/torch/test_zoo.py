"""The zoo's networks, small and after published architectures: each is traced and computes what PyTorch does."""

import numpy as np
import pytest

from models.frontend.trace import trace
from models.graph.reference import run_graph
from tests.sweep import sample
from tests.zoo.catalogue import ZOO, create_zoo
from tests.zoo.checking import as_module_returns, exact_outputs, largest_error, picture

#: the quick ones, of which each does something that the others do not
QUICK = ("SimpleBaseline", "MobileNetV3", "ShuffleNetV2", "BiFPN")


def check(name: str) -> None:
    network, entry = create_zoo(name), ZOO[name]
    x = picture(entry.shape)
    graph = trace(network, entry.shape, "zoo", dtype=np.float64)
    outputs = as_module_returns(graph, run_graph(graph, x))
    assert largest_error(outputs, exact_outputs(network, x)) <= 1e-6


@pytest.mark.parametrize("name", QUICK)
def test_zoo_network_equals_pytorch_in_float64(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sample([name for name in ZOO if name not in QUICK], 24))
def test_any_zoo_network_equals_pytorch_in_float64(name):
    check(name)
