"""The recipe on latencies measured on a phone, whole shapes held out (needs ../shared).

The full protocols of the README's figures take minutes: `python -m latency.evaluate`.
"""

import numpy as np
import pytest
from scipy.stats import spearmanr

from latency.cost_model.model import measured_ms
from latency.cost_model.search import search
from latency.dataset.hardware import Hardware
from latency.dataset.read import Dataset

ADRENO = ["framework=tflite", "device=mi8se", "suspect=0"]


@pytest.fixture(scope="module")
def found(shared_dir):
    samples = Dataset.read([shared_dir / "data/phone/conv_latency.csv"], ADRENO).samples()
    return search(samples, Hardware.of_gpu(samples[0].gpu), by="shape", wide=False)


def test_every_shape_is_held_out_once(found):
    assert len(found.samples) == len({sample.shape_key for sample in found.samples}) == 1467


def test_held_out_shapes_are_predicted(found):
    ms = measured_ms(found.samples)
    assert np.abs(found.predicted / ms - 1).mean() <= 0.054
    assert spearmanr(found.predicted, ms).statistic >= 0.994
