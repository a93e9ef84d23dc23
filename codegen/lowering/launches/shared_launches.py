"""Which layers of a network are launched together, on a GPU: kernels alike, none of which waits for another.

Branches of a network are what gives such layers: a pose network has a heatmap and a PAF branch, layer by layer of one
shape. Each layer is brought forward to the first launch of its kind that comes after all it reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.layout.assign import Layout
from codegen.lowering.launches.bound_grid import grids_of
from codegen.lowering.writing import ScheduledLayer
from models.graph.network import Graph

#: layers of one launch: each adds its code to the kernel
MOST_TOGETHER = 4
#: schedules whose functions are others' code, of kinds of grids that are not known
ALONE = ("fallback",)


def share_launches(
    scheduled: Sequence[ScheduledLayer], graph: Graph, layout: Layout
) -> list[tuple[ScheduledLayer, ...]]:
    """The layers of each launch, in an order in which every launch follows those whose results it reads."""
    waits = wait_for(scheduled, graph, layout)
    launches: list[list[int]] = []
    launch_of: list[int] = []
    for number, item in enumerate(scheduled):
        ready = max((launch_of[other] + 1 for other in waits[number]), default=0)
        later = (at for at in range(ready, len(launches)) if _fits(item, [scheduled[other] for other in launches[at]]))
        at = next(later, len(launches))
        if at == len(launches):
            launches.append([])
        launches[at].append(number)
        launch_of.append(at)
    return [tuple(scheduled[number] for number in numbers) for numbers in launches]


def _fits(item: ScheduledLayer, others: Sequence[ScheduledLayer]) -> bool:
    """Whether a layer may be launched with others: by the same schedule in the same types, so that it needs about the
    registers they do, of which a kernel has as many as its most needy part."""
    first = others[0]
    if len(others) == MOST_TOGETHER or item.weights or first.weights or item.kernel.schedule in ALONE:
        return False
    alike = ((layer.kernel.schedule, layer.grids, layer.widened) for layer in (item, first))
    if next(alike) != next(alike):
        return False
    # a barrier is met by whole work-groups
    return _barrier_group(item) == _barrier_group(first)


def _barrier_group(item: ScheduledLayer) -> tuple[int, ...] | None:
    """The work-groups of a kernel with a barrier; None of a layer without one."""
    return grids_of(item.func)[-1].group_shape if item.gives is not None else None


def wait_for(scheduled: Sequence[ScheduledLayer], graph: Graph, layout: Layout) -> list[set[int]]:
    """Of each scheduled layer, the numbers of those that write what it reads."""
    written: dict[str, set[int]] = {}
    for number, item in enumerate(scheduled):
        written.setdefault(item.layer.name, set()).add(number)
    writers: dict[str, set[int]] = {}
    for layer in graph.layers:
        writers[layer.name] = set(written.get(layer.name, ()))
        # a tensor that lies in others' planes, or has others in its own, is there once they are
        if layer.op == "concat" or layer.name in layout.slices or layer.name in layout.gates:
            writers[layer.name].update(*(writers.get(name, ()) for name in layer.inputs))
    return [
        set().union(*(writers.get(name, ()) for name in item.layer.inputs)) - {number}
        for number, item in enumerate(scheduled)
    ]
