"""Branches and rows of convolutions in half precision, launched together and apart: equal to the bit."""

from dataclasses import replace

import numpy as np
import pytest

from codegen.lowering.network import Options
from models.frontend.trace import trace
from tests.half.half_cases import profiles
from tests.host.network_check import run_network
from tests.host.test_chained_layers import make_network as chain
from tests.host.test_chained_layers import twins, winograd
from tests.host.test_shared_launches import make_network, picture, slices, two_branches
from tests.zoo.checking import as_module_returns, exact_outputs, largest_error

#: of the largest value of an output; sums of 108 products of a rounding of 0.0005 each
TOLERANCE = 0.01


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mali", "adreno"])
@pytest.mark.parametrize("forward", [two_branches, slices], ids=lambda function: function.__name__)
def test_shared_launches_change_no_bit_of_half_precision(half, tmp_path, forward, kind):
    module, profile = make_network(forward), profiles(half.profile)[kind]
    graph, x = trace(module, (3, 19, 34), "branches"), picture((3, 19, 34))
    together, apart = (
        run_network(half, graph, x, tmp_path, Options("float16", share_launches=share), profile)
        for share in (True, False)
    )
    for ours, theirs in zip(together, apart, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert largest_error(as_module_returns(graph, together), exact_outputs(module, x)) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mali", "adreno"])
def test_chained_layers_change_no_bit_of_half_precision(half, tmp_path, kind):
    module, profile = chain(twins), replace(profiles(half.profile)[kind], compute_units=2)
    graph, x = trace(module, (3, 13, 22), "chain"), picture((3, 13, 22))
    together, apart = (
        run_network(half, graph, x, tmp_path, Options("float16", choose=winograd(2), share_launches=share), profile)
        for share in (True, False)
    )
    for ours, theirs in zip(together, apart, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert largest_error(as_module_returns(graph, together), exact_outputs(module, x)) <= TOLERANCE
