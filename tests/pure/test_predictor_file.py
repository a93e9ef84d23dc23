"""A predictor fitted to made-up latencies: accuracy, intervals, doubts, its file, and files that are refused."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from devices.profile import load_profile
from fleetpose.errors import UsageError
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.cost_model.predictor import Predictor
from latency.cost_model.trees import Trees, TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.observations import hardware_of
from latency.dataset.sample import Sample
from models.graph.layer import Layer


def conv(cin: int, cout: int, size: int, kernel: int) -> Layer:
    shape = (cout, size, size)
    half = kernel // 2
    return Layer("", "conv", ("",), ((cin, size, size),), shape, (kernel, kernel), padding=(half, half), bias=True)


def made_up_ms(layer: Layer) -> float:
    """A launch, arithmetic, and traffic."""
    elements = sum(np.prod(shape) for shape in (*layer.in_shapes, layer.out_shape))
    return 0.02 + 2e-8 * layer.macs + 4e-7 * float(elements)


def test_hardware_is_of_the_profile_that_is_given(samples):
    own = replace(load_profile("mali-g76"), name="made up")
    assert hardware_of(samples) == Hardware()
    assert hardware_of(samples, own) == Hardware.of(own)
    with pytest.raises(UsageError, match="measurements are by profile 'made up', not by 'mali-g76'"):
        hardware_of(samples, load_profile("mali-g76"))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    random = np.random.default_rng(0)
    found = []
    for _ in range(90):
        cin, cout = (int(random.integers(2, 33)) * 8 for _ in range(2))
        layer = conv(cin, cout, int(random.integers(6, 60)), int(random.choice([1, 3])))
        noisy = made_up_ms(layer) * float(np.exp(random.normal(0, 0.01)))
        found.append(Sample(layer, "pointwise" if layer.kernel == (1, 1) else "direct", ms=noisy, device="made up"))
    return found


@pytest.fixture(scope="module")
def predictor(samples) -> Predictor:
    return fit_predictor(samples, Hardware(), FitOptions(wide=False), about={"device": "made up"}).predictor


def test_predictor_learns_and_its_intervals_hold(predictor):
    held_out = [conv(cin, cout, size, kernel) for cin, cout, size, kernel in ((40, 72, 33, 3), (120, 16, 21, 1))]
    asked = [Sample(layer, "pointwise" if layer.kernel == (1, 1) else "direct") for layer in held_out]
    for layer, found in zip(held_out, predictor.predict(asked), strict=True):
        assert found.ms == pytest.approx(made_up_ms(layer), rel=0.15)
        assert 0 < found.low < found.ms < found.high
        assert found.doubts == ()


def test_predictor_doubts_what_is_outside_its_samples(predictor):
    (found,) = predictor.predict([Sample(conv(4096, 4096, 500, 3), "direct")])
    assert found.doubts
    assert all(isinstance(text, str) for text in found.doubts)


def test_predictor_file_gives_the_same_answers_and_is_not_overwritten(predictor, samples, tmp_path):
    path = tmp_path / "a.predictor"
    predictor.save(path)
    again = Predictor.load(path)
    np.testing.assert_allclose(again.ms(samples), predictor.ms(samples), rtol=1e-6)
    assert again.shapes == {sample.shape_key for sample in samples}
    assert again.metadata["device"] == "made up"
    with pytest.raises(UsageError, match="--force"):
        predictor.save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(format="other/1"), "is no predictor: its format is 'other/1'"),
        (lambda values: values["features"].update(version=0), "its features are version 0"),
        (lambda values: values["features"]["names"].pop(), "fit it again with latency.fit"),
        (lambda values: values.pop("trees"), "has no 'trees'"),
        (lambda values: values["conformal"]["scales"].pop(""), "conformal: its intervals have no scale"),
        (lambda values: values["baseline"]["coefficients"][""].append(1), "coefficients, not"),
        (lambda values: values["hardware"].update(cores=0), "hardware: cores is 0"),
        (lambda values: values["metadata"].update(shapes=[[1]]), r"metadata: shapes\[0\] is \[1\], not a string"),
        (lambda values: values.update(metadata=[]), "metadata is .*, not an object"),
    ],
)
def test_predictor_load_refuses_other_files(predictor, tmp_path, change, message):
    path = tmp_path / "b.predictor"
    predictor.save(path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match=message):
        Predictor.load(path)


@cache
def small_trees() -> Trees:
    """Two models of three trees each, of five columns."""
    random = np.random.default_rng(0)
    settings = TreeSettings(depth=3, rounds=3, bags=2)
    return Trees.fit(random.random((200, 5)), random.random(200), settings, 0)


def first_tree(values: dict) -> dict:
    return values[0]["learner"]["gradient_booster"]["model"]["trees"][0]


def learner(values: dict) -> dict:
    return values[0]["learner"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: first_tree(values)["left_children"].__setitem__(0, 10**6), "child that is no node of it"),
        (lambda values: first_tree(values)["left_children"].__setitem__(0, -7), "child that is no node of it"),
        (lambda values: first_tree(values)["right_children"].__setitem__(0, 0), "child that is no node of it"),
        (lambda values: first_tree(values)["right_children"].__setitem__(0, 1), "or is another's too"),
        (lambda values: first_tree(values)["right_children"].__setitem__(0, -1), "a node with one child"),
        (lambda values: first_tree(values)["split_indices"].__setitem__(0, 10**6), "column that is not among"),
        (lambda values: first_tree(values)["split_indices"].pop(), "different lengths"),
        (lambda values: first_tree(values)["split_conditions"].__setitem__(0, 1e300), "a number that no tree has"),
        (lambda values: first_tree(values)["split_conditions"].__setitem__(0, "1"), "not a list of numbers"),
        (lambda values: first_tree(values).update(split_type=[1]), "splits by categories"),
        (lambda values: first_tree(values).update(categories=7), "splits by categories"),
        (lambda values: learner(values)["learner_model_param"].update(num_feature="2"), "of '2' columns"),
        (lambda values: learner(values)["learner_model_param"].update(base_score="[]"), "base_score is .*not a number"),
        (lambda values: learner(values)["objective"].update(name="multi:softmax"), "its objective is"),
        (lambda values: learner(values).pop("gradient_booster"), "gradient_booster is None, not an object"),
        (lambda values: values.clear(), "there is no model"),
    ],
)
def test_trees_that_would_lead_xgboost_astray_are_refused(change, message):
    values = json.loads(json.dumps(small_trees().to_json()))
    change(values)
    with pytest.raises(UsageError, match=message) as caught:
        Trees.from_json(values, 5)
    assert len(str(caught.value).splitlines()) == 1


def test_trees_are_the_same_when_they_are_read_again():
    matrix = np.random.default_rng(1).random((50, 5))
    trees = small_trees()
    again = Trees.from_json(json.loads(json.dumps(trees.to_json())), 5)
    np.testing.assert_array_equal(again.predict(matrix), trees.predict(matrix))
    np.testing.assert_array_equal(again.predict(matrix, 1), trees.predict(matrix, 1))


def test_predictor_load_refuses_a_missing_file_and_no_json(tmp_path):
    with pytest.raises(UsageError, match="cannot read the predictor"):
        Predictor.load(tmp_path / "none")
    (tmp_path / "torn").write_text('{"format": ')
    with pytest.raises(UsageError, match="not JSON"):
        Predictor.load(tmp_path / "torn")


def test_predictor_fit_refuses_too_few_samples(samples):
    with pytest.raises(UsageError, match="too few"):
        fit_predictor([replace(sample) for sample in samples[:5]], Hardware(), FitOptions())
