"""A network to be built in half precision: on photographs it is seen which of its layers half does not suffice for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from codegen.building.traced import TracedNetwork
from codegen.precision.measuring import measure_widening
from fleetpose.progress import Report, no_report
from models.prune.reconstruction.calibration import calibration_inputs

#: photographs that are enough: what differs between two of them is little beside what differs between layers
PHOTOGRAPHS = 8


def widen_by_photographs(
    network: TracedNetwork,
    folders: Sequence[Path],
    count: int = PHOTOGRAPHS,
    seed: int = 0,
    report: Report = no_report,
) -> TracedNetwork:
    """The network with float32 in those layers that need it on photographs.

    Args:
        network: as it is to be built, its weights pruned; the first of its sizes is looked at.
        folders: of photographs; count: how many are drawn from them, by `seed`.
        report: told what is being done.

    Raises:
        UsageError: no photographs, or one that cannot be read.
    """
    graph = network.graphs[0]
    inputs = calibration_inputs(replace(network.spec, size=graph.input_shape[1:]), folders, count, seed)
    choice = measure_widening(graph, inputs, network.sparsities, seed, report)
    return network.with_widened(choice.widened, "photographs")
