"""Networks built by a plan: zeros that are there, zeros that are not, and what the manifest says."""

import numpy as np
import pytest

from codegen.lowering.network import Options, lower_network
from codegen.lowering.planned import planned_graphs
from devices.profile import load_profile
from fleetpose.errors import UsageError
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph
from tests.tvm.test_network import small_graph

SPARSITY = Sparsity.parse("block_punched:0.5:8x4")


def plan_of(graph, **sparsities) -> Plan:
    return Plan.of("small", graph.layers, sparsities)


def test_weights_that_follow_the_plan_stay_as_they_are(caplog):
    graph = small_graph(20, 34)
    plan = plan_of(graph, one=SPARSITY)
    pruned = prune_graph(graph, plan)
    [found], had_to = planned_graphs([pruned], plan)
    assert found is pruned
    assert not had_to
    assert "pruned" not in caplog.text


def test_weights_without_the_zeros_are_an_error_that_names_the_layers():
    graph = small_graph(20, 34)
    with pytest.raises(UsageError, match=r"weights of one, two do not have .*keeps 9.*--prune"):
        planned_graphs([graph], plan_of(graph, one=SPARSITY, two=SPARSITY))


def test_planned_graphs_are_pruned_alike_at_every_size(caplog):
    graphs = [small_graph(20, 34), small_graph(34, 20)]
    found, had_to = planned_graphs(graphs, plan_of(graphs[0], one=SPARSITY), prune=True)
    assert had_to
    assert "without training" in caplog.text
    first, second = (graph.weights["one.weight"] for graph in found)
    assert (first == 0).mean() == 0.5
    np.testing.assert_array_equal(first, second)
    assert all(graph.weights["one.weight"].all() for graph in graphs), "the given graphs were changed"


@pytest.mark.parametrize("profile", ["host", "mali-g76"])
def test_the_manifest_names_each_layers_variant(profile):
    graph = small_graph(20, 34)
    plan = plan_of(graph, one=SPARSITY)
    options = Options(sparsity=plan.sparsities)
    entry = lower_network([prune_graph(graph, plan)], load_profile(profile), options).entries[0]
    variants = {code.layer: code.variant for code in entry.layers}
    assert variants == {**dict.fromkeys(variants, "dense"), "one": str(SPARSITY)}
    schedules = {code.layer: code.schedule for code in entry.layers}
    assert schedules["one"] != schedules["wide"]


def test_planned_graphs_refuse_a_plan_of_another_network(tmp_path):
    plan_of(small_graph(20, 34), one=SPARSITY).save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json", "small").model == "small"
    with pytest.raises(UsageError, match=r"plan of small, not of lwop"):
        Plan.load(tmp_path / "plan.json", "lwop")
