"""The choice between kernels of one layer: accuracy, lost time, and what always taking one class would lose."""

from dataclasses import replace

import numpy as np
import pytest

from latency.evaluation.kernel_choice import kernel_choices
from tests.pure.made_up_devices import device, layers

FIRST, SECOND, THIRD = (replace(sample, kernel="direct", _keys={}) for sample in device("phone", layers(3)))


def timed(sample, direct, winograd):
    return [replace(sample, kernel=kernel, ms=ms, _keys={}) for kernel, ms in
            (("direct", direct), ("winograd4", winograd)) if ms]  # fmt: skip


def test_lost_time_is_that_of_the_wrong_choices():
    samples = [*timed(FIRST, 2.0, 1.0), *timed(SECOND, 3.0, 5.0), *timed(THIRD, 7.0, None)]
    right = kernel_choices(samples, np.array([2.0, 1.0, 3.0, 5.0, 7.0]))
    assert (right["accuracy"], right["lost"], right["n"]) == (1.0, 0.0, 2)
    assert right["always"] == pytest.approx({"direct": 5 / 4 - 1, "winograd4": 6 / 4 - 1})
    wrong = kernel_choices(samples, np.array([1.0, 2.0, 3.0, 5.0, 7.0]))
    assert (wrong["accuracy"], wrong["lost"]) == (0.5, pytest.approx(5 / 4 - 1))


def test_dtypes_are_layers_of_their_own_and_single_kernels_none():
    halves = [replace(sample, dtype="float16", _keys={}) for sample in timed(FIRST, 1.0, 2.0)]
    assert kernel_choices([*timed(FIRST, 2.0, 1.0), *halves], np.array([2.0, 1.0, 1.0, 2.0]))["n"] == 2
    assert kernel_choices([FIRST, SECOND], np.ones(2)) == {"accuracy": None, "lost": None, "always": {}, "n": 0}
