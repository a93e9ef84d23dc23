"""Rule: one schedule as the rest of the code sees it.

A rule's space is the short list of configurations worth timing for a workload; an empty one declines. The first is what
runs where nothing was tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from codegen.kernels.workload import Kernel, Weights, Workload
from devices.profile import Profile


@dataclass(frozen=True)
class Unconfigured:
    """The configuration of a schedule that has nothing to choose."""

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True)
class Rule:
    """A schedule.

    Attributes:
        name: what tuned data, manifests and benchmarks call it.
        config: the type of its configurations: a frozen dataclass of whole numbers and strings, with a short `str`.
        space: the configurations that are legal for a workload on a profile, the default one first.
        make: the kernel for one of them; raises ValueError where it is not legal after all.
        prefers: whether the rule is to be taken where nothing was tuned; rules that merely compete say no.
        reads_sparsity: a sparse schedule, which answers only workloads with a sparsity.
        widens: its kernels compute in float32 where a workload asks for that (`Workload.widened`).
        amplifies: by how much a configuration errs more than sums of products in their order do, for its rounding; see
            `codegen.judging.rounding`.
    """

    name: str
    config: type
    space: Callable[[Workload, Profile], Sequence[Any]]
    make: Callable[[Workload, Weights, Profile, Any], Kernel]
    prefers: Callable[[Workload, Profile], bool] = lambda *_: True
    reads_sparsity: bool = False
    widens: bool = False
    amplifies: Callable[[Any], float] = lambda _: 1.0

    def answers(self, workload: Workload) -> bool:
        """Whether it is for workloads of this kind at all, whatever their shapes."""
        sparse = workload.sparsity is not None or not self.reads_sparsity
        return sparse and (self.widens or not workload.widened)
