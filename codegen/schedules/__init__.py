"""Schedules: rules that turn a workload into a kernel. Each answers or declines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.columns import COLUMNS
from codegen.schedules.depthwise import DEPTHWISE
from codegen.schedules.direct import DIRECT
from codegen.schedules.foreign.fallback import FALLBACK
from codegen.schedules.image import IMAGE
from codegen.schedules.matrices.matmul import MATMUL
from codegen.schedules.move import CONCAT, ELEMENTWISE
from codegen.schedules.moving.rearrange import REARRANGE
from codegen.schedules.pattern import PATTERN
from codegen.schedules.phases import PHASES
from codegen.schedules.pointwise import POINTWISE
from codegen.schedules.pool import POOL
from codegen.schedules.pooling.regions import REGIONS
from codegen.schedules.reductions.global_pool import GLOBAL_POOL
from codegen.schedules.reductions.reduce import REDUCE
from codegen.schedules.resampling.taps import TAPS
from codegen.schedules.resize import RESIZE
from codegen.schedules.rule import Rule
from codegen.schedules.transposed.rule import TRANSPOSED
from codegen.schedules.winograd import WINOGRAD
from codegen.schedules.winograd_sparse import WINOGRAD_SPARSE
from devices.profile import Profile

#: in the order in which they are asked where nothing was tuned: most special first
RULES: tuple[Rule, ...] = (
    WINOGRAD_SPARSE,
    COLUMNS,
    PATTERN,
    DEPTHWISE,
    POINTWISE,
    PHASES,
    WINOGRAD,
    DIRECT,
    IMAGE,
    TRANSPOSED,
    GLOBAL_POOL,
    REGIONS,
    POOL,
    CONCAT,
    RESIZE,
    TAPS,
    REDUCE,
    MATMUL,
    ELEMENTWISE,
    REARRANGE,
    FALLBACK,
)


def candidates(workload: Workload, profile: Profile) -> Iterator[ScheduleChoice]:
    """Every choice there is for a workload; dense schedules run sparse workloads too, zeros and all."""
    for rule in RULES:
        if rule.answers(workload):
            yield from (ScheduleChoice(rule.name, config) for config in rule.space(workload, profile))


def default_choice(workload: Workload, profile: Profile) -> ScheduleChoice:
    """The default configuration of the first rule that answers and is preferred. Raises LookupError where none does."""
    for rule in RULES:
        if not rule.answers(workload) or not rule.prefers(workload, profile):
            continue
        for config in rule.space(workload, profile):
            return ScheduleChoice(rule.name, config)
    raise LookupError(f"no schedule for {workload.label}")


def schedule(workload: Workload, weights: Weights, profile: Profile, choice: ScheduleChoice | None = None) -> Kernel:
    """The kernel of `choice`, or of the default choice.

    Raises:
        LookupError: no rule answers, or none has the choice's name.
        ValueError: the choice is not legal for the workload.
    """
    choice = choice or default_choice(workload, profile)
    for rule in RULES:
        if rule.name == choice.schedule:
            if workload.widened and not rule.widens:
                raise ValueError(f"schedule {rule.name} computes no {workload.widened} in float32")
            kernel = rule.make(workload, weights, profile, choice.config)
            return replace(kernel, choice=choice, constants=_convert_constants(kernel, workload.dtype))
    raise LookupError(f"no schedule is called {choice.schedule!r}; known: {', '.join(rule.name for rule in RULES)}")


def _convert_constants(kernel: Kernel, dtype: str) -> dict[str, np.ndarray]:
    """The constants with those of floating point in the workload's type; indices stay whole numbers."""
    return {
        name: array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
        for name, array in kernel.constants.items()
    }
