"""Single responses: measured while there is time, kept in a journal, equal to whole curves; pictures of packages."""

from __future__ import annotations

import time

import numpy as np
import pytest

from models.frontend.trace import trace
from models.plans.eligible import prunable
from models.plans.sparsity import Sparsity
from models.prune.response.journal import ResponseJournal
from models.prune.response.outputs import layer_curves
from models.prune.response.points import QUICK, PointMeter
from models.prune.response.shipped import shipped_inputs, shipped_photographs
from models.resolve import create_model, model_spec
from tests.tiny_pose import register_tiny

HALF, MOST, COARSE = (Sparsity.parse(text) for text in ("columns:0.5:4x1", "columns:0.75:4x1", "block_punched:0.5:4x2"))


@pytest.fixture(scope="module")
def graph():
    return trace(create_model(register_tiny(), seed=3), (3, 64, 64), register_tiny())


@pytest.fixture(scope="module")
def pictures():
    return shipped_inputs(model_spec(register_tiny()), (64, 64), 5)


def meter(graph, pictures, journal, deadline=None) -> PointMeter:
    return PointMeter(graph, pictures[1:], pictures[:1], journal, deadline)


def test_points_are_those_of_whole_curves(graph, pictures, tmp_path):
    names = [layer.name for layer in prunable(graph)]
    with ResponseJournal(tmp_path / "j", {}) as journal:
        measuring = meter(graph, pictures, journal)
        assert measuring.measure({name: [HALF, MOST, COARSE] for name in names})
    curves = dict(layer_curves(graph, names, HALF, (0.5, 0.75), pictures[1:], pictures[:1], QUICK))
    assert set(measuring.points) == set(names)
    for name, points in measuring.points.items():
        assert set(points) == {HALF, MOST, COARSE}
        assert points[MOST] >= 0
        assert list(curves[name]) == [0.5, 0.75]
    first = names[0]  # the positions that later layers are solved on depend on how many were drawn before
    assert measuring.points[first][HALF] == pytest.approx(curves[first][0.5], rel=1e-6)


def test_journal_keeps_points_so_that_none_is_measured_again(graph, pictures, tmp_path):
    wanted = {layer.name: [HALF] for layer in prunable(graph)}
    with ResponseJournal(tmp_path / "j", {"a": 1}) as journal:
        measuring = meter(graph, pictures, journal)
        measuring.measure(wanted)
        known = {name: dict(points) for name, points in measuring.points.items()}
    with ResponseJournal(tmp_path / "j", {"a": 1}) as journal:
        again = meter(graph, pictures, journal, deadline=time.monotonic())
        assert again.points == known
        assert again.measure(wanted), "nothing is missing, so the time does not matter"
        assert not again.measure({name: [MOST] for name in wanted})
        assert again.points == known


def test_measurement_ends_when_the_time_is_over(graph, pictures, tmp_path):
    wanted = {layer.name: [HALF] for layer in prunable(graph)}
    with ResponseJournal(tmp_path / "j", {}) as journal:
        measuring = meter(graph, pictures, journal, deadline=time.monotonic() + 1e3)

        def stop(message: str, done: int = 0, total: int = 0) -> None:
            measuring.deadline = time.monotonic()

        assert not measuring.measure(wanted, stop)
        assert len(measuring.points) == 1


def test_shipped_pictures_are_there_and_drawn_alike(pictures):
    assert len(shipped_photographs()) >= 3, "those of matplotlib and scikit-learn, which are always installed"
    assert pictures.shape == (5, 3, 64, 64)
    assert pictures.dtype == np.float32
    assert np.array_equal(pictures, shipped_inputs(model_spec(register_tiny()), (64, 64), 5))
    assert pictures.std(axis=(2, 3)).min() > 0.01
