"""Random small networks of all operators: the graph computes what torch does."""

from __future__ import annotations

import pytest
from random_graphs import RandomGraph
from random_weights import check_traced, shake_batch_norms
from torch import nn

from tests import sweep
from tests.small_network import SideBySide

SHAPE, LENGTH = (4, 7, 10), 7
#: so many graphs are traced side by side; one of a bundle that fails is tried alone
BUNDLE = 20
BUNDLES = range(500 if sweep.EVERYTHING else 4)
#: of the largest value of an output; of those that nearly cancel, of `LEAST`
TOLERANCE, LEAST = 1e-6, 1e-2


def graph(seed: int) -> nn.Module:
    return shake_batch_norms(RandomGraph(seed, SHAPE, LENGTH), seed)


@sweep.part(2)
@pytest.mark.slow
@pytest.mark.parametrize("number", BUNDLES)
def test_trace_of_random_graphs_computes_what_torch_does(number):
    seeds = range(number * BUNDLE, (number + 1) * BUNDLE)
    try:
        check_traced(SideBySide(map(graph, seeds)), SHAPE, TOLERANCE, LEAST)
    except Exception:
        wrong = {seed: why for seed in seeds if (why := failure_of(seed))}
        assert not wrong
        raise


@pytest.mark.parametrize("seed", [5129, 5337, 6605])
def test_trace_of_random_graphs_that_failed_once(seed):
    """A pad that crops all of a map, a norm with one weight for many channels, a nearest row that float32 rounds."""
    assert failure_of(seed) == ""


def failure_of(seed: int) -> str:
    """Why one graph fails alone; "" where it does not."""
    try:
        check_traced(graph(seed), SHAPE, TOLERANCE, LEAST)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
