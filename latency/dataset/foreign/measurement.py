"""What a file of another tool holds: measured layers, those that failed, whole networks, and what was left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleetpose.errors import UsageError, unknown_name
from latency.dataset.sample import Sample
from latency.dataset.tvm_kernels import TVM, fastest

log = logging.getLogger("latency.dataset.foreign")

#: what --where may name of the layers in files of other tools
COLUMNS = ("framework", "device", "gpu", "op", "kernel", "kind", "schedule", "dtype", "config", "network")


@dataclass(frozen=True)
class ForeignMeasurement:
    """A layer that another tool timed, or tried to.

    Attributes:
        sample: the layer; its `ms` is None where it failed.
        schedule: name of the template, "" where the tool has none; kind: of the kernel, "winograd" for instance.
        dtype: as the tool's table would have it: "fp16_acc32".
        config: knobs of a tuned kernel by name, as text.
        failure: why there is no time, in words; "" where there is one.
    """

    sample: Sample
    schedule: str = ""
    kind: str = ""
    dtype: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """What --where compares, by COLUMNS."""
        sample = self.sample
        groups = sample.layer.groups
        op = "conv" if groups == 1 else "dw" if groups == sample.layer.in_shapes[0][0] else "group"
        return {
            "framework": (sample.framework,),
            "device": (sample.device,),
            "gpu": (sample.gpu,),
            "op": (op,),
            "kernel": ("x".join(map(str, sample.layer.kernel)),),
            "kind": (self.kind or sample.kernel,),
            "schedule": (self.schedule,),
            "dtype": (self.dtype or sample.dtype,),
            "config": (";".join(f"{name}={value}" for name, value in self.config.items()),),
            "network": sample.networks,
        }


@dataclass(frozen=True)
class NetworkRun:
    """A network whose inference another tool timed as a whole.

    Attributes:
        ms: milliseconds of one inference.
        kernels_ms: milliseconds of each of its layers, where the file has them; () where it has not.
        written: elements that these layers write; 0 where that is not known.
    """

    name: str
    ms: float
    kernels_ms: tuple[float, ...] = ()
    written: float = 0.0


@dataclass(frozen=True)
class ForeignFile:
    """What was read of a file, or of files that belong together.

    Attributes:
        path: the file; what: the format, in words for people: "a log of AutoTVM".
        left_out: what was not read, with how many there were of it.
        told_apart: whether a sample knows its configuration; where it does not, only the fastest can count.
    """

    path: str
    what: str
    measurements: tuple[ForeignMeasurement, ...] = ()
    networks: tuple[NetworkRun, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    told_apart: bool = True
    _said: set[str] = field(default_factory=set, compare=False, repr=False)

    def samples(self, where: Mapping[str, Sequence[str]], configurations: bool = False) -> list[Sample]:
        """The samples with a time that pass `where` (column -> values, any of them). What failed is said and counted.

        Args:
            configurations: of tuned kernels every configuration is a sample, not the fastest of each layer and class.
        """
        chosen = self.passing(where)
        self._report(chosen)
        timed = [measurement.sample for measurement in chosen if not measurement.failure]
        every = (configurations and self.told_apart) or any(sample.framework != TVM for sample in timed)
        return timed if every else fastest(timed)

    def passing(self, where: Mapping[str, Sequence[str]]) -> list[ForeignMeasurement]:
        """The measurements, failed ones too, that `where` lets through. Raises UsageError for an unknown column."""
        check_columns_of_layers(self.path, where)
        return [measurement for measurement in self.measurements if _passes(measurement, where)]

    def _report(self, chosen: Sequence[ForeignMeasurement]) -> None:
        """One line of what failed, and one of what was left out; each is said once."""
        failures = Counter(measurement.failure for measurement in chosen if measurement.failure)
        said = []
        if failures:
            said.append(
                f"{sum(failures.values())} of {len(chosen)} measurements failed and have no time; they are left out "
                f"({_counted(failures)})"
            )
        if self.left_out:
            said.append(f"left out of {self.what}: {_counted(self.left_out)}")
        for text in said:
            if text not in self._said:
                self._said.add(text)
                log.warning("%s: %s", self.path, text)


def check_columns_of_layers(path: str, where: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError, saying the file, for a column of `where` that layers of other tools do not have."""
    for name in where:
        if name not in COLUMNS:
            raise UsageError(f"{path}: --where: {unknown_name('column', name, COLUMNS)}")


def _passes(measurement: ForeignMeasurement, where: Mapping[str, Sequence[str]]) -> bool:
    columns = measurement.columns
    return all(set(columns[name]) & set(wanted) for name, wanted in where.items())


def _counted(counts: Mapping[str, int]) -> str:
    """ "12: it did not compile; 3: it took too long", the most frequent first, eight at most."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = ["..."] if len(ordered) > 8 else []
    return "; ".join([f"{count}: {what:.160}" for what, count in ordered[:8]] + more)
