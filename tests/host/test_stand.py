"""A planned network beside the dense one on this machine."""

import pytest

from codegen.tuning.database import Tuned
from fleetpose.errors import UsageError
from latency.planning.refine import Stand
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.prepare import Recipe
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.resolve import create_model
from tests.small_network import register_small

MODEL = register_small()


@pytest.fixture(scope="module")
def graph():
    return trace(create_model(MODEL, seed=1), (3, 64, 64), MODEL)


@pytest.fixture(scope="module")
def stand(host, graph) -> Stand:
    return Stand(host, graph, Recipe(host.profile, Tuned(()).choice), RunSettings(rounds=4), "float32")


@pytest.mark.parametrize("layers", [(), ("one", "two")])
def test_stand_times_a_plan_whatever_the_weights(stand, graph, layers):
    plan = Plan.of(MODEL, graph.layers, dict.fromkeys(layers, Sparsity.parse("columns:0.75:4x1")))
    found = stand.time(plan)
    assert 12 <= len(found.rounds) <= 48
    assert 0 < found.low <= found.median <= found.high


def test_stand_refuses_a_plan_of_another_network(stand, graph):
    with pytest.raises(UsageError, match="other"):
        stand.time(Plan("other", ()))
