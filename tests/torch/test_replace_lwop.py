"""Lightweight OpenPose through operator replacement: the paper's design, its weights, its files, its command."""

from __future__ import annotations

import json

import pytest
import torch

from fleetpose import cli
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.networks.lwop import Lwop
from models.replace import (
    Replacement,
    advise,
    compare,
    plan_of,
    read_plan,
    replace_operators,
    replaced_spec,
    save_replaced,
)
from models.replace.__main__ import main, make_parser
from models.resolve import build_model, create_model, model_spec
from models.zoo.count import count

SHAPE = (3, 368, 368)


@pytest.fixture(scope="module")
def lwop():
    return create_model("lwop")


@pytest.fixture(scope="module")
def advice(lwop):
    return advise(lwop, SHAPE, activation="relu6")


@pytest.fixture(scope="module")
def replaced(lwop, advice):
    return replace_operators(lwop, plan_of(advice))


@pytest.mark.slow
def test_replace_takes_lwop_to_the_papers_design(replaced):
    graph = trace(replaced, SHAPE)
    assert graph.macs == 10_441_732_096
    assert sum(parameter.numel() for parameter in replaced.parameters()) == 4_828_978
    assert not any(step.kind == "elu" for layer in graph.layers for step in layer.epilogue)
    for block in range(5):
        path = f"refinement_stages.0.trunk.{block}.trunk."
        chain = [layer for layer in graph.layers if layer.module.startswith(path)]
        assert [(layer.kernel, layer.dilation, layer.out_shape) for layer in chain] == [
            ((3, 3), (1, 1), (128, 46, 46))
        ] * 3
        assert [[str(step) for step in layer.epilogue] for layer in chain] == [["relu"], ["relu"], ["relu", "add"]]


def test_the_plan_is_the_five_dilated_and_six_elus_and_the_grouped_one_is_refused(advice):
    plan = plan_of(advice)
    assert [replacement.kind for replacement in plan].count("dilation") == 5
    assert [replacement.kind for replacement in plan].count("activation") == 6
    refused = [each for each in advice if each.refused]
    assert [each.replacement.path for each in refused] == ["model.7.depthwise.conv"]
    assert refused[0].refused.startswith("grouped")
    assert all(each.winograd_gained == 2 for each in advice if each.replacement.kind == "dilation" and each.planned)


@pytest.mark.long
def test_the_account_is_what_counting_both_graphs_gives(lwop, advice, replaced):
    before, after = compare(lwop, replaced, SHAPE)
    for module, cost in ((lwop, before), (replaced, after)):
        graph, counted = trace(module, SHAPE), count(module, SHAPE)
        assert cost.macs == graph.macs == sum(conv.macs for conv in counted.convs)
        assert cost.params == counted.params
        legal = [
            layer
            for layer in graph.layers
            if layer.op == "conv"
            and (layer.kernel, layer.stride, layer.dilation, layer.groups) == ((3, 3), (1, 1), (1, 1), 1)
        ]
        assert (cost.winograd_layers, cost.winograd_macs) == (len(legal), sum(layer.macs for layer in legal))
    for name in ("macs", "params", "winograd_layers", "winograd_macs", "smooth"):
        parts = sum(getattr(each.after, name) - getattr(each.before, name) for each in advice if each.planned)
        assert parts == getattr(after, name) - getattr(before, name), name
    assert before.receptive_field == after.receptive_field


def test_the_original_is_left_and_all_other_weights_are_carried_over(lwop, advice, replaced):
    again = create_model("lwop").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in lwop.state_dict().items())
    touched = {each.replacement.path for each in advice} | {each.replacement.norm for each in advice if each.planned}
    touched -= {"", "model.7.depthwise.conv"}
    held = replaced.state_dict()
    kept = [name for name in again if not name.startswith(tuple(f"{path}." for path in touched))]
    assert len(kept) == len(again) - 5 * 6
    assert all(torch.equal(again[name], held[name]) for name in kept)
    assert isinstance(replaced, Lwop)
    assert len(replaced.stages(torch.zeros(1, 3, 32, 32))) == 4


