"""The smooth surface: its gradient, what it learns, that its file says the same, and files that are refused."""

import copy
import json

import numpy as np
import pytest

from fleetpose.errors import DataError
from latency.cost_model.features import extract
from latency.cost_model.smooth import Smooth, negative_log_likelihood
from latency.dataset.hardware import Hardware
from tests.pure.made_up_devices import device, layers


def residual(samples):
    """Something smooth in the layers' sizes."""
    return np.array([
        0.3 * np.sin(np.log(s.layer.in_shapes[0][0]) * 2) + 0.2 * np.cos(np.log(s.layer.out_shape[1]) * 3)
        for s in samples
    ])  # fmt: skip


@pytest.fixture(scope="module")
def known():
    samples = device("known", layers(160))
    return extract(samples, Hardware()), residual(samples)


@pytest.fixture(scope="module")
def surface(known):
    return Smooth.fit(*known)


def test_gradient_is_that_of_differences():
    random = np.random.default_rng(3)
    rows, target, values = random.normal(size=(30, 4)), random.normal(size=30), random.normal(size=7) * 0.3
    _, gradient = negative_log_likelihood(values[:3], values[3:], rows, target)

    def value(at):
        return negative_log_likelihood(at[:3], at[3:], rows, target)[0]

    steps = np.eye(7) * 1e-5
    assert gradient == pytest.approx([(value(values + step) - value(values - step)) / 2e-5 for step in steps], abs=1e-5)


def test_a_smooth_residual_is_learnt(surface):
    fresh = device("fresh", layers(60, seed=5))
    wanted = residual(fresh)
    error = np.abs(surface.predict(extract(fresh, Hardware())) - wanted).mean()
    assert error < 0.25 * np.abs(wanted - wanted.mean()).mean()


def test_another_fit_may_take_its_lengths(surface, known):
    again = Smooth.fit(*known, like=surface)
    assert np.array_equal(again.lengths, surface.lengths)
    assert again.predict(known[0]) == pytest.approx(surface.predict(known[0]))


def test_the_file_says_the_same(surface, known):
    back = Smooth.from_json(json.loads(json.dumps(surface.to_json())))
    assert back.predict(known[0]) == pytest.approx(surface.predict(known[0]), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values["columns"].append("no column"), "fit together"),
        (lambda values: values["weights"].pop(), "rows and their weights"),
        (lambda values: values["rows"][0].pop(), "fit together"),
        (lambda values: values["scale"].__setitem__(0, 0.0), "is none"),
        (lambda values: values["lengths"].__setitem__(0, 1e6), "is none"),
        (lambda values: values.pop("rows"), "rows"),
        (lambda values: values["parameters"].append(1.0), "fit together"),
    ],
)
def test_damage_is_refused(surface, change, message):
    values = copy.deepcopy(surface.to_json())
    change(values)
    with pytest.raises(DataError, match=message):
        Smooth.from_json(values)
