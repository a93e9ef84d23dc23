"""The candidates worth timing, by what compilers for phone GPUs make of them: `codegen.tune --prefilter N`.

A candidate's cost is the cycles for which a core's busiest unit works on all its launches (`codegen.inspection`). It is
blind to memory, so that several are timed and not the first alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from codegen.inspection.chips import Chip
from codegen.inspection.compilers import Compilers
from codegen.inspection.gathering import launches_of_layer
from codegen.inspection.inspection import InspectedLayer, inspect
from codegen.inspection.launches import LayerLaunches
from codegen.tuning.key import Key
from codegen.tuning.tasks import Task
from devices.profile import Profile
from fleetpose.progress import Report, no_report


def prefilter(
    tasks: Sequence[Task],
    count: int,
    profile: Profile,
    compilers: Compilers,
    chip: Chip,
    report: Report = no_report,
) -> list[Task]:
    """Tasks with their default and the `count` other candidates of fewest cycles; fewest first.

    All kernels of all tasks are built in one start of the compiler, equal ones once, and what was said of them is kept.

    Args:
        report: told what is under way, the steps done and all steps.

    Raises:
        CompilerError: the compiler does not start.
    """
    long = [task for task in tasks if len(task.choices) > count + 1]
    if not long:
        return [*tasks]
    cycles = _cycles_of(long, profile, compilers, chip, report)
    kept = {task.key: _fewest(task, count, cycles[task.key]) for task in long}
    return [kept.get(task.key, task) for task in tasks]


def _fewest(task: Task, count: int, cycles: Sequence[float]) -> Task:
    default, *others = zip(task.choices, cycles, strict=True)
    ranked = sorted(others, key=lambda pair: pair[1])
    return replace(task, choices=(default[0], *(choice for choice, _ in ranked[:count])))


def _cycles_of(
    tasks: Sequence[Task], profile: Profile, compilers: Compilers, chip: Chip, report: Report
) -> dict[Key, list[float]]:
    """The cycles of each choice of each task, by key, in the order of its choices."""
    total = sum(len(task.choices) for task in tasks)
    launches: list[LayerLaunches] = []
    for task in tasks:
        for choice in task.choices:
            report(f"generating {task.layers[0]} {choice}", len(launches), total)
            launches.append(launches_of_layer(task.workload, profile, choice, task.layers[0]))
    inspected = iter(inspect(launches, profile, compilers, chip, tasks[0].workload.dtype, report).layers)
    return {task.key: [_cost(next(inspected)) for _ in task.choices] for task in tasks}


def _cost(layer: InspectedLayer) -> float:
    """The cycles of a layer; infinite where a kernel does not build or spills, which no count shows the price of."""
    spills = any(kernel.figures is None or kernel.figures.does_spill for kernel in layer.kernels)
    return math.inf if spills or layer.cycles is None else layer.cycles
