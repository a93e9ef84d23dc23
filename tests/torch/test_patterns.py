"""Generic ways of writing things in a network: each is traced right, or refused in one line that says the mend."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fleetpose.errors import UsageError
from models.frontend.results.nesting import name_leaves
from models.frontend.trace import trace
from models.graph.reference import run_graph
from tests import sweep
from tests.patterns.catalogue import REFUSED, TAKEN
from tests.patterns.pattern import Pattern


def detach(leaf):
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def torch_leaves(pattern: Pattern, x: np.ndarray) -> dict[str, np.ndarray]:
    """What the module returns by name, in float64 where it can."""
    module = pattern.make()
    module, picture = (module.float(), x.astype(np.float32)) if pattern.single else (module.double(), x)
    with torch.no_grad():
        leaves = name_leaves(module(torch.from_numpy(picture)))
    return {name: np.asarray(detach(leaf)) for name, leaf in leaves.items() if not isinstance(leaf, str | None)}


@pytest.mark.parametrize("name", sweep.sample(TAKEN, 220))
def test_pattern_is_traced_right(name):
    pattern = TAKEN[name]
    graph = trace(pattern.make(), pattern.shape, dtype=np.float64)
    assert not graph.answer.cuts, str(graph.answer.cuts[0])
    x = np.random.default_rng(0).standard_normal((1, *pattern.shape))
    results = graph.answer.restore(run_graph(graph, x))
    expected = torch_leaves(pattern, x)
    assert set(results) == set(expected)
    for output, truth in expected.items():
        assert results[output].shape == truth.shape, output
        error = np.abs(results[output] - truth).max() / max(np.abs(truth).max(), 1e-6)
        assert error <= (1e-4 if pattern.single else 1e-6), output


@pytest.mark.parametrize("name", REFUSED)
def test_pattern_is_refused_in_a_line(name):
    pattern = REFUSED[name]
    with pytest.raises(UsageError) as refusal:
        trace(pattern.make(), pattern.shape)
    message = str(refusal.value)
    assert pattern.refused in message
    assert "\n" not in message
    assert len(message) < 400
