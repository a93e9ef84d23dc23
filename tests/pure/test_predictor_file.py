"""A predictor fitted to made-up latencies: accuracy, intervals, doubts, its file, and files that are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fleetpose.errors import UsageError
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.cost_model.predictor import Predictor
from latency.dataset.hardware import Hardware
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
        (lambda values: values.pop("trees"), "damaged"),
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


def test_predictor_load_refuses_a_missing_file_and_no_json(tmp_path):
    with pytest.raises(UsageError, match="cannot read the predictor"):
        Predictor.load(tmp_path / "none")
    (tmp_path / "torn").write_text('{"format": ')
    with pytest.raises(UsageError, match="not JSON"):
        Predictor.load(tmp_path / "torn")


def test_predictor_fit_refuses_too_few_samples(samples):
    with pytest.raises(UsageError, match="too few"):
        fit_predictor([replace(sample) for sample in samples[:5]], Hardware(), FitOptions())
