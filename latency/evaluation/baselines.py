"""What a user could do without this model: predict from multiply-adds, from a roofline, or look the nearest shape up.

Each is fitted on the training samples of a fold and asked about its held-out ones, as the model is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from latency.cost_model.feature_names import NAMES
from latency.cost_model.features import extract
from latency.cost_model.model import measured_ms
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample

BaselineModel = Callable[[Sequence[Sample], Sequence[Sample], Hardware], np.ndarray]
#: columns that say how near two shapes are; times scale by their work
NEARNESS = ("cin", "cout", "out_pixels", "taps", "stride", "groups", "dilation", "kept", "grids")


def _columns(samples: Sequence[Sample], hardware: Hardware, *names: str) -> list[np.ndarray]:
    table = extract(samples, hardware)
    return [table[:, NAMES.index(name)] for name in names]


def _work(samples: Sequence[Sample], hardware: Hardware) -> np.ndarray:
    """Multiply-adds that are left; of ops without any, the elements they write."""
    macs, volume = _columns(samples, hardware, "macs_kept", "log_volume")
    return np.maximum(macs, np.exp(volume))


def macs(train: Sequence[Sample], test: Sequence[Sample], hardware: Hardware) -> np.ndarray:
    """Milliseconds as a power of the multiply-adds: a line in logs, least squares."""
    slope, offset = np.polyfit(np.log(_work(train, hardware)), np.log(measured_ms(train)), 1)
    return np.exp(offset) * _work(test, hardware) ** slope


def roofline(train: Sequence[Sample], test: Sequence[Sample], hardware: Hardware) -> np.ndarray:
    """The longer of arithmetic and memory, the rates of both from the training samples (peaks are seldom reached)."""
    ms = measured_ms(train)
    (work, moved), (asked_work, asked_moved) = (
        (_work(samples, hardware), *_columns(samples, hardware, "bytes_all")) for samples in (train, test)
    )
    best: tuple[float, float, float] = (np.inf, 1.0, 1.0)
    for balance in np.geomspace(0.1, 1000, 33):
        relative = np.maximum(work / balance, moved) / ms
        scale = 1 / float(np.median(relative))
        best = min(best, (float(np.abs(scale * relative - 1).mean()), float(balance), scale))
    return best[2] * np.maximum(asked_work / best[1], asked_moved)


def lookup(train: Sequence[Sample], test: Sequence[Sample], hardware: Hardware) -> np.ndarray:
    """The time of the nearest shape (Euclidean in logs), times the ratio of the work; of its class if it has any."""
    ms, known_work, asked_work = measured_ms(train), _work(train, hardware), _work(test, hardware)
    known = np.log(np.column_stack(_columns(train, hardware, *NEARNESS)))
    asked = np.log(np.column_stack(_columns(test, hardware, *NEARNESS)))
    classes = np.array([sample.kernel for sample in train])
    predicted = np.empty(len(test))
    for row, sample in enumerate(test):
        far = ((known - asked[row]) ** 2).sum(1)
        same = classes == sample.kernel
        nearest = int(np.argmin(np.where(same, far, np.inf) if same.any() else far))
        predicted[row] = ms[nearest] * asked_work[row] / known_work[nearest]
    return predicted


BASELINES: dict[str, BaselineModel] = {"macs": macs, "roofline": roofline, "lookup": lookup}
