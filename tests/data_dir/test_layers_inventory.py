"""LWOP's layers against the independently derived inventory in ../shared/data/layers."""

from __future__ import annotations

import json

import pytest

from models.registry import create_model
from models.trace import trace

BLOCKS = {
    "backbone": "model.",
    "neck": "cpm.",
    "init.trunk": "initial_stage.trunk.",
    "init.heat": "initial_stage.heatmaps.",
    "init.paf": "initial_stage.pafs.",
    "ref.trunk": "refinement_stages.0.trunk.",
    "ref.heat": "refinement_stages.0.heatmaps.",
    "ref.paf": "refinement_stages.0.pafs.",
}


@pytest.fixture(scope="module")
def inventory(shared_dir):
    return json.loads((shared_dir / "data/layers/layers_lwop.json").read_text())


@pytest.fixture(scope="module")
def module():
    return create_model("lwop")


@pytest.fixture(scope="module")
def graph(module):
    return trace(module, (3, 368, 368), "lwop")


def test_every_convolution_is_the_inventorys(inventory, graph):
    convs = [layer for layer in graph.layers if layer.op == "conv"]
    assert len(convs) == len(inventory["rows"]) == inventory["nconv"]
    for layer, row in zip(convs, inventory["rows"], strict=True):
        assert layer.name.startswith(BLOCKS[row["block"]]), (layer.name, row["name"])
        ours = {
            "cin": layer.in_shapes[0][0],
            "cout": layer.out_shape[0],
            "k": list(layer.kernel),
            "stride": layer.stride,
            "groups": layer.groups,
            "dilation": layer.dilation,
            "pad": list(layer.padding),
            "in": layer.in_shapes[0][1:],
            "out": layer.out_shape[1:],
            "macs": layer.macs,
        }
        theirs = {
            **{key: row[key] for key in ("cin", "cout", "k", "groups", "pad", "macs")},
            **{key: (row[key],) * 2 for key in ("stride", "dilation")},
            "in": (row["hin"], row["win"]),
            "out": (row["hout"], row["wout"]),
        }
        assert ours == theirs, row["name"]


def test_biases_are_where_the_inventory_has_them(inventory, module):
    convs = [part for part in module.modules() if type(part).__name__ == "Conv2d"]
    assert [conv.bias is not None for conv in convs] == [row["bias"] for row in inventory["rows"]]


def test_totals(inventory, graph, module):
    assert sum(parameter.numel() for parameter in module.parameters()) == inventory["params"]
    assert graph.macs == inventory["macs"]
    for block, prefix in BLOCKS.items():
        layers = [layer for layer in graph.layers if layer.name.startswith(prefix)]
        assert sum(layer.macs for layer in layers) == inventory["summary"][block]["macs"], block


def test_output_shapes(inventory, module):
    import torch

    with torch.no_grad():
        stages = module.stages(torch.zeros(1, 3, 368, 368))
    assert [list(stage.shape) for stage in stages] == inventory["outs"]
