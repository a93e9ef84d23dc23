"""What of networks there is to tune: each distinct workload once, those that cost most first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.widening import widened_part
from codegen.kernels.workload import Weights, Workload
from codegen.layout.assign import assign_layout
from codegen.lowering.layer import random_operands
from codegen.schedules import candidates, default_choice
from codegen.tuning.key import Key
from devices.profile import Profile
from models.graph.network import Graph, check_layer_names
from models.plans.sparsity import Sparsity

#: rates where a profile knows none; they order the work and decide nothing
GFLOPS, GBYTES_PER_SEC = 50.0, 10.0


@dataclass(frozen=True)
class Task:
    """One distinct workload of some networks.

    Attributes:
        workload: on the planes it has in the first of them.
        choices: the workload's candidates, the default first.
        layers: names of the layers that have it.
        share: estimated part of a network's time, summed over the networks.
    """

    workload: Workload
    choices: tuple[ScheduleChoice, ...]
    layers: tuple[str, ...]
    share: float

    @property
    def key(self) -> Key:
        return Key.of(self.workload)

    def operands(self, seed: int) -> tuple[list[np.ndarray], Weights]:
        """Random inputs and weights; those of a sparse workload have its zeros."""
        inputs, weights = random_operands(self.workload.layer, seed)
        return inputs, weights.pruned(self.workload.sparsity)


def tasks_of(
    graphs: Sequence[Graph],
    profile: Profile,
    sparsities: Sequence[Sparsity | None] = (None,),
    dtype: str = "float32",
    layers: Sequence[str] = (),
) -> list[Task]:
    """The distinct workloads of `graphs` that have something to choose, the largest estimated share first.

    Args:
        sparsities: every convolution is taken once under each that applies to it; None is dense.
        layers: only layers of these names; empty: all.

    Raises:
        UsageError: no graph has a layer of one of the names, or the device does not compute in `dtype`.
    """
    check_layer_names(layers, *graphs)
    tasks: dict[Key, Task] = {}
    for graph in graphs:
        for task in _tasks(graph, profile, sparsities, dtype):
            have = tasks.get(task.key)
            names = (
                *(have.layers if have else ()),
                *(name for name in task.layers if not have or name not in have.layers),
            )
            merged = replace(have or task, layers=names, share=task.share + (have.share if have else 0))
            tasks[task.key] = merged
    wanted = [task for task in tasks.values() if not layers or not set(layers).isdisjoint(task.layers)]
    return sorted(wanted, key=lambda task: -task.share)


def _tasks(graph: Graph, profile: Profile, sparsities: Sequence[Sparsity | None], dtype: str) -> list[Task]:
    """A task for every layer and sparsity with several candidates; shares are of the dense network's time."""
    layout = assign_layout(graph, profile.lanes_of(dtype), np.dtype(dtype).itemsize)
    tasks, total = [], 0.0
    for layer in graph.layers:
        in_place = layer.name in layout.slices or (layer.name in layout.copied and not layer.epilogue)
        if layer.op == "constant" or in_place or layer.name in layout.gates:
            continue  # no kernel: given, or a join whose members lie in place or are copied one by one; or a short one
        dense = Workload.of(layer, layout.planes, dtype, widened=widened_part(graph, layer, dtype))
        total += estimated_secs(dense, profile)
        for sparsity in sparsities:
            if sparsity is not None and sparsity.applies_to(layer) is not None:
                continue
            workload = replace(dense, sparsity=sparsity)
            first = default_choice(workload, profile)
            rest = [choice for choice in candidates(workload, profile) if choice != first]
            if rest:
                tasks.append(Task(workload, (first, *rest), (layer.name,), estimated_secs(workload, profile)))
    return [replace(task, share=task.share / total) for task in tasks]


def estimated_secs(workload: Workload, profile: Profile) -> float:
    """Seconds at the profile's peak rates: arithmetic and memory, one after the other; good for ordering only."""
    layer = workload.layer
    macs = layer.macs if workload.sparsity is None else workload.sparsity.kept_macs(layer)
    moved = np.dtype(workload.dtype).itemsize * sum(
        np.prod(plane.shape) for plane in (*workload.inputs, workload.output)
    )
    return float(
        2e-9 * macs / (profile.peak_gflops_fp32 or GFLOPS)
        + 1e-9 * moved / (profile.peak_gbytes_per_sec or GBYTES_PER_SEC)
    )
