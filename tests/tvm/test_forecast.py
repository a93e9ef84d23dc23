"""Forecasts of networks on a phone: launches as built, and layers that compute in float32 within half precision."""

from dataclasses import replace

import numpy as np
import pytest

from codegen.artifact.manifest import launched_together
from codegen.lowering.network import Options, lower_network
from devices.profile import load_profile
from latency.cost_model.feature_names import NAMES
from latency.cost_model.features import extract
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.dataset.candidates import of_workload
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample
from latency.network_model.forecast import Forecaster
from latency.profiling.prepare import Recipe
from latency.profiling.space import Group, network_workloads
from models.frontend.trace import trace
from tests.tvm.test_launched_together import TwoHeads
from tests.tvm.test_network import small_graph

ADRENO = load_profile("adreno-730")
#: what products in float32 cost in the times that are made up here, as a share of the layer
WIDE = 1.5


def branches():
    return trace(TwoHeads().eval(), (3, 20, 34), "branches")


def made_up_samples(widened: str = "") -> list[Sample]:
    """Half-precision layers of several sizes, each as it is and, where asked for, widened too."""
    samples = []
    for height in range(16, 64, 4):
        for _, workload in network_workloads(small_graph(height, 34), ADRENO, "float16"):
            for wide in dict.fromkeys(("", widened)) if workload.layer.convolves else ("",):
                for variant, choice in Recipe(ADRENO).choices(Group(replace(workload, widened=wide), (None,))):
                    ms = 0.01 + 1e-6 * workload.layer.macs * (WIDE if wide else 1.0)
                    samples.append(replace(of_workload(variant, choice, ADRENO.name), ms=ms))
    return samples


@pytest.fixture(scope="module")
def predictor():
    return fit_predictor(made_up_samples(), Hardware.of(ADRENO), FitOptions(wide=False)).predictor


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_network_is_forecast_with_the_launches_of_its_build(predictor, dtype):
    graph, forecaster = branches(), Forecaster(predictor, ADRENO, lambda *_: None, dtype)
    entry = lower_network([graph], ADRENO, Options(dtype)).entries[0]
    steps, apart = forecaster.network(graph), forecaster.steps(graph)
    assert forecaster.total(steps).launches == entry.launches < forecaster.total(apart).launches
    second = [codes[1].layer for codes in launched_together(entry.layers) if len(codes) > 1]
    assert {step.layer for step in steps if step.launches == 0} == set(second)
    assert [step.prediction for step in steps] == [step.prediction for step in apart]


def test_widened_layers_are_told_apart():
    narrow = next(sample for sample in made_up_samples() if sample.kernel in ("direct", "pointwise"))
    wide = [replace(narrow, widened=part, _keys={}) for part in ("sums", "products")]
    columns = [NAMES.index(name) for name in ("wide_sums", "wide_products", "macs_wide_sums", "macs_wide_products")]
    macs = narrow.layer.macs
    features = extract([narrow, *wide], Hardware.of(ADRENO))[:, columns]
    assert features.tolist() == [[0, 0, 0, 0], [1, 0, macs, 0], [1, 1, 0, macs]]
    assert len({sample.key for sample in (narrow, *wide)}) == 3
    assert len({sample.shape_key for sample in (narrow, *wide)}) == 1
    assert wide[0].label != narrow.label


def test_widened_layers_of_a_network_are_asked_about(predictor):
    graph = small_graph(20, 34)
    convolution = next(layer.name for layer in graph.layers if layer.convolves)
    forecaster = Forecaster(predictor, ADRENO, lambda *_: None, "float16")
    plain = {step.layer: step.prediction for step in forecaster.steps(graph)}[convolution]
    widened = replace(graph, widened={convolution: "products"})
    wide = {step.layer: step.prediction for step in forecaster.steps(widened)}[convolution]
    assert not any("wide" in doubt for doubt in plain.doubts)
    assert any("wide_products 1 is above 0" in doubt for doubt in wide.doubts)


def test_predictor_learns_what_float32_in_half_precision_costs():
    samples = made_up_samples("products")
    known = fit_predictor(samples, Hardware.of(ADRENO), FitOptions(wide=False)).predictor
    wide = [sample for sample in samples if sample.widened]
    ratios = known.ms(wide) / known.ms([replace(sample, widened="") for sample in wide])
    true = [sample.ms / (0.01 + (sample.ms - 0.01) / WIDE) for sample in wide]
    assert np.median(ratios / true) == pytest.approx(1, abs=0.05)
    assert known.predict(wide)[0].doubts == ()
