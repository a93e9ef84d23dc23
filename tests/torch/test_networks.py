"""The families of the paper's networks: totals, tracing, random weights, parameters."""

from __future__ import annotations

import pytest
import torch
from random_weights import check_traced, shake_batch_norms

from fleetpose.errors import UsageError
from models.networks.efficientnet import efficientnet
from models.networks.openpose import openpose
from models.networks.resnet import resnet
from models.resolve import create_model, model_spec
from models.zoo.count import count_model
from tests import sweep

#: name: (parameters M, conv GMACs, GMACs with bias and batch norm), from ../shared/docs/networks.md
TABLE = {
    "lwop": (4.090, 8.88, 8.94),
    "openpose": (52.311, 135.93, 136.0),
    "resnet50": (5.574, 13.616, 13.677),
    "resnet50_2": (6.694, 15.973, 16.047),
    "resnet50_3": (6.762, 16.268, 16.381),
    "resnet50_3_t1": (6.778, 16.014, 16.119),
    "resnet50_4": (6.837, 16.303, 16.473),
    "efficientnet": (3.351, 9.143, 9.312),
    "efficientnet_b0": (3.388, 7.331, 7.383),
    "efficientnet_se": (3.499, 9.143, 9.312),
}
LARGE = [pytest.param(name, marks=pytest.mark.long) for name in ("efficientnet", "openpose")]
SMALL = {
    "resnet50": lambda: resnet((2, 2), (8, 12), head_width=8, refinements=2, activation="hardtanh"),
    "efficientnet": lambda: efficientnet("b0", (1, 1, 2, 1), (8, 8, 8, 16), head_width=8, activation="hardswish"),
    "openpose": lambda: openpose(((8, 8), (12,), (16, 16), (24,)), 8, 2, (7, 3), "elu"),
}


@sweep.part(5)
@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_networks_have_the_parameters_and_macs_of_the_paper(name):
    found = count_model(model_spec(name))
    ours = (found.params / 1e6, found.macs / 1e9, found.macs_bn / 1e9)
    assert ours == pytest.approx(TABLE[name], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", *LARGE])
def test_the_graph_computes_what_torch_does(name):
    graph = check_traced(shake_batch_norms(create_model(name, seed=2)), (3, 64, 64))
    assert [graph.shape(output) for output in graph.outputs] == [(19, 8, 8), (38, 8, 8)]
    assert graph.macs == count_model(model_spec(name), (64, 64)).macs
    assert {layer.op for layer in graph.layers} <= {"conv", "max_pool", "concat"}


@pytest.mark.long
def test_the_graph_of_a_network_with_squeeze_excite_computes_what_torch_does():
    graph = check_traced(shake_batch_norms(create_model("efficientnet_se", seed=2)), (3, 64, 64))
    assert sum(layer.op == "avg_pool" for layer in graph.layers) == 13
    assert graph.macs == count_model(model_spec("efficientnet_se"), (64, 64)).macs


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_other_parameters_trace_as_well(name):
    graph = check_traced(shake_batch_norms(SMALL[name]().eval()), (3, 40, 72))
    assert [graph.shape(output) for output in graph.outputs] == [(19, 5, 9), (38, 5, 9)]
    assert {layer.op for layer in graph.layers} <= {"conv", "max_pool", "concat"}  # the rest is fused


def test_stages_are_all_outputs_and_forward_the_last():
    module = create_model("openpose")
    with torch.device("meta"):
        x = torch.empty(2, 3, 64, 48)
    stages = module.to("meta").stages(x)
    assert [tuple(stage.shape) for stage in stages] == [(2, 19, 8, 6), (2, 38, 8, 6)] * 6
    small = SMALL["resnet50"]().eval()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = small.stages(x)[-2:], small(x)
    assert len(small.stages(x)) == 6
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("name", ["openpose", "resnet50", "resnet50_4", "efficientnet", "efficientnet_b0"])
def test_random_activations_neither_vanish_nor_explode(name):
    module = create_model(name, seed=1)
    spreads = {}
    for path, part in module.named_modules():
        if path.endswith("conv"):
            part.register_forward_hook(lambda _part, _x, y, path=path: spreads.update({path: y.std().item()}))
    with torch.no_grad():
        module(torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) - 0.5)
    outside = {path: spread for path, spread in spreads.items() if not 0.02 < spread < 20}
    assert not outside


def test_specs_say_what_is_the_papers():
    for name in TABLE:
        facts = model_spec(name).paper
        assert facts is not None
        assert facts.given
        assert facts.inferred
    assert model_spec("resnet50_3").parameters == {"depths": (7, 16), "widths": (40, 80)}
    assert model_spec("human_pose_0001").paper is None


def test_odd_inputs_keep_their_rounded_up_maps():
    network = create_model("efficientnet_b0").to("meta")
    assert [tuple(found.shape[2:]) for found in network(torch.empty(1, 3, 67, 42, device="meta"))] == [(9, 6)] * 2


def test_an_unknown_variant_or_activation_gets_a_hint():
    with pytest.raises(UsageError, match="unknown EfficientNet variant 'b2'; did you mean 'b"):
        efficientnet("b2")
    with pytest.raises(UsageError, match="unknown activation 'hardtahn'; did you mean 'hardtanh'"):
        efficientnet(activation="hardtahn")
