"""Rule: one schedule as the rest of the code sees it. Choice: a schedule with one point of its space, as data.

A rule's space is the short list of configurations worth timing for a workload; an empty one declines. The first is what
runs where nothing was tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from codegen.kernels.workload import Kernel, Weights, Workload
from devices.profile import Profile

#: fields of configurations that decide how weights are packed; all others are about tiles and orders
PACKING = ("m", "filters", "channels", "order", "sorted")


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
    """

    name: str
    config: type
    space: Callable[[Workload, Profile], Sequence[Any]]
    make: Callable[[Workload, Weights, Profile, Any], Kernel]
    prefers: Callable[[Workload, Profile], bool] = lambda workload, profile: True
    reads_sparsity: bool = False


@dataclass(frozen=True)
class Choice:
    """A rule's name and one of its configurations; comparable, printable, storable."""

    schedule: str
    config: Any

    def __str__(self) -> str:
        return f"{self.schedule} {self.config}".strip()

    @property
    def packing(self) -> tuple:
        """What the packed weights depend on: choices that are alike in this can share them."""
        return (self.schedule, *((name, value) for name, value in asdict(self.config).items() if name in PACKING))

    def to_dict(self) -> dict[str, int | str]:
        """As one flat JSON object: {"schedule": "direct", "filters": 8, "vectors": 3, ...}."""
        return {"schedule": self.schedule, **asdict(self.config)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], rules: Sequence[Rule]) -> Choice:
        """The inverse of `to_dict`. Raises ValueError on a schedule or configuration that `rules` do not have."""
        by_name = {rule.name: rule for rule in rules}
        rest = dict(values)
        rule = by_name.get(name := rest.pop("schedule", ""))
        if rule is None:
            raise ValueError(f"no schedule is called {name!r}; known: {', '.join(by_name)}")
        wanted = {field.name for field in fields(rule.config)}
        if not rest.keys() <= wanted:
            raise ValueError(f"schedule {name} has no {', '.join(sorted(rest.keys() - wanted))}")
        try:
            return cls(name, rule.config(**rest))
        except TypeError as error:
            raise ValueError(f"schedule {name}: {error}") from error
