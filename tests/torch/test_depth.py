"""Depth determination: closed forms against real modules, budgets, callbacks, command line."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from fleetpose import cli
from fleetpose.errors import UsageError
from models import depth as command
from models.depth import determine_depth, family_members
from models.depth_search.families import FAMILIES
from models.depth_search.search import DepthSearch
from models.graph.network import Graph
from models.resolve import create_model, model_spec
from models.zoo.count import count_model
from models.zoo.weights import save_weights
from tests import sweep
from tests.tiny_pose import write_coco


def run(*argv) -> int:
    return cli.run(command.main, command.make_parser(), argv)


@sweep.part(2)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "search"),
    [
        ("resnet", DepthSearch(16.4)),
        ("resnet", DepthSearch(9.7, step=4, blocks=(2, 9, 17))),
        ("resnet", DepthSearch(4, tolerance=0.05, blocks=(7, 12), size=(201, 266), all_splits=True)),
        ("efficientnet", DepthSearch(9.3)),
        ("efficientnet", DepthSearch(6, step=4, blocks=(4, 17))),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.gmacs:g}",
)
def test_closed_forms_equal_the_built_network(family, search):
    for found in sweep.sample(determine_depth(family, search)[:6], 2):
        counted = count_model(found.spec, search.size)
        backbone = sum(found.spec.block(conv.module) == "backbone" for conv in counted.convs)
        assert (found.layers, found.macs, found.macs_bn, found.params) == (
            *(backbone, counted.macs, counted.macs_bn, counted.params),
        ), found.spec.name


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("gmacs", "step"), [(7, 8), (9, 4), (16.4, 8)])
def test_what_holds_is_within_the_tolerance_and_shrunk(family, gmacs, step):
    members = FAMILIES[family]
    candidates = determine_depth(family, DepthSearch(gmacs, step=step))
    assert [sum(found.depths) for found in candidates] == list(members.totals)
    for found in candidates:
        assert found.holds == (abs(found.macs_bn / 1e9 - gmacs) <= 0.02 * gmacs)
        for width, full in zip(found.widths, members.widths, strict=True):
            assert 0 < width <= full
            assert width % step == 0 or width == full
        assert min(found.depths) >= 1


def test_the_base_network_is_found_at_its_own_budget():
    (found,) = determine_depth("resnet", DepthSearch(13.677, blocks=(7,)))
    assert (found.depths, found.widths, found.holds) == ((3, 4), (64, 128), True)
    assert found.layers == 24


def test_the_papers_other_networks_are_among_all_splits():
    for name, gmacs in (("resnet50_2", 16.05), ("resnet50_3", 16.38)):
        parameters = model_spec(name).parameters
        search = DepthSearch(gmacs, tolerance=0.02, step=8, blocks=(sum(parameters["depths"]),), all_splits=True)
        depths = [found.depths for found in determine_depth("resnet", search)]
        assert parameters["depths"] in depths


def test_all_splits_are_different_and_hold():
    found = determine_depth("resnet", DepthSearch(16.4, blocks=(23,), all_splits=True))
    assert len(found) > 5
    assert all(candidate.holds for candidate in found)
    assert max(Counter(candidate.depths for candidate in found).values()) == 1


def test_nothing_holds_a_budget_above_the_full_widths():
    (found,) = determine_depth("resnet", DepthSearch(40, blocks=(7,)))
    assert (found.holds, found.depths, found.widths) == (False, (3, 4), (64, 128))


@pytest.mark.slow
def test_depth_search_takes_latency_and_accuracy_from_the_caller():
    seen = []

    def latency_of(graph):
        assert isinstance(graph, Graph)
        seen.append(graph.macs)
        return 0.125

    search = DepthSearch(0.5, blocks=(7,), size=(64, 64))
    (found,) = determine_depth("resnet", search, latency_of, lambda module, candidate: float(module.training))
    assert (found.latency_secs, found.accuracy) == (0.125, 0.0)
    assert seen == [found.macs]
    (alone,) = determine_depth("resnet", search, accuracy_of=lambda _module, _candidate: 0.5)
    assert (alone.latency_secs, alone.accuracy) == (None, 0.5)
    assert replace(alone, accuracy=None) == determine_depth("resnet", search)[0]


@pytest.mark.parametrize(
    ("gmacs", "tolerance", "step"), [(0, 0.02, 8), (float("nan"), 0.02, 8), (9, 0, 8), (9, 1, 8), (9, 0.02, 0)]
)
def test_depth_search_refuses_senseless_requests(gmacs, tolerance, step):
    with pytest.raises(UsageError, match="must be above 0"):
        DepthSearch(gmacs, tolerance, step)


def test_depth_command_prints_what_it_found(capsys):
    assert run("--family", "resnet", "--gmacs", "16.4", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["layers"] for row in answer["candidates"]][:2] == [24, 36]
    assert {row["layers"]: row["gmacs"] for row in answer["paper"]} == {24: 13.68, 36: 16.05, 72: 16.09, 147: 16.46}
    assert run("--family", "resnet", "--gmacs", "16.4", "--blocks", "23") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-3:] == ["16.09", "0.436", "0.693"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--family", "resnt"], "did you mean 'resnet'?"),
        (["--family", "resnet", "--blocks", "1"], "1 blocks cannot fill 2 stages"),
        (["--family", "resnet", "--blocks", "-3"], "'-3' is not a whole number of at least 1"),
        (["--family", "efficientnet", "--blocks", "5000"], "in too many ways"),
    ],
)
def test_depth_command_refuses_wrong_flags(argv, message, capsys):
    assert run("--gmacs", "9", *argv) == 2
    assert message in capsys.readouterr().err


def test_depth_command_takes_weights_only_with_data(capsys):
    for flags, text in [
        (["--members", "--weights", "resnet50=a.safetensors"], "go together"),
        (["--weights", "a.safetensors", "--data", "x"], "unknown network"),
    ]:
        argv = ["--family", "resnet", "--gmacs", "16.4", "--blocks", "7", *flags]
        assert run(*argv) == 2
        assert text in capsys.readouterr().err


@pytest.mark.slow
def test_weights_that_do_not_fit_their_row(capsys, tmp_path):
    save_weights(create_model("resnet50"), tmp_path / "w.safetensors")
    coco = write_coco(tmp_path / "coco", images=1)
    argv = ["--family", "resnet", "--gmacs", "16.4", "--blocks", "7", "--members", "--data", str(coco)]
    assert run(*argv, "--weights", f"resnet50_3={tmp_path}/w.safetensors") == 2
    assert "does not fit" in capsys.readouterr().err
    assert run(*argv, "--weights", f"resnet50_3={tmp_path}/none.safetensors") == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.slow
def test_members_are_the_registered_networks():
    found = {each.spec.name: each for each in family_members("resnet", (368, 368))}
    assert list(found) == ["resnet50", "resnet50_2", "resnet50_3", "resnet50_3_t1", "resnet50_4"]
    assert (found["resnet50_3"].depths, found["resnet50_3"].widths) == ((7, 16), (40, 80))
    assert found["resnet50_3"].macs_bn == pytest.approx(16.381e9, rel=1e-4)
