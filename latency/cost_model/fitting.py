"""From samples to a predictor: settings by cross-validation, the model on everything, intervals from what was held out.

`latency.fit` and `latency.evaluate` both come here, so that what is evaluated is what is fitted.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from devices.timing.measurement import versions
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.options import SEED, check_numbers, option
from latency.cost_model.adaptation.adapting import MOST_SAMPLES, NewDevice, adapt
from latency.cost_model.intervals.conformal import Conformal
from latency.cost_model.intervals.pair_spread import PairSpread
from latency.cost_model.metrics import scores
from latency.cost_model.model import Inputs, Model, measured_ms
from latency.cost_model.predictor import Predictor
from latency.cost_model.ranges import Ranges
from latency.cost_model.search import CrossValidation, search
from latency.cost_model.trees import TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample, merge

#: fewer samples than this say nothing that could be checked
LEAST_SAMPLES = 20


@dataclass(frozen=True)
class FitOptions:
    """How a predictor is fitted.

    Attributes:
        by: what its own cross-validation holds out; by default what suits the data.
        wide: search for the depth of the trees, too, not only for their number.
        level: nominal coverage of the intervals.
    """

    monotone: bool = option(False, "let what the trees add only rise with work and memory traffic")
    seed: int = option(0, "seed of folds and trees", type=SEED)
    by: str = ""
    wide: bool = option(True, "search for the number of trees only, which is faster", flag="--no-search")
    level: float = 0.9

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True)
class Fitted:
    """A predictor and the cross-validation it came from; `scratch` is that of one without bases, to compare with."""

    predictor: Predictor
    validation: CrossValidation
    scratch: CrossValidation | None = None

    @property
    def best(self) -> CrossValidation:
        """The cross-validation of what the predictor is: with bases, or from scratch."""
        return self.validation if self.predictor.bases or self.scratch is None else self.scratch


def fit_predictor(
    samples: Sequence[Sample],
    hardware: Hardware,
    options: FitOptions,
    bases: Sequence[Predictor] = (),
    about: Mapping[str, Any] | None = None,
) -> Fitted:
    """Fit a predictor to samples of one device, which all have times.

    Args:
        bases: predictors of other devices, for transfer. They are left out again where cross-validation says that the
            predictor is better without them, and corrected by the samples where that is best.
        about: what the metadata is to say besides, such as the device and the data's hash.

    Raises:
        UsageError: too few samples, and no bases.
    """
    count = len({sample.key for sample in samples})
    if count < LEAST_SAMPLES and not bases:
        raise UsageError(
            f"{count} distinct samples are too few to fit and check a predictor; give {LEAST_SAMPLES} or more, or "
            f"predictors of other devices to adapt (--base)"
        )
    target = NewDevice(hardware, samples[0].gpu, about or {})
    adapted = adapt(samples, target, bases, options.level, options.seed) if bases and count <= MOST_SAMPLES else None
    if adapted is not None and count < LEAST_SAMPLES:
        return _adapted(*adapted, samples, about, options)
    start = TreeSettings(monotone=options.monotone)
    functions = [base.ms for base in bases]
    validation = search(samples, hardware, functions, start, options.by, options.seed, options.wide)
    scratch = search(samples, hardware, (), start, options.by, options.seed, options.wide) if bases else None
    used = tuple(bases)
    if scratch is not None and min(scratch.scores.values()) < min(validation.scores.values()):
        used = ()
    best = validation if used or scratch is None else scratch
    if adapted is not None and min(adapted[1].scores.values()) < min(best.scores.values()):
        return _adapted(*adapted, samples, about, options, scratch)
    rows = merge(samples)
    inputs = Inputs.of(rows, hardware, [base.ms for base in used])
    model = Model.fit(inputs, measured_ms(rows), best.settings, options.seed, best.share)
    conformal = Conformal.fit(best.log_errors, [sample.kernel for sample in best.samples], options.level)
    metadata = {**(about or {}), **_metadata(rows, best, options)}
    ranges = Ranges.of(inputs.features, inputs.kernels)
    spread = PairSpread.fit(best.samples, best.predicted)
    predictor = Predictor(model, conformal, ranges, hardware, metadata, used, pair_spread=spread)
    return Fitted(predictor, validation, scratch)


def _adapted(
    predictor: Predictor,
    validation: CrossValidation,
    samples: Sequence[Sample],
    about: Mapping[str, Any] | None,
    options: FitOptions,
    scratch: CrossValidation | None = None,
) -> Fitted:
    """What was adapted, with its metadata."""
    rows = merge(samples)
    metadata = {**(about or {}), **_metadata(rows, validation, options), "adapted": len(rows)}
    spread = PairSpread.fit(validation.samples, validation.predicted)
    return Fitted(replace(predictor, metadata=metadata, pair_spread=spread), validation, scratch)


def _metadata(rows: Sequence[Sample], validation: CrossValidation, options: FitOptions) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "shapes": sorted({sample.shape_key for sample in rows}),
        "split": validation.split,
        "metrics": scores(measured_ms(validation.samples), validation.predicted) if validation.samples else {},
        "settings": {**encode(validation.settings), "share": validation.share},
        "seed": options.seed,
        "versions": {
            **versions(),
            **{name: _version(name) for name in ("xgboost-cpu", "scikit-learn", "scipy", "numpy")},
        },
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
