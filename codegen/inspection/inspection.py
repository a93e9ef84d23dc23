"""A network, or one layer, inspected: the figures of each kernel, and what they come to by kind of kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codegen.artifact.manifest import launched_together
from codegen.inspection.chips import Chip
from codegen.inspection.compilers import Compilers
from codegen.inspection.launches import Launch, LayerLaunches
from codegen.inspection.limits import faults_of
from codegen.inspection.machine_code.figures import KernelFigures
from codegen.inspection.machine_code.reading import read_said
from codegen.inspection.results import inspect_sources
from codegen.inspection.sources import KernelSource
from devices.profile import Profile
from fleetpose.progress import Report, no_report
from models.graph.network import Widened


@dataclass(frozen=True)
class InspectedKernel:
    """One launch of a kernel, inspected.

    Attributes:
        kernel: its name in the artifact.
        digest: of its text; kernels of one digest are one.
        group, groups: work-items of a work-group, and work-groups.
        figures: None where there are none.
        faults: what is wrong with it, each in words.
        cycles: core cycles for which the busiest unit works for all its waves, at least; None without figures.
    """

    kernel: str
    digest: str
    group: int
    groups: int
    figures: KernelFigures | None
    faults: tuple[str, ...]
    cycles: float | None = None


@dataclass(frozen=True)
class InspectedLayer:
    """The kernels of one layer, inspected; other attributes as in `codegen.inspection.launches.LayerLaunches`."""

    layer: str
    kind: str
    schedule: str
    tile: str
    variant: str
    macs: int
    kernels: tuple[InspectedKernel, ...]
    with_previous: bool = False
    widened: Widened = ""

    @property
    def utilisation(self) -> float | None:
        """That of the kernel whose hot loop has most multiply-adds: of Winograd the products, not the transforms. Of
        half precision's peak products in float32 reach half."""
        figures = self._main.figures if self._main else None
        utilisation = figures.hot.utilisation if figures else None
        return utilisation and utilisation / (2 if self.widened == "products" else 1)

    @property
    def filled_utilisation(self) -> float | None:
        """The utilisation times the part of the lanes that this kernel's work-groups fill."""
        figures, utilisation = self._main.figures if self._main else None, self.utilisation
        if self._main is None or figures is None or utilisation is None:
            return None
        return utilisation * figures.filled(self._main.group)

    @property
    def cycles(self) -> float | None:
        """Those of all its kernels, 0 where they are those of the layer before; None where one's are not known."""
        return 0.0 if self.with_previous else _sum_of_known(kernel.cycles for kernel in self.kernels)

    @property
    def _main(self) -> InspectedKernel | None:
        """The kernel with the hot loop that has most multiply-adds; one without a loop where none has any."""
        known = [(kernel.figures.hot, kernel) for kernel in self.kernels if kernel.figures is not None]
        return max(known, key=lambda pair: (pair[0].is_loop, pair[0].macs))[1] if known else None


@dataclass(frozen=True)
class KindSummary:
    """The layers of one kind together.

    Attributes:
        kind: see `LayerLaunches.kind`.
        layers, launches, kernels: how many; of kernels those that differ.
        macs: multiply-adds.
        utilisation: mean of the layers', weighted by their multiply-adds; None where nothing is multiplied or known.
        filled_utilisation: likewise.
        cycles: core cycles of all launches, see `InspectedKernel.cycles`; None where some are not known.
    """

    kind: str
    layers: int
    launches: int
    kernels: int
    macs: int
    utilisation: float | None
    filled_utilisation: float | None
    cycles: float | None

    @staticmethod
    def of(kind: str, layers: Sequence[InspectedLayer]) -> KindSummary:
        kernels = [kernel for layer in layers for kernel in layer.kernels]
        return KindSummary(
            kind,
            len(layers),
            sum(len(layer.kernels) for layer in layers if not layer.with_previous),
            len({kernel.digest for kernel in kernels}),
            sum(layer.macs for layer in layers),
            _weighted_mean((layer.macs, layer.utilisation) for layer in layers),
            _weighted_mean((layer.macs, layer.filled_utilisation) for layer in layers),
            _sum_of_known(layer.cycles for layer in layers),
        )


