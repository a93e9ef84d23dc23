"""From a variant of a layer to what can be sent to a device: its schedule, compiled kernels, operands, right result.

Works without a device, so that it can run ahead of measuring. What does not compile is a failure that is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from codegen.judging.layers import ResultBounds, RightResult
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Weights, Workload
from codegen.lowering.compile import CompiledNetwork
from codegen.lowering.layer import CompiledLayer, compile_layer, random_operands
from codegen.schedules import default_choice
from devices.profile import Profile
from fleetpose.disk.refusals import CannotWrite
from fleetpose.errors import reason
from fleetpose.interrupt import hold_interrupt
from latency.profiling.space import Group
from latency.records.record import Failure
from models.graph.network import Graph
from models.plans.sparsity import Sparsity

log = logging.getLogger("latency.profiling.prepare")

Choose = Callable[[Workload, Profile], ScheduleChoice | None]


@dataclass(frozen=True, eq=False)
class Prepared:
    """One variant, ready to be loaded, or the reason why it is not.

    Attributes:
        sparsity: None is dense.
        choice: the schedule; None where none was found.
        compiled: None where it failed, and on the null device.
        inputs: (C, H, W) arrays, shared by the variants of a layer.
        bounds: what its result may be, by float64.
        failure: why there is no `compiled`.
    """

    sparsity: Sparsity | None
    choice: ScheduleChoice | None = None
    compiled: CompiledLayer | None = None
    inputs: tuple[np.ndarray, ...] = ()
    bounds: ResultBounds | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Recipe:
    """How variants are to be compiled.

    Attributes:
        profile: the device's.
        choose: the schedule of a workload, such as `Tuned.choice`; where it knows none, the default one.
        seed: of the random operands.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS.
        runs_nothing: for the null device: schedules are chosen, nothing is compiled.
        output_names: of the network's outputs, as an artifact is to have them; none: names of their tensors.
        networks: dense networks that were compiled by this recipe, with their graphs; they are compiled once.
    """

    profile: Profile
    choose: Choose = lambda *_: None
    seed: int = 0
    host: str = "native"
    runs_nothing: bool = False
    output_names: Sequence[str] = ()
    networks: dict[tuple, tuple[Graph, CompiledNetwork]] = field(default_factory=dict, compare=False, repr=False)

    def prepare(self, group: Group) -> list[Prepared]:
        """Every variant of a group, the dense one first."""
        if self.runs_nothing:
            return [self._choose(replace(group.workload, sparsity=sparsity)) for sparsity in group.sparsities]
        inputs, weights = random_operands(group.workload.layer, self.seed)
        return [self._prepare(group.workload, sparsity, inputs, weights) for sparsity in group.sparsities]

    def choices(self, group: Group) -> list[tuple[Workload, ScheduleChoice]]:
        """What would be timed of a group: its variants under their schedules; those that have none are left out."""
        workloads = [replace(group.workload, sparsity=sparsity) for sparsity in group.sparsities]
        chosen = [(workload, self._choose(workload).choice) for workload in workloads]
        return [(workload, choice) for workload, choice in chosen if choice is not None]

    def _choose(self, workload: Workload) -> Prepared:
        try:
            choice = self.choose(workload, self.profile) or default_choice(workload, self.profile)
        except LookupError as error:
            return Prepared(workload.sparsity, failure=Failure("compile", str(error)))
        return Prepared(workload.sparsity, choice)

    @hold_interrupt()
    def _prepare(
        self, dense: Workload, sparsity: Sparsity | None, inputs: list[np.ndarray], weights: Weights
    ) -> Prepared:
        workload = replace(dense, sparsity=sparsity)
        chosen = self._choose(workload)
        if chosen.failure is not None:
            return chosen
        weights = weights.pruned(sparsity)
        try:
            compiled = compile_layer(workload, weights, self.profile, self.host, chosen.choice)
        except CannotWrite:
            raise
        except Exception as error:  # whatever compiling does is the variant's own failure
            why = Failure("compile", f"{type(error).__name__}: {reason(error)}")
            log.info("%s %s: %s", workload.label, chosen.choice, why.reason)
            return replace(chosen, failure=why)
        right = RightResult(workload.layer, workload.dtype, inputs, weights)
        return replace(chosen, compiled=compiled, inputs=tuple(inputs), bounds=right.bounds(chosen.choice))
