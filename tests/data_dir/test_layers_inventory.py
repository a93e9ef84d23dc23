"""Every network's convolutions against the independently derived inventory in ../shared/data/layers."""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict

import pytest
import torch

from models.frontend.trace import trace
from models.resolve import create_model, model_spec
from models.zoo.count import count_model
from tests import sweep

NAMES = (
    *("lwop", "openpose", "resnet50", "resnet50_2", "resnet50_3", "resnet50_3_t1", "resnet50_4"),
    *("efficientnet", "efficientnet_b0"),
)

#: the inventory's blocks by their first word and ours; its branches of the initial stage are our one initial stage
BLOCKS = {
    "backbone": "backbone",
    "neck": "neck",
    "init": "initial stage",
    "ref.trunk": "refinement stage",
    "ref.heat": "heatmap branch",
    "ref.paf": "PAF branch",
}


@functools.cache
def counted_of(name):
    return count_model(model_spec(name))


def our_block(theirs: str) -> str:
    return BLOCKS.get(theirs) or BLOCKS[theirs.split(".")[0]]


@pytest.fixture(scope="module")
def inventory_of(shared_dir):
    return lambda name: json.loads((shared_dir / f"data/layers/layers_{name}.json").read_text())


def expected(row) -> dict:
    return {
        **{key: row[key] for key in ("cin", "cout", "groups", "bias", "macs")},
        **{key: (row[key],) * 2 for key in ("stride", "dilation")},
        **{key: tuple(row[key]) for key in ("k", "pad")},
        "in": (row["hin"], row["win"]),
        "out": (row["hout"], row["wout"]),
        "block": our_block(row["block"]),
    }


@sweep.part(5)
@pytest.mark.parametrize("name", NAMES)
def test_every_convolution_is_the_inventorys_in_its_order(inventory_of, name):
    inventory, spec = inventory_of(name), model_spec(name)
    counted = counted_of(name)
    assert len(counted.convs) == len(inventory["rows"]) == inventory["nconv"]
    for conv, row in zip(counted.convs, inventory["rows"], strict=True):
        ours = {
            "cin": conv.in_shape[0],
            "cout": conv.out_shape[0],
            "k": conv.kernel,
            "stride": conv.stride,
            "groups": conv.groups,
            "dilation": conv.dilation,
            "pad": conv.padding,
            "in": conv.in_shape[1:],
            "out": conv.out_shape[1:],
            "bias": conv.bias,
            "macs": conv.macs,
            "block": spec.block(conv.module),
        }
        assert ours == expected(row), (conv.module, row["name"])


@sweep.part(4)
@pytest.mark.parametrize("name", NAMES)
def test_inventory_totals_are_those_counted(inventory_of, name):
    inventory, spec = inventory_of(name), model_spec(name)
    counted = counted_of(name)
    totals = (counted.params, counted.macs, counted.macs_bn)
    assert totals == tuple(inventory[key] for key in ("params", "macs", "thop"))
    macs, theirs = Counter(), Counter()
    for conv in counted.convs:
        macs[spec.block(conv.module)] += conv.macs
    for block, sums in inventory["summary"].items():
        theirs[our_block(block)] += sums["macs"]
    assert macs == theirs


@pytest.mark.parametrize("name", ["lwop", pytest.param("resnet50", marks=pytest.mark.long)])
def test_every_convolution_of_the_graph_is_the_inventorys(inventory_of, name):
    """In the graph the order is the fused one, so blocks are compared as bags."""
    spec = model_spec(name)
    graph = trace(create_model(name), (3, *spec.size), name)
    ours, theirs = defaultdict(Counter), defaultdict(Counter)
    for layer in graph.layers:
        if layer.op == "conv":
            sizes = (layer.in_shapes[0], layer.out_shape, layer.kernel, layer.stride, layer.padding, layer.dilation)
            ours[spec.block(layer.module)][(*sizes, layer.groups, layer.macs)] += 1
    for found in map(expected, inventory_of(name)["rows"]):
        sizes = ((found["cin"], *found["in"]), (found["cout"], *found["out"]))
        rest = (found["k"], found["stride"], found["pad"], found["dilation"], found["groups"], found["macs"])
        theirs[found["block"]][(*sizes, *rest)] += 1
    assert ours == theirs


@sweep.part(4)
@pytest.mark.parametrize("name", NAMES)
def test_inventory_output_shapes_are_those_of_the_network(inventory_of, name):
    with torch.device("meta"):
        stages = model_spec(name).build().eval().stages(torch.empty(1, 3, 368, 368))
    assert [list(stage.shape) for stage in stages] == inventory_of(name)["outs"]