def test_replaced_network_trains(replaced):
    network = replaced.train()
    try:
        sum(output.square().mean() for output in network(torch.randn(2, 3, 32, 32))).backward()
        grads = {name: parameter.grad for name, parameter in network.named_parameters()}
        chained = [name for name in grads if ".trunk.1.conv." in name and "refinement" in name]
        assert len(chained) == 5 * 4
        assert all(grads[name] is not None and grads[name].abs().sum() > 0 for name in chained)
    finally:
        network.zero_grad()
        network.eval()


def test_replaced_files_rebuild_the_network(tmp_path, replaced, advice):
    path = tmp_path / "replaced.safetensors"
    save_replaced(replaced, path, "lwop", plan_of(advice))
    name, plan = read_plan(tmp_path / "replaced.json")
    assert (name, plan) == ("lwop", plan_of(advice))
    loaded, held = create_model(str(tmp_path / "replaced.json"), path), replaced.state_dict()
    assert loaded.state_dict().keys() == held.keys()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(loaded(x), replaced(x), strict=True))
    with pytest.raises(UsageError, match=r"exists; add --force"):
        save_replaced(replaced, path, "lwop", plan_of(advice))


def test_a_random_replaced_model_depends_on_the_seed_alone(advice):
    spec = replaced_spec(model_spec("lwop"), plan_of(advice))
    assert spec.name == "lwop+replaced"
    first, same, other = (build_model(spec, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(tensor, same[name]) for name, tensor in first.items())
    name = "refinement_stages.0.trunk.0.trunk.1.conv.3.weight"
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "format is 'list'"),
        ('{"format": "x"}', "format is 'x'"),
        ('{"format": "fleetpose.replaced/1"}', "has no 'model'"),
        ('{"format": "fleetpose.replaced/1", "model": "lwop", "replacements": [{"kin": "a"}]}', "did you mean 'kind'"),
    ],
)
def test_replaced_files_with_broken_descriptions_are_named(tmp_path, text, message):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_plan(tmp_path / "plan.json")


def test_a_plan_for_another_network_is_refused(lwop):
    with pytest.raises(UsageError, match="no module 'nowhere'"):
        replace_operators(lwop, [Replacement("activation", "nowhere", "elu", "relu")])
    with pytest.raises(UsageError, match="is a ReLU, not the planned elu"):
        replace_operators(lwop, [Replacement("activation", "cpm.align.activation", "elu", "relu")])


def run(argv):
    return cli.run(main, make_parser(), argv)


@pytest.mark.slow
def test_replace_command_advises_and_writes(tmp_path, capsys):
    out = str(tmp_path / "r.safetensors")
    assert run(["--model", "lwop", "--size", "32x40", "--activation", "relu6", "-o", out, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["input_shape"] == [3, 32, 40]
    assert value["after"]["winograd_layers"] - value["before"]["winograd_layers"] == 10
    assert sum(each["planned"] for each in value["advice"]) == 11
    assert create_model(str(tmp_path / "r.json"), out) is not None
    assert run(["--model", "lwop", "--size", "32x40", "--only", "activation", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "cpm.trunk.0.depthwise.activation and 5 more" in text
    assert "dilation" not in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model", "lwop"], "give -o FILE.safetensors, or --dry-run"),
        (["--model", "lwop", "--dry-run", "--only", "activatoin"], "did you mean 'activation'"),
        (["--model", "lwop", "--dry-run", "--size", "368"], "is not HEIGHTxWIDTH"),
        (["--model", "lwpo", "--dry-run"], "did you mean 'lwop'"),
    ],
)
def test_replace_command_refuses_bad_arguments_in_one_line(argv, message, capsys):
    assert run(argv) == 2
    assert message in capsys.readouterr().err


def test_a_replaced_network_is_a_model_by_its_file(tmp_path):
    network = create_model("lwop")
    plan = plan_of(advise(network, (3, 64, 64)))
    replaced = replace_operators(network, plan)
    save_replaced(replaced, tmp_path / "x.safetensors", "lwop", plan)
    again = create_model(str(tmp_path / "x.json"), tmp_path / "x.safetensors")
    assert model_spec(str(tmp_path / "x.json")).name == "lwop+replaced"
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for one, other in zip(again(x), replaced(x), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    with pytest.raises(UsageError):
        model_spec(str(tmp_path / "none.json"))
