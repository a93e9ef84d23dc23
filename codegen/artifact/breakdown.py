"""Where an inference's time goes: its layers' kernels, the gaps between these, and what lies outside of both.

Times of several artifacts come from one interleaved run, A B and then B A, so that a machine's drift meets all alike.
In every round each artifact runs once, timed by the wall clock and with the kernel log on; what the log says is divided
by the wall time of the same inference, and the median over the rounds is taken of the quotients. A machine that slows
down for some rounds slows both, and their quotient stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codegen.artifact.kernel_log import KernelLog
from codegen.artifact.loaded import Artifact
from codegen.artifact.manifest import LayerCode

#: rounds that are not looked at: the first inferences find cold caches
WARMUP = 1


@dataclass(frozen=True)
class LayerTime:
    """Seconds that a layer's kernels take within an inference of the whole network."""

    code: LayerCode
    secs: float


@dataclass(frozen=True)
class Breakdown:
    """An inference's wall time in parts.

    Attributes:
        codes: the layers, in launch order.
        shares: of the wall time, each layer's kernels by the device's event clock, (layers,) float64.
        gap_share: of the wall time, what lies between the first kernel's start and the last one's end and is no kernel.
        wall_secs: the median inference of this run.
    """

    codes: tuple[LayerCode, ...]
    shares: np.ndarray
    gap_share: float
    wall_secs: float

    @property
    def kernel_share(self) -> float:
        """Of the wall time, all layers' kernels."""
        return float(self.shares.sum())

    @property
    def outside_share(self) -> float:
        """Of the wall time, what is neither kernel nor gap: from the call to the first kernel, and after the last."""
        return 1.0 - self.kernel_share - self.gap_share

    def layers(self, wall_secs: float | None = None) -> list[LayerTime]:
        """Each layer's seconds within an inference of `wall_secs` (default: the median of this run)."""
        wall = self.wall_secs if wall_secs is None else wall_secs
        return [LayerTime(code, float(share * wall)) for code, share in zip(self.codes, self.shares, strict=True)]


def break_down(artifacts: Mapping[str, Artifact], tensor: np.ndarray, rounds: int = 10) -> dict[str, Breakdown]:
    """Where the time of each artifact goes, by name.

    Args:
        artifacts: loaded in one session.
        tensor: (1, C, H, W) float32, the input of all.
        rounds: that medians are taken of.

    Raises:
        UsageError: another shape of input.
        FleetposeError: the device's server keeps no log of kernels, or an inference failed.
        DeviceUnreachable: the device went away.
    """
    calls = {name: artifact.call_arguments(tensor) for name, artifact in artifacts.items()}
    height, width = tensor.shape[2:]
    logs: dict[str, list[KernelLog]] = {name: [] for name in artifacts}
    for number in range(WARMUP + rounds):
        for name in list(artifacts) if number % 2 else reversed(list(artifacts)):
            log = artifacts[name].log_kernels(calls[name], (height, width))
            if number >= WARMUP:
                logs[name].append(log)
    return {
        name: combine(artifact.manifest.entry((height, width)).layers, logs[name])
        for name, artifact in artifacts.items()
    }


def combine(codes: tuple[LayerCode, ...], logs: list[KernelLog]) -> Breakdown:
    """The parts of one artifact's inferences, from the log of each round."""
    wall = np.array([log.wall_secs for log in logs])
    layers = np.array([log.layer_secs for log in logs])
    gaps = np.array([log.span_secs for log in logs]) - layers.sum(axis=1)
    shares = np.median(layers / wall[:, None], axis=0)
    # Medians of parts need not add up to the median of the sum: the parts keep their proportions, the sum is right.
    shares *= np.median(layers.sum(axis=1) / wall) / shares.sum()
    return Breakdown(tuple(codes), shares, float(np.median(gaps / wall)), float(np.median(wall)))
