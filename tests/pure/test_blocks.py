"""Blocks of a network by module path."""

import pytest

from models.resolve import model_spec
from models.zoo.blocks import LWOP_BLOCKS, TWO_BRANCH_BLOCKS, UNNAMED, block_of, covers


@pytest.mark.parametrize(
    ("pattern", "path", "answer"),
    [
        ("model", "model.3.depthwise", True),
        ("model", "models.3", False),
        ("model.3", "model", False),
        ("a.*.b", "a.0.b.conv", True),
        ("a.*.b", "a.0.c.b", False),
        ("a.*", "a", False),
        ("a", "", False),
    ],
)
def test_block_pattern_covers_whole_components(pattern, path, answer):
    assert covers(pattern, path) is answer


def test_block_patterns_are_tried_in_order():
    assert block_of("a.b", (("a.b", "one"), ("a", "two"))) == "one"
    assert block_of("a.c", (("a.b", "one"), ("a", "two"))) == "two"


@pytest.mark.parametrize(
    ("table", "path", "block"),
    [
        (LWOP_BLOCKS, "cpm.trunk.0.depthwise.conv", "neck"),
        (LWOP_BLOCKS, "initial_stage.pafs.0.conv", "initial stage"),
        (LWOP_BLOCKS, "refinement_stages.0.trunk.4.initial.conv", "refinement stage"),
        (TWO_BRANCH_BLOCKS, "refinement_stages.4.heatmaps.2.conv", "heatmap branch"),
        (TWO_BRANCH_BLOCKS, "refinement_stages.0.pafs.0", "PAF branch"),
        (TWO_BRANCH_BLOCKS, "backbone.layers.1.0", "backbone"),
        ((), "backbone", UNNAMED),
    ],
)
def test_block_of_knows_module_paths(table, path, block):
    assert block_of(path, table) == block


def test_a_spec_answers_blocks_without_torch():
    assert model_spec("resnet50").block("backbone.stem.conv") == "backbone"
    assert model_spec("human_pose_0001").block("") == "network"
