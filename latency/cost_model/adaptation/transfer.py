"""Transfer: a predictor of one device, adapted to another by a few measurements; and how much better that is.

The times on the other devices are inputs of both parts of the model: terms of the baseline, since what takes long there
takes long here, and columns of the trees. Everything else is as from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetpose.errors import UsageError
from latency.cost_model.box.shipped import load_named
from latency.cost_model.fitting import Fitted
from latency.cost_model.metrics import mape
from latency.cost_model.model import measured_ms
from latency.cost_model.predictor import Predictor
from latency.cost_model.search import CrossValidation


@dataclass(frozen=True)
class Gain:
    """What bases are worth on held-out samples of the new device: mean absolute relative errors.

    Attributes:
        transfer: with the bases. scratch: without them. untouched: of each base as it is, but for one factor.
        taken: whether the predictor uses the bases.
    """

    transfer: float
    scratch: float
    untouched: tuple[float, ...]
    taken: bool

    def __str__(self) -> str:
        change = 1 - self.transfer / self.scratch
        less = f"{abs(change):.0%} {'less' if change >= 0 else 'more'} error"
        text = f"held-out MAPE {self.transfer:.1%} with the bases, {self.scratch:.1%} from scratch: {less}"
        scaled = ", ".join(f"{error:.1%}" for error in self.untouched)
        return f"{text}; the bases alone, scaled: {scaled}" + ("" if self.taken else "; the bases are not used")


def load_bases(paths: Sequence[Path | str]) -> list[Predictor]:
    """The predictors of the other devices, by file or by name in the box.

    Raises UsageError for what is none, and for one that has bases itself.
    """
    bases = load_named(paths)
    for path, base in zip(paths, bases, strict=True):
        if base.bases:
            raise UsageError(f"--base {path} was itself made with --base; give predictors fitted from scratch")
    return bases


def gain(fitted: Fitted, bases: Sequence[Predictor]) -> Gain:
    """What `bases` were worth to a predictor fitted with them."""
    assert fitted.scratch is not None
    return Gain(
        _mape(fitted.validation), _mape(fitted.scratch), tuple(_scaled_mape(fitted.validation, base) for base in bases),
        bool(fitted.predictor.bases),
    )  # fmt: skip


def _mape(validation: CrossValidation) -> float:
    return mape(measured_ms(validation.samples), validation.predicted)


def _scaled_mape(validation: CrossValidation, base: Predictor) -> float:
    """The error of a base whose answers are all multiplied by one number, the median ratio."""
    ratio = base.ms(validation.samples) / measured_ms(validation.samples)
    return float(np.abs(ratio / np.median(ratio) - 1).mean())
