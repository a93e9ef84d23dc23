"""Second kernels: what a network takes where a device's driver compiles the first ones wrongly, or refuses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.schedules import candidates
from devices.profile import Profile


@dataclass(frozen=True)
class SpareKernel:
    """A layer's second kernel.

    Attributes:
        label: what its function is to be called; func: the function; grids: how many kernels it launches.
        constants: names of its packed constants.
    """

    label: str
    func: Any
    grids: int
    constants: Sequence[str]


def spare_choice(workload: Workload, profile: Profile, chosen: ScheduleChoice) -> ScheduleChoice | None:
    """Another way to compute a workload, None where there is none.

    What a driver makes of one text it seldom makes of another, so any other will do. The best is one that reads the
    same packed weights, which then lie in the package once, and of those the one with the smallest tile, which asks the
    least of registers and work-groups.
    """
    others = [choice for choice in candidates(workload, profile) if choice != chosen]
    return min(others, key=lambda choice: (choice.packing != chosen.packing, _tile(choice)), default=None)


def _tile(choice: ScheduleChoice) -> int:
    """How much a work-item of a choice holds at once, for comparison within one schedule."""
    return prod(value for value in asdict(choice.config).values() if isinstance(value, int) and value > 0)
