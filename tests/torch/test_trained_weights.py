"""The weights that come with the project: they load, and have the zeros of their plans."""

from pathlib import Path

import numpy as np
import pytest

import models
from codegen.lowering.planned import planned_graphs
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.zoo.resolve import create_model

FOLDER = Path(models.__file__).parent / "trained"
MODEL = "resnet50_3"


def graph_of(name):
    return trace(create_model(MODEL, FOLDER / f"{name}.safetensors"), (3, 368, 368), MODEL)


def test_the_dense_ones_are_dense():
    weights = graph_of(MODEL).weights
    assert all(np.isfinite(value).all() for value in weights.values())
    assert np.mean([(value == 0).mean() for value in weights.values()]) < 0.01


@pytest.mark.parametrize(("ratio", "left"), [("1.80x", 3.753e6), ("2.15x", 3.133e6)])
def test_the_pruned_ones_have_their_plans_zeros(ratio, left):
    plan, graph = Plan.load(FOLDER / f"{MODEL}-{ratio}.plan.json"), graph_of(f"{MODEL}-{ratio}")
    _, had_to_prune = planned_graphs([graph], plan)
    assert not had_to_prune
    assert graph.params - plan.removed_weights(graph.layers) == pytest.approx(left, rel=1e-3)


def test_every_file_has_its_card():
    card = (FOLDER / "README.md").read_text()
    assert all(path.name in card for path in FOLDER.iterdir() if path.suffix == ".safetensors")
