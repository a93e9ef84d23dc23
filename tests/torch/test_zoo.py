"""The zoo's networks, small and after published architectures: each is traced and computes what PyTorch does."""

import numpy as np
import pytest

from benchmarks.zoo import ZooRow, markdown, put_table, read_rows, write_rows
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.reference import run_graph
from tests import sweep
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


@sweep.part(2)
@pytest.mark.parametrize("name", QUICK)
def test_zoo_network_equals_pytorch_in_float64(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep.sample([name for name in ZOO if name not in QUICK]))
def test_any_zoo_network_equals_pytorch_in_float64(name):
    check(name)


ROWS = {
    name: ZooRow(name, "backbones", "64x48", "8", "1.20", "1.000", "1.0e-07", reason=why)
    for name, why in (("VGG", ""), ("ResNet", "tan: it is not supported"))
}


def test_rows_of_the_zoo_are_kept_in_its_order(tmp_path):
    write_rows(tmp_path / "zoo.csv", ROWS)
    assert [*read_rows(tmp_path / "zoo.csv").values()] == [ROWS["ResNet"], ROWS["VGG"]]
    assert read_rows(tmp_path / "none.csv") == {}


def test_table_of_the_zoo_takes_its_place_in_a_document(tmp_path):
    path = tmp_path / "networks.md"
    table = markdown([*ROWS.values()])
    assert table.splitlines()[2] == "| VGG | 64x48 | 8 | 1.20 | 100% | 1.0e-07 |  |"
    put_table(path, "old")
    path.write_text(f"before\n{path.read_text()}after\n")
    put_table(path, table)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert table in text
    assert "old" not in text
    path.write_text("no table")
    with pytest.raises(UsageError, match="no table to replace"):
        put_table(path, table)
