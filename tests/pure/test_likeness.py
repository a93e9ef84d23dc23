"""What is known of a device before anything ran on it: public GPUs, kernels' origins, and which devices are alike."""

from math import log, sqrt

import numpy as np
import pytest

from latency.cost_model.adaptation.adapting import NewDevice, adapt, likeness
from latency.cost_model.adaptation.likeness import UNKNOWN_RATE, DeviceFacts, Likeness, same_maker_first
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.cost_model.model import measured_ms
from latency.dataset.hardware import Hardware
from latency.dataset.public_gpus import GPUS, find_gpu
from latency.dataset.read import Dataset
from latency.dataset.sample import about_device, origin_of
from tests.pure.made_up_devices import device, layers
from tests.pure.test_tvm_kernels import write


@pytest.mark.parametrize(
    ("name", "words"),
    [("Adreno 660", "adreno 660"), ("QUALCOMM Adreno(TM) 730", "adreno 730"), ("Mali-G72 MP12", "mali g72 mp12")],
)
def test_a_gpu_is_found_by_its_name(name, words):
    gpu = find_gpu(name)
    assert gpu is not None
    assert gpu.words == words


@pytest.mark.parametrize("name", ["", "Adreno", "Adreno 66", "Adreno 6600", "Mali-G72 MP1", "Mali-G72 MP120"])
def test_another_name_is_no_public_gpu(name):
    assert find_gpu(name) is None


def test_public_gpus_are_all_different_and_have_rates():
    assert len({gpu.words for gpu in GPUS}) == len(GPUS)
    assert all(gpu.words == gpu.words.lower() and "-" not in gpu.words for gpu in GPUS)
    assert all(10 < gpu.gflops / gpu.gbytes_per_sec * 4 < 200 for gpu in GPUS)


def test_facts_are_a_public_gpus_or_else_the_profiles():
    own = Hardware(gflops=400.0, gbytes_per_sec=25.0)
    assert DeviceFacts.of("Some GPU", "tvm", own) == DeviceFacts("", "tvm", log(100.0))
    assert DeviceFacts.of("Adreno 660", "tvm", own) == DeviceFacts("adreno", "tvm", log(sqrt(1720 * 51.2)))
    assert DeviceFacts.of("Adreno 999", "tvm", Hardware()).log_rate is None


def test_time_falls_with_the_rate():
    slow, fast = DeviceFacts("adreno", "tvm", log(10.0)), DeviceFacts("adreno", "tvm", log(40.0))
    assert Likeness.of(slow, [fast]).offset == pytest.approx(log(4.0))
    assert Likeness.of(fast, [slow]).offset == pytest.approx(-log(4.0))


def test_an_unknown_rate_is_that_of_its_like_and_less_sure():
    known = [DeviceFacts("adreno", "tvm textures", 3.0), DeviceFacts("mali", "tvm", 1.0)]
    unknown = Likeness.of(DeviceFacts("adreno", "tvm textures", None), known)
    sure = Likeness.of(DeviceFacts("adreno", "tvm textures", 3.0), known)
    assert unknown.variance == pytest.approx(sure.variance + UNKNOWN_RATE**2, rel=1e-3)
    assert unknown.offset == pytest.approx(sure.offset, abs=1e-3)


def test_whose_kernels_they_are_counts_more_than_the_maker():
    others = [DeviceFacts("adreno", "tvm textures", 3.0), DeviceFacts("mali", "tvm", 3.0)]
    like = Likeness.of(DeviceFacts("adreno", "tvm", 3.0), others)
    assert like.weights.argmax() == 1
    assert like.weights.sum() == pytest.approx(1)
    assert like.weights.min() >= 0
    assert Likeness.of(DeviceFacts("adreno", "tvm textures", 3.0), others).weights.argmax() == 0


def test_least_variance_is_less_than_that_of_any_other_weights():
    others = [DeviceFacts("adreno", "tvm", 3.0), DeviceFacts("adreno", "tflite", 2.0), DeviceFacts("mali", "tvm", None)]
    target = DeviceFacts("adreno", "tvm", 2.5)
    least = Likeness.of(target, others)
    for weights in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3] * 3, same_maker_first(target, others)):
        assert Likeness.of(target, others, np.array(weights)).variance >= least.variance - 1e-6


def test_a_gpu_of_another_maker_counts_less():
    others = [DeviceFacts(maker, "tvm", None) for maker in ("adreno", "adreno", "mali")]
    weights = same_maker_first(DeviceFacts("adreno", "", None), others)
    assert weights.tolist() == pytest.approx([1 / 2.1, 1 / 2.1, 0.1 / 2.1])


def test_the_origin_of_samples_is_that_of_most(tmp_path):
    change = {"memory": "", "schedule": "conv2d_nchw_spatial_pack.mali", "config": "tile_co=4x4"}
    rows = [{"cin": 64}, {"cin": 32}, {"cin": 16, **change}]
    samples = Dataset.read([write(tmp_path / "t.csv", *rows)]).samples()
    assert [sample.textures for sample in samples] == [True, True, False]
    assert origin_of(samples) == "tvm textures"
    assert origin_of(samples[2:]) == "tvm"
    assert about_device(samples)["origin"] == "tvm textures"


def test_a_public_gpu_is_foretold_from_another_without_samples():
    """Of two GPUs whose times are as their rates, one is foretold from the other; of an unnamed one less is known."""
    rates = {gpu.words: sqrt(gpu.gflops * gpu.gbytes_per_sec) for gpu in GPUS}
    ratio = rates["adreno 730"] / rates["adreno 640"]
    about = {"gpu": "Adreno 730", "framework": "tvm"}
    fast, slow = layers(60), layers(40, seed=1)
    base = fit_predictor(device("a", fast, gpu="Adreno 730"), Hardware(), FitOptions(wide=False), about=about).predictor
    samples = device("b", slow, slow=ratio, gpu="Adreno 640")
    target = NewDevice(Hardware(), "Adreno 640", {"framework": "tvm"})
    predictor, _ = adapt([], target, [base])
    assert abs(np.median(np.log(predictor.ms(samples) / measured_ms(samples)))) < 0.4
    unnamed = NewDevice(Hardware(), "Adreno", {"framework": "tvm"})
    other, _ = adapt([], unnamed, [base])
    assert np.median(predictor.ms(samples) / other.ms(samples)) > 0.8 * ratio
    assert likeness(unnamed, [base], sampled=False).variance > likeness(target, [base], sampled=False).variance
