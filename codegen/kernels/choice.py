"""A schedule with one point of its space, as data: what tuned data, records and manifests store. Imports no TVM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from fleetpose.codec import decode
from fleetpose.errors import quoted

#: fields of configurations that decide how weights are packed; all others are about tiles and orders
PACKING = ("m", "filters", "channels", "order", "sorted")


class NamedConfig(Protocol):
    """What a choice reads of a `codegen.schedules.rule.Rule`: its name and the type of its configurations."""

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> type: ...


@dataclass(frozen=True)
class ScheduleChoice:
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
    def from_dict(cls, values: Mapping[str, Any], rules: Iterable[NamedConfig]) -> ScheduleChoice:
        """The inverse of `to_dict`. Raises ValueError on a schedule or configuration that `rules` do not have."""
        by_name = {rule.name: rule for rule in rules}
        config = dict(values)
        name = config.pop("schedule", "")
        rule = by_name.get(name) if isinstance(name, str) else None
        if rule is None:
            raise ValueError(f"no schedule is called {quoted(name)}; known: {', '.join(by_name)}")
        return cls(name, decode(rule.config, config, f"schedule {name}"))