def _weighted_mean(values: Iterable[tuple[int, float | None]]) -> float | None:
    """The mean of (weight, value), of those that have both; None where none has."""
    known = [(weight, value) for weight, value in values if weight and value is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total else None


def _sum_of_known(values: Iterable[float | None]) -> float | None:
    """The sum; None where a value is not known."""
    values = [*values]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


@dataclass(frozen=True)
class Inspection:
    """What compilers make of the kernels of a network, or of one layer.

    Attributes:
        profile, gpu: names of the profile that shaped the kernels, and of the chip they were built for.
        compiler: what built them, with its version.
        dtype: element type of activations and weights.
        layers: in launch order.
    """

    profile: str
    gpu: str
    compiler: str
    dtype: str
    layers: tuple[InspectedLayer, ...]

    @property
    def kinds(self) -> list[KindSummary]:
        """The layers by kind, those with most multiply-adds first."""
        kinds = dict.fromkeys(layer.kind for layer in self.layers)
        summaries = [KindSummary.of(kind, [layer for layer in self.layers if layer.kind == kind]) for kind in kinds]
        return sorted(summaries, key=lambda summary: -summary.macs)

    @property
    def total(self) -> KindSummary:
        return KindSummary.of("all", self.layers)

    @property
    def faults(self) -> list[str]:
        """What is wrong, one line for each kernel and fault, with the layer that launches it first."""
        lines: dict[tuple[str, str], str] = {}
        for layer in self.layers:
            for kernel in layer.kernels:
                for fault in kernel.faults:
                    lines.setdefault((kernel.digest, fault), f"{layer.layer}: {kernel.kernel} {fault}")
        return [*lines.values()]


def inspect(
    layers: Iterable[LayerLaunches],
    profile: Profile,
    compilers: Compilers,
    chip: Chip,
    dtype: str,
    report: Report = no_report,
) -> Inspection:
    """Build every kernel of some layers with a chip's compiler.

    Args:
        profile: whose limits the kernels must keep.
        report: told how many are built, and of how many.

    Raises:
        CompilerError: the compiler does not start.
    """
    layers = [*layers]
    said = inspect_sources(compilers, chip, [launch.source for layer in layers for launch in layer.launches], report)
    figures = {source: read_said(what, chip) for source, what in said.items()}
    inspected = tuple(
        _inspected_layer(layer, figures, profile, sum(other.macs for other in together))
        for together in launched_together(layers)
        for layer in together
    )
    return Inspection(profile.name, chip.name, f"Mesa {compilers.version(chip)}", dtype, inspected)


def _inspected_layer(
    layer: LayerLaunches, figures: Mapping[KernelSource, KernelFigures | str], profile: Profile, macs: int
) -> InspectedLayer:
    """One layer; `macs` are of its launches, those of the layers beside it among them."""
    kernels = []
    for launch in layer.launches:
        said = figures[launch.source]
        known = None if isinstance(said, str) else said
        cycles = launch_cycles(launch, known, macs) if known else None
        what = launch.kernel, launch.source.digest, launch.group, launch.groups
        kernels.append(InspectedKernel(*what, known, faults_of(launch, said, profile), cycles))
    names = layer.layer, layer.kind, layer.schedule, layer.tile, layer.variant
    return InspectedLayer(*names, layer.macs, tuple(kernels), layer.with_previous, layer.widened)


def launch_cycles(launch: Launch, figures: KernelFigures, all_macs: int) -> float:
    """Core cycles for which a core's busiest unit works for all waves of a launch.

    Args:
        all_macs: multiply-adds of all work-items, shared out evenly where those of one are not known.
    """
    macs = all_macs / (launch.group * launch.groups) if launch.macs is None else launch.macs
    return launch.groups * figures.waves(launch.group) * figures.item_cycles(macs, launch.alternatives)
