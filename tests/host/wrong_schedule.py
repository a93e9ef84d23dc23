"""A schedule whose kernels are really wrong, in the ways in which kernels are: first of all rules, and preferred."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest

from codegen import schedules, tune
from codegen.kernels.builder import function, put
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules import direct
from codegen.schedules.rule import Rule
from codegen.tuning import database

#: what is wrong: of each what it makes of a layer's weights; a NaN is written by a grid of its own
FAULTS = {
    "a zeroed channel": lambda weight, bias: (_without(weight, 1), _without(bias, 1)),
    "a lost bias": lambda weight, bias: (weight, np.zeros_like(bias)),
    "half the taps": lambda weight, bias: (_half(weight), bias),
    "a lost tap": lambda weight, bias: (_without_tap(weight), bias),
    "an error of 5e-4": lambda weight, bias: (weight * np.float32(1.0005), bias * np.float32(1.0005)),
    "a NaN": lambda weight, bias: (weight, bias),
}


def _without(array: np.ndarray, channel: int) -> np.ndarray:
    array = array.copy()
    array[channel] = 0
    return array


def _half(weight: np.ndarray) -> np.ndarray:
    weight = weight.copy()
    weight.reshape(*weight.shape[:2], -1)[..., ::2] = 0
    return weight


def _without_tap(weight: np.ndarray) -> np.ndarray:
    weight = weight.copy()
    weight[:, :, 0, 0] = 0
    return weight


@dataclass(frozen=True)
class Mistake:
    """What a kernel does wrong: the number of one of FAULTS."""

    number: int

    def __str__(self) -> str:
        return list(FAULTS)[self.number]


def make(workload: Workload, weights: Weights, profile, mistake: Mistake) -> Kernel:
    """Direct's kernel with the mistake in it."""
    weight, bias = FAULTS[str(mistake)](weights.weight, weights.bias_or_zero(len(weights.weight)))
    tile = direct.space(workload, profile)[0]
    if str(mistake) != "a NaN":
        return direct.make(workload, Weights(weight, bias), profile, tile)

    @contextmanager
    def with_a_nan(arguments, grid, its_profile, group=None):
        with function(arguments, its_profile) as frame:
            with frame.grid(grid, group):
                yield frame
            with frame.grid((1,)):
                put(frame["out"], workload.output.index(1, 1, 1), np.float32("nan"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "kernel", with_a_nan)
        return replace(direct.make(workload, Weights(weight, bias), profile, tile), grids=2)


def choice_of(fault: str) -> ScheduleChoice:
    """The schedule with one of FAULTS."""
    return ScheduleChoice("wrong", Mistake(list(FAULTS).index(fault)))


def prefer(patch: pytest.MonkeyPatch, fault: str, label: str = "conv") -> None:
    """Make it the default of the workloads whose labels begin so, as far as they are convolutions with a bias."""

    def space(workload: Workload, _profile) -> list[Mistake]:
        taken = workload.layer.convolves and workload.layer.bias and workload.label.startswith(label)
        return [choice_of(fault).config] if taken else []

    rules = (Rule("wrong", Mistake, space, make), *schedules.RULES)
    for module in (schedules, database, tune):
        patch.setattr(module, "RULES", rules)
