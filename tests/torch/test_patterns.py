"""Generic ways of writing things in a network: each is traced right, or refused in one line that says the mend."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.results.nesting import name_leaves
from models.frontend.trace import trace
from models.graph.reference import run_graph
from tests import sweep
from tests.patterns.catalogue import REFUSED, TAKEN
from tests.patterns.pattern import SHAPE, Pattern
from tests.small_network import SideBySide

#: so many patterns are traced as the branches of one network: exporting costs a network more than a branch
BUNDLE = 24


def detach(leaf):
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def torch_leaves(module: nn.Module, x: np.ndarray, single: bool) -> dict[str, np.ndarray]:
    """What a module returns by name, in float64 unless `single`."""
    module, picture = (module.float(), x.astype(np.float32)) if single else (module.double(), x)
    with torch.no_grad():
        leaves = name_leaves(module(torch.from_numpy(picture)))
    return {name: np.asarray(detach(leaf)) for name, leaf in leaves.items() if not isinstance(leaf, str | None)}


def check(module: nn.Module, again: nn.Module, shape: tuple[int, int, int], single: bool) -> None:
    """Assert that the graph of a module computes what the module `again`, which is the same, returns."""
    graph = trace(module, shape, dtype=np.float64)
    assert not graph.answer.cuts, str(graph.answer.cuts[0])
    x = np.random.default_rng(0).standard_normal((1, *shape))
    results = graph.answer.restore(run_graph(graph, x))
    expected = torch_leaves(again, x, single)
    assert set(results) == set(expected)
    for output, truth in expected.items():
        assert results[output].shape == truth.shape, output
        error = np.abs(results[output] - truth).max() / max(np.abs(truth).max(), 1e-6)
        assert error <= (1e-4 if single else 1e-6), output


def check_alone(pattern: Pattern) -> None:
    check(pattern.make(), pattern.make(), pattern.shape, pattern.single)


def side_by_side(patterns: Iterable[Pattern]) -> nn.Module:
    return SideBySide(pattern.make() for pattern in patterns)


def is_bundled(pattern: Pattern) -> bool:
    return pattern.shape == SHAPE and not pattern.single and not sweep.EVERYTHING


BUNDLED = sweep.sample((name for name, pattern in TAKEN.items() if is_bundled(pattern)), 96)
BUNDLES = [BUNDLED[first :: len(BUNDLED) // BUNDLE] for first in range(len(BUNDLED) // BUNDLE)]


@pytest.mark.slow
@pytest.mark.parametrize("names", BUNDLES, ids=lambda names: f"{names[0]} and {len(names) - 1} others")
def test_patterns_side_by_side_are_traced_right(names):
    modules = {name: TAKEN[name].make() for name in names}
    alone = [name for name, module in modules.items() if {each.dtype for each in module.parameters()} - {torch.float32}]
    patterns = [TAKEN[name] for name in names if name not in alone]
    for name in alone:
        check_alone(TAKEN[name])
    try:
        check(side_by_side(patterns), side_by_side(patterns), SHAPE, single=False)
    except Exception:
        for pattern in patterns:  # the one that is wrong speaks for itself
            check_alone(pattern)
        raise


@pytest.mark.parametrize("name", [name for name, pattern in TAKEN.items() if not is_bundled(pattern)])
def test_pattern_is_traced_right(name):
    check_alone(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_pattern_is_refused_in_a_line(name):
    pattern = REFUSED[name]
    with pytest.raises(UsageError) as refusal:
        trace(pattern.make(), pattern.shape)
    message = str(refusal.value)
    assert pattern.refused in message
    assert "\n" not in message
    assert len(message) < 400
