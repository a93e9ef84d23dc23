"""Which of other devices a device is like, and how fast it is beside them, by what is known before anything runs.

    log ms of a layer = the layer's own - log rate + the kernels' origin + the GPU's maker + the device's own

The last four are random, with variances that are constants here; what the others' times say of the device's is the best
linear answer (ordinary kriging; Rasmussen and Williams, Gaussian Processes for Machine Learning, section 2.7), whose
weights are kept from being negative. The rate is the geometric mean of peak arithmetic and memory rates: kernels that
nobody tuned to a roofline lie between the two. An origin is whose kernels they are and whether activations are
textures: TVM's schedules for Mali, which keep buffers, are several times as slow on an Adreno as those with textures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from scipy.optimize import minimize

from latency.dataset.hardware import Hardware
from latency.dataset.public_gpus import find_gpu
from latency.dataset.runtimes import Gpu

#: standard deviations of log ms: along log rate, about the slope of -1; of an origin; of a maker; of a device itself;
#: and of the log rate of a device of which none is known
RATE, ORIGIN, MAKER, DEVICE, UNKNOWN_RATE = 0.3, 2.0, 1.0, 0.3, 1.0
#: a GPU of another maker counts for so much of one of the same where there are samples
OTHER_MAKER = 0.1
#: `Hardware` of a device whose peak rates are not known
NO_FACTS = Hardware()


@dataclass(frozen=True)
class DeviceFacts:
    """What is known of a device.

    Attributes:
        maker: of its GPU, "" where the name does not say it.
        origin: of the kernels that run on it.
        log_rate: natural logarithm of its peak rate, None where it is not known.
    """

    maker: str
    origin: str
    log_rate: float | None

    @classmethod
    def of(cls, gpu: str, origin: str, hardware: Hardware) -> DeviceFacts:
        """By the GPU's name, and its profile's facts where it has one and is no public GPU."""
        public = find_gpu(gpu)
        gflops = public.gflops if public else hardware.gflops
        gbytes = public.gbytes_per_sec if public else hardware.gbytes_per_sec
        known = gflops != NO_FACTS.gflops and gbytes != NO_FACTS.gbytes_per_sec
        return cls(Gpu.of(gpu).kind, origin, log(sqrt(gflops * gbytes)) if known else None)


@dataclass(frozen=True)
class Likeness:
    """What other devices say of one.

    Attributes:
        weights: of each of them, not negative, adding up to 1.
        offset: what to add to the weighted mean of their log ms.
        variance: of the device's own factor about that.
    """

    weights: np.ndarray
    offset: float
    variance: float

    @classmethod
    def of(cls, target: DeviceFacts, others: Sequence[DeviceFacts], weights: np.ndarray | None = None) -> Likeness:
        """Of at least one other device.

        Args:
            weights: of the others; by default those that leave the least variance.
        """
        devices = [target, *others]
        rates = _rates(devices)
        covariance = _covariance(devices, rates - rates[0])
        among, between = covariance[1:, 1:], covariance[0, 1:]
        if weights is None:
            weights = _least_variance(among, between)
        variance = covariance[0, 0] + weights @ among @ weights - 2 * between @ weights
        return cls(weights, float(weights @ rates[1:] - rates[0]), float(variance))


def same_maker_first(target: DeviceFacts, others: Sequence[DeviceFacts]) -> np.ndarray:
    """Weights of the others where samples tell how fast the device is, so that many others' layers even out."""
    weights = np.array([1.0 if other.maker == target.maker else OTHER_MAKER for other in others])
    return weights / weights.sum()


def _least_variance(among: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Weights (n), not negative and adding up to 1, by covariances of the others (n, n) and with the device (n)."""
    count = len(between)
    solution = minimize(
        lambda weights: weights @ among @ weights - 2 * between @ weights, np.full(count, 1 / count),
        jac=lambda weights: 2 * (among @ weights - between), bounds=[(0.0, 1.0)] * count, method="SLSQP",
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )  # fmt: skip
    weights = np.maximum(solution.x, 0.0)
    return weights / weights.sum()


def _rates(devices: Sequence[DeviceFacts]) -> np.ndarray:
    """Log rates; where one is not known, the mean of those of its maker and origin, of its maker, or of all."""
    known = [device for device in devices if device.log_rate is not None]

    def guess(device: DeviceFacts) -> float:
        alike = [other for other in known if (other.maker, other.origin) == (device.maker, device.origin)]
        maker = [other for other in known if other.maker == device.maker]
        rates = [other.log_rate for other in alike or maker or known if other.log_rate is not None]
        return float(np.mean(rates)) if rates else 0.0

    return np.array([guess(device) if device.log_rate is None else device.log_rate for device in devices])


def _covariance(devices: Sequence[DeviceFacts], differences: np.ndarray) -> np.ndarray:
    """Of the devices' log ms; `differences` of log rates from the first's."""
    origins, makers = (np.array([getattr(device, name) for device in devices]) for name in ("origin", "maker"))
    unknown = np.array([device.log_rate is None for device in devices], np.float64)
    return (
        RATE**2 * np.outer(differences, differences) + ORIGIN**2 * (origins[:, None] == origins[None])
        + MAKER**2 * (makers[:, None] == makers[None]) + np.diag(DEVICE**2 + UNKNOWN_RATE**2 * unknown)
    )  # fmt: skip
