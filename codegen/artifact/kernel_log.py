"""The log that a device's server keeps of kernels: what each layer of an inference took by the device's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codegen.artifact.manifest import LayerCode, launched_together
from fleetpose.errors import FleetposeError

if TYPE_CHECKING:
    from devices.session import Session

PROFILE_START, PROFILE_STOP = "fleetpose.opencl.profile_start", "fleetpose.opencl.profile_stop"


def keeps_kernel_log(session: Session) -> bool:
    """Whether the server of a device tells when each kernel began and ended."""
    return session.function(PROFILE_START) is not None


@dataclass(frozen=True)
class KernelLog:
    """An inference by the device's event clock.

    Attributes:
        layer_secs: of each layer's kernels, in launch order.
        span_secs: from the first kernel's start to the last one's end.
        wall_secs: of the same inference, from an idle device to an idle device.
    """

    layer_secs: tuple[float, ...]
    span_secs: float
    wall_secs: float


def read_log(codes: Sequence[LayerCode], launches: Sequence[Mapping[str, Any]], wall_secs: float) -> KernelLog:
    """The log of the last inference among launches; the timer runs others before it, to warm up.

    Args:
        codes: the network's layers, in launch order.
        launches: as the device's server lists them: "kernel", "start_secs" and "end_secs".
        wall_secs: see KernelLog.

    Raises:
        FleetposeError: the device ran other kernels than the layers'.
    """
    together = launched_together(codes)
    expected = [kernel for layers in together for kernel in layers[0].kernels]
    last = launches[len(launches) - len(expected) :] if len(launches) >= len(expected) else launches
    names = [launch["kernel"] for launch in last]
    if names != expected:
        raise FleetposeError(f"the device ran {len(names)} kernels, the manifest lists {len(expected)}: {names}")
    secs = iter(launch["end_secs"] - launch["start_secs"] for launch in last)
    layers = tuple(part for layers in together for part in divide(sum(next(secs) for _ in layers[0].kernels), layers))
    span = max(launch["end_secs"] for launch in last) - min(launch["start_secs"] for launch in last)
    return KernelLog(layers, span, wall_secs)


def divide(secs: float, layers: Sequence[LayerCode]) -> list[float]:
    """The seconds of a launch, layer by layer, by their work: the device's clock tells launches apart, not layers."""
    work = sum(layer.work for layer in layers)
    return [secs * layer.work / work for layer in layers]
