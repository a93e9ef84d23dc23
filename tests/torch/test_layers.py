"""models.list and models.layers: rows, sums, fields against gradients, command lines."""

from __future__ import annotations

import json

import pytest
import torch

from fleetpose import cli
from models import layers as layers_command
from models import list as list_command
from models.frontend.trace import trace
from models.graph.receptive import receptive_fields
from models.layers import layer_rows, layers
from models.networks.efficientnet import efficientnet
from models.resolve import model_spec
from models.zoo.registry import model_names


def run(command, *argv) -> int:
    return cli.run(command.main, command.make_parser(), argv)


def test_every_layer_of_a_network_has_a_block():
    rows = layers("lwop", (64, 64))
    assert {row.block for row in rows} == {
        *("backbone", "neck", "initial stage", "refinement stage", "heatmap branch", "PAF branch")
    }
    concat = next(row for row in rows if row.op == "concat")
    assert concat.block == "refinement stage"
    sums = layers_command.block_sums(rows)
    assert sum(found.macs for found in sums.values()) == sum(row.macs for row in rows)
    assert sum(found.layers for found in sums.values()) == 57


def test_a_graph_without_a_spec_is_one_block():
    graph = trace(torch.nn.Conv2d(3, 4, 3), (3, 8, 8))
    assert [row.block for row in layer_rows(graph)] == ["network"]


def test_receptive_fields_are_where_gradients_are():
    """Positive weights and input keep every path alive, so the pixels with a gradient are the field."""
    network = efficientnet("b0", (1, 1, 1, 2), (8, 8, 8, 8), activation="relu").eval()
    module = torch.nn.Sequential(network.backbone, network.neck).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_().add_(0.01)
    side = 288
    graph = trace(module, (3, side, side))
    field = receptive_fields(graph)[graph.outputs[0]]
    x = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    cell = side // 16
    module(x)[0, 0, cell, cell].backward()
    for axis, span in ((1, field.rows), (2, field.columns)):
        live = torch.nonzero((x.grad[0] != 0).any(0).any(2 - axis)).flatten()
        first, last = live[0].item(), live[-1].item()
        assert (first, last) == (span.low + cell * span.stride, span.high + cell * span.stride)
        assert last - first + 1 == span.size < side


@pytest.mark.slow
def test_list_command_has_every_network_and_the_papers_numbers(capsys):
    assert run(list_command, "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert set(rows) == set(model_names())
    # with squeeze-excite the counts are further from the paper's: they are those of a network without
    assert rows.pop("efficientnet_se")["params_difference"] > 0.03
    for name, row in rows.items():
        for key in ("params_difference", "macs_difference"):
            assert row[key] is None or abs(row[key]) < 0.01, (name, key)
        if row["paper_layers"] is not None:
            assert row["backbone_layers"] == row["paper_layers"]
    assert rows["resnet50_3"]["backbone_layers"] == 72
    assert rows["human_pose_0001"]["paper_gmacs"] is None


def test_list_command_shows_some_networks(capsys):
    assert run(list_command, "resnet50", "lwop") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["resnet50", "lwop"]
    assert run(list_command, "resnet5") == 2
    assert "did you mean 'resnet50'?" in capsys.readouterr().err


@pytest.mark.slow
def test_layers_command_takes_a_size(capsys):
    assert run(layers_command, "--model", "resnet50", "--json", "--size", "64", "96") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["size"] == [64, 96]
    assert answer["layers"][0]["out_shape"] == [64, 32, 48]
    assert answer["layers"][-1]["receptive_stride"] == [8, 8]
    assert answer["blocks"]["backbone"]["layers"] == 24
    assert answer["macs"] == sum(row["macs"] for row in answer["layers"])


@pytest.mark.parametrize("text", ["64", "64x", "x64", "64x64x64", "0x64", "-8x64", "6.4x64", "ax64", "٤x64", ""])
def test_layers_command_refuses_wrong_sizes(text, capsys):
    assert run(layers_command, "--model", "lwop", f"--size={text}") == 2
    assert "is not HEIGHTxWIDTH in pixels, such as 368x496" in capsys.readouterr().err


def test_layers_command_refuses_a_size_below_the_stride_and_a_wrong_name(capsys):
    assert run(layers_command, "--model", "openpose", "--size", "4x64") == 2
    assert "size 4x64 is smaller than openpose's stride; give at least 8" in capsys.readouterr().err
    assert run(layers_command, "--model", "openpos") == 2
    assert "did you mean 'openpose'?" in capsys.readouterr().err
    assert cli.image_size("8X16") == (8, 16)
    assert model_spec("openpose").stride == 8
