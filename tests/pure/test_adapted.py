"""Predictors of devices of which few layers were timed: what samples bring, intervals, files; each device left out."""

import copy

import numpy as np
import pytest

from fleetpose.errors import DataError, UsageError
from latency.cost_model.adaptation.adapted import Adapted
from latency.cost_model.adaptation.adapting import NewDevice, adapt, choose_samples
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.cost_model.model import measured_ms
from latency.cost_model.predictor import Predictor
from latency.dataset.hardware import Hardware
from latency.evaluation.new_device import leave_devices_out
from tests.pure.made_up_devices import device, layers

LAYERS = layers(120)
DEVICES = {"one": (1.0, 1.0, "Adreno 1"), "two": (2.5, 1.3, "Adreno 2"), "three": (0.6, 0.9, "Mali-G1")}
NEW = device("new", LAYERS, 5.0, 2.0, gpu="Adreno 9")
TARGET = NewDevice(Hardware(), "Adreno 9", {"device": "new", "gpu": "Adreno 9", "framework": "tvm"})


def fitted(name):
    slow, small, gpu = DEVICES[name]
    about = {"device": name, "gpu": gpu, "framework": "tvm"}
    samples = device(name, LAYERS, slow, small, gpu=gpu)
    return fit_predictor(samples, Hardware(), FitOptions(wide=False), about=about).predictor


@pytest.fixture(scope="module")
def bases():
    return [fitted(name) for name in DEVICES]


def error(predictor, rest):
    return float(np.abs(predictor.ms(rest) / measured_ms(rest) - 1).mean())


def test_the_more_samples_the_less_error_and_intervals_hold(bases):
    errors, widths = [], []
    for count in (0, 6, 40):
        chosen = choose_samples(NEW, count, TARGET, bases)
        rest = [sample for at, sample in enumerate(NEW) if at not in chosen]
        predictor, _ = adapt([NEW[at] for at in chosen], TARGET, bases)
        predictions = predictor.predict(rest)
        held = [one.low <= ms <= one.high for one, ms in zip(predictions, measured_ms(rest), strict=True)]
        assert np.mean(held) > 0.85
        errors.append(error(predictor, rest))
        widths.append(float(np.median([one.high / one.low for one in predictions])))
    assert errors[1] < 0.2 < errors[0]
    assert errors[2] < 0.06
    assert widths[0] > widths[1] > widths[2] > 1


def test_samples_that_tell_most_are_of_both_kinds_and_all_different(bases):
    chosen = choose_samples(NEW, 8, TARGET, bases)
    assert len(set(chosen)) == 8
    assert {NEW[at].kernel for at in chosen} == {"pointwise", "direct"}
    more = choose_samples(NEW[20:], 4, TARGET, bases, NEW[:20])
    assert len(set(more)) == 4
    assert all(0 <= at < len(NEW) - 20 for at in more)


def test_a_few_samples_are_a_predictor_only_with_other_devices(bases):
    with pytest.raises(UsageError, match="--base"):
        fit_predictor(NEW[:6], Hardware(), FitOptions())
    found = fit_predictor(NEW[:6], Hardware(), FitOptions(), bases, TARGET.about)
    assert isinstance(found.predictor.model, Adapted)
    assert found.predictor.metadata["device"] == "new"
    assert error(found.predictor, NEW[6:]) < 0.3


def test_the_file_says_the_same(bases, tmp_path):
    predictor, _ = adapt(NEW[:15], TARGET, bases)
    predictor.save(tmp_path / "new.predictor")
    back = Predictor.load(tmp_path / "new.predictor")
    pairs = zip(back.predict(NEW[50:60]), predictor.predict(NEW[50:60]), strict=True)
    assert all((ours.ms, ours.high) == pytest.approx((other.ms, other.high), rel=1e-6) for ours, other in pairs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values["ms"].pop(), "different lengths"),
        (lambda values: values["features"][0].pop(), "number of columns"),
        (lambda values: values["others"][0].pop(), "number of columns"),
        (lambda values: values["ms"].__setitem__(0, -1.0), "above 0"),
        (lambda values: values["weights"].__setitem__(0, 3.0), "add up"),
        (lambda values: values.__setitem__("factor", 0.0), "above 0"),
        (lambda values: values.pop("kernels"), "kernels"),
    ],
)
def test_damage_is_refused(bases, change, message):
    values = copy.deepcopy(adapt(NEW[:8], TARGET, bases)[0].model.to_json())
    change(values)
    with pytest.raises(DataError, match=message):
        Adapted.from_json(values, len(bases))


def test_each_device_is_left_out_in_turn():
    samples = [
        sample
        for name, (slow, small, gpu) in DEVICES.items()
        for sample in device(name, LAYERS[:70], slow, small, gpu=gpu)
    ]
    found = leave_devices_out(samples, [0, 12, 60], FitOptions())
    assert set(found["devices"]) == {f"{name} (tvm)" for name in DEVICES}
    rows = {row["samples"]: row for row in found["mean"]}
    assert rows[12]["mape"] < 0.12 < rows[0]["mape"]
    assert (rows[60]["devices"], rows[60]["mape"]) == (0, None)  # of 70 layers 60 are too many to leave any
    with pytest.raises(UsageError, match="one device"):
        leave_devices_out(device("one", LAYERS), [0], FitOptions())
