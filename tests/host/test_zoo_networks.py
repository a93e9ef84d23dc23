"""The zoo's networks on this machine's OpenCL, dense and pruned, against float64."""

import pytest

from codegen.lowering.network import Options
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.plans.eligible import prunable
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph
from tests.host.network_check import TOLERANCE, run_network
from tests.sweep import sample
from tests.zoo.catalogue import ZOO, create_zoo
from tests.zoo.checking import as_module_returns, exact_outputs, largest_error, picture

COLUMNS = Sparsity.parse("columns:0.5:4x1")


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(ZOO, 2))
def test_zoo_network_runs_dense_and_pruned(host, tmp_path, name):
    network, shape = create_zoo(name), ZOO[name].shape
    x, graph = picture(shape), trace(network, shape, "zoo")
    outputs = as_module_returns(graph, run_network(host, graph, x, tmp_path))
    assert largest_error(outputs, exact_outputs(network, x)) <= TOLERANCE
    sparse = {layer.name: COLUMNS for layer in prunable(graph) if COLUMNS.applies_to(layer) is None}
    assert sparse
    pruned = prune_graph(graph, Plan.of("zoo", graph.layers, sparse))
    outputs = run_network(host, pruned, x, tmp_path, Options(sparsity=sparse))
    assert largest_error(outputs, run_graph(pruned, x)) <= TOLERANCE
