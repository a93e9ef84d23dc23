"""Schedules: rules that turn a workload into a kernel. Each answers or declines; the first answer is taken."""

from __future__ import annotations

from collections.abc import Callable

from codegen.schedules.depthwise import depthwise
from codegen.schedules.direct import direct
from codegen.schedules.move import concat, elementwise, resize
from codegen.schedules.pool import pool
from codegen.workload import Kernel, Weights, Workload
from devices.profile import Profile

Rule = Callable[[Workload, Weights, Profile], Kernel | None]

#: most special first
RULES: tuple[Rule, ...] = (depthwise, direct, pool, concat, resize, elementwise)


def schedule(workload: Workload, weights: Weights, profile: Profile) -> Kernel:
    """The kernel of the first rule that answers. Raises LookupError where none does."""
    for rule in RULES:
        if kernel := rule(workload, weights, profile):
            return kernel
    raise LookupError(f"no schedule for {workload.label}")
