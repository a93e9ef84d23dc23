"""Samples of kernels that were not run yet: what predicting, deciding and active collection ask a predictor about."""

from __future__ import annotations

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from latency.dataset.observations import class_of_schedule
from latency.dataset.sample import OWN, Sample, pairs
from models.graph.layer import Layer
from models.graph.network import Widened
from models.plans.sparsity import Sparsity

#: OpenCL kernels that a schedule launches, where it is not one
GRIDS = {"winograd": 3, "winograd_sparse": 3, "phases": 2}


def candidate(
    layer: Layer,
    choice: ScheduleChoice,
    sparsity: Sparsity | None = None,
    dtype: str = "float32",
    profile: str = "",
    grids: int = 0,
    widened: Widened = "",
) -> Sample:
    """The sample of a layer under one of our schedules.

    Args:
        choice: what will run.
        profile: name of the device's profile.
        grids: kernels launched, where known; else by the schedule.
        widened: as of a sample.
    """
    values = choice.to_dict()
    return Sample(
        layer.blank,
        class_of_schedule(values, layer.op),
        sparsity,
        dtype,
        pairs({name: value for name, value in values.items() if name != "schedule"}),
        grids or GRIDS.get(choice.schedule, 2 if values.get("split") else 1),
        framework=OWN,
        device=profile,
        widened=widened,
    )


def of_workload(workload: Workload, choice: ScheduleChoice, profile: str = "") -> Sample:
    """The sample of a workload under one of our schedules."""
    return candidate(workload.layer, choice, workload.sparsity, workload.dtype, profile, widened=workload.widened)
