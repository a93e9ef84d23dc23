"""The registry: what is known without torch, reproducible models, errors."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.resolve import create_model, model_spec
from models.zoo.registry import model_names, register_model


def test_a_spec_is_known_without_torch():
    code = "import sys; from models.resolve import model_spec; model_spec('lwop'); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or "torch was imported"


def test_registry_has_the_specs_of_the_family():
    assert {"lwop", "human_pose_0001"} <= set(model_names())
    for name, scale in (("lwop", 1 / 256), ("human_pose_0001", 1 / 255)):
        spec = model_spec(name)
        assert (spec.size, spec.stride, spec.outputs) == ((368, 368), 8, ("heatmaps", "pafs"))
        assert spec.preprocessing.mean == (128.0, 128.0, 128.0)
        assert (spec.preprocessing.scale, spec.preprocessing.channels) == (scale, "BGR")


def test_a_spec_is_frozen():
    with pytest.raises(FrozenInstanceError):
        model_spec("lwop").stride = 4


@pytest.mark.parametrize(
    ("name", "hint"), [("lwopp", "did you mean 'lwop'?"), ("qqq", "known: ")], ids=["close", "far"]
)
def test_an_unknown_model_gets_a_hint(name, hint):
    for function in (model_spec, create_model):
        with pytest.raises(UsageError, match=f"unknown model '{name}'") as error:
            function(name)
        assert hint in str(error.value)


def test_registry_refuses_a_name_twice():
    spec = model_spec("lwop")
    assert register_model(spec) is spec
    with pytest.raises(UsageError, match="'lwop' is already registered"):
        register_model(replace(spec, stride=4))


def test_random_weights_depend_on_the_seed_alone():
    before = torch.random.get_rng_state()
    first, again, other = create_model("lwop", seed=1), create_model("lwop", seed=1), create_model("lwop", seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not first.training
    names = first.state_dict().keys()
    assert all(torch.equal(first.state_dict()[name], again.state_dict()[name]) for name in names)
    assert not torch.equal(first.model[0].conv.weight, other.model[0].conv.weight)


def test_posenet_is_mobilenet_with_four_heads_and_reads_the_published_order():
    network = create_model("posenet", seed=1)
    graph = trace(network, (3, 33, 49))
    assert [graph.shape(output) for output in graph.outputs] == [(channels, 3, 4) for channels in (17, 34, 32, 32)]
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_258_195
    numbered = {
        f"{number:02}.{kind}": tensor
        for number, unit in enumerate([*network.backbone, *network.heads.values()])
        for kind, tensor in (("weight", unit.conv.weight), ("bias", unit.conv.bias))
    }
    (layout,) = network.layouts
    assert all(tensor is network.state_dict(keep_vars=True)[name] for name, tensor in layout(numbered).items())
    assert layout({"00.weight": network.backbone[0].conv.weight}) is None
