"""An artifact run on one photograph: its people, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.artifact.breakdown import Breakdown, break_down
from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import PoseResult, find_people, prepare
from devices.timers import TimedCall
from devices.timing.measure import measure
from devices.timing.measurement import Measurement
from devices.timing.sustained import NETWORK, sustain
from fleetpose.errors import FleetposeError
from fleetpose.progress import Report, no_report


@dataclass(frozen=True)
class PhotographRun:
    """What an artifact made of a photograph; `timing`, `breakdown` and `sustained` where they were asked for."""

    result: PoseResult
    timing: Measurement | None = None
    breakdown: Breakdown | None = None
    sustained: Mapping[str, Any] | None = None


def run_photograph(
    artifact: Artifact, image: np.ndarray, people: bool = True, repeats: int = 10, layers: bool = False
) -> PhotographRun:
    """Find the people in a photograph, and see where the time goes.

    Args:
        image: (H, W, 3) uint8 BGR.
        people: False: time the network only, whatever its outputs are.
        repeats: timed runs; 0 for none.
        layers: time every layer, too.

    Raises:
        FleetposeError: the timing failed.
    """
    tensor, placement = prepare(artifact.manifest, image)
    result = find_people(artifact, image) if people else PoseResult([], placement.input_size, None)
    timing = measure(artifact.session, **artifact.call_arguments(tensor), repeats=repeats) if repeats else None
    breakdown = break_down({"": artifact}, tensor)[""] if layers else None
    if timing is not None and not timing.ok:
        raise FleetposeError(f"timing failed: {timing.error}")
    return PhotographRun(result, timing, breakdown)


def run_on(artifact: Artifact, image: np.ndarray, minutes: float, report: Report = no_report) -> dict[str, Any]:
    """Run the network on a photograph for so many minutes without a pause; see `devices.timing.sustained.sustain`.

    Raises:
        FleetposeError: an inference gave no time.
    """
    call = artifact.call_arguments(prepare(artifact.manifest, image)[0])
    calls = {NETWORK: TimedCall(call["function"], (), call["entry"])}
    return sustain(artifact.session, calls, minutes, report)
