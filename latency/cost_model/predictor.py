"""Predictor: a fitted latency model with its intervals, what it was fitted on, and the one JSON file it lives in.

The file holds xgboost's own JSON and everything needed to refuse it where it does not fit: format, version and names of
the features, the device, the data's hash, the range of every input. Nothing is pickled. A predictor made by transfer
contains those of the other devices it asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from fleetpose.codec import check_entries, decode, encode
from fleetpose.errors import DataError, UsageError, first_line
from fleetpose.files import json_bytes, read_json, write_bytes
from fleetpose.json_fields import Positive
from latency.cost_model.adaptation.adapted import Adapted
from latency.cost_model.calibration import Calibration
from latency.cost_model.feature_names import FEATURES_VERSION, NAMES
from latency.cost_model.intervals.conformal import Conformal
from latency.cost_model.intervals.pair_spread import PairSpread
from latency.cost_model.model import Inputs, Model
from latency.cost_model.physical import PhysicalModel
from latency.cost_model.ranges import Ranges
from latency.cost_model.smooth import Smooth
from latency.cost_model.trees import Trees
from latency.dataset.hardware import Hardware
from latency.dataset.runtimes import kernel_class
from latency.dataset.sample import OWN, Sample
from models.plans.time_estimate import TimeEstimate

if TYPE_CHECKING:
    from codegen.kernels.choice import ScheduleChoice
    from codegen.kernels.workload import Workload

FORMAT = "fleetpose.predictor/1"
#: parts of a file, and what is read of the metadata
PARTS = dict.fromkeys(("features", "metadata", "hardware", "conformal", "ranges", "baseline"), dict[str, Any]) | {
    "trees": list[Any],
    "bases": list[Any],
    "calibration": dict[str, Any],
    "smooth": dict[str, Any],
    "share": Positive,
    "samples": dict[str, Any],
    "pair_spread": dict[str, Any],
}
#: parts of a model of a device's own samples; a file has these or "samples"
MODEL = ("baseline", "trees")
#: parts that a file may lack
OPTIONAL = (*MODEL, "calibration", "smooth", "share", "samples", "pair_spread")
METADATA: Mapping[str, Any] = {
    **dict.fromkeys(("device", "gpu", "framework", "origin", "driver", "data", "clock", "date"), str),
    **dict.fromkeys(("metrics", "settings", "versions", "split", "pairs"), Any),
    "shapes": list[str],
    "reference_ms": Positive | None,
}


@dataclass(frozen=True)
class Prediction(TimeEstimate):
    """A predicted latency, whose interval holds the measurement with the predictor's nominal coverage.

    Attributes:
        doubts: in words, each input outside what the predictor was fitted on; () where there is none.
        outside: how far outside, see `Ranges.outside`; 0 where nothing is.
    """

    doubts: tuple[str, ...] = ()
    outside: float = 0.0


@dataclass(frozen=True)
class Predictor:
    """A latency model of one device.

    Attributes:
        model: baseline and trees, or other devices' times and a correction.
        conformal: the intervals of its answers.
        ranges: of the inputs it was fitted on.
        hardware: facts about the device that features are made with.
        metadata: "device", "gpu", "framework", "driver", "data" (hash), "date" (of the newest measurement), "shapes"
            (keys fitted on), "metrics", "settings", "seed", "versions".
        bases: predictors of other devices whose answers are inputs.
        calibration: from kernels to whole networks; None where no network was measured.
        pair_spread: what ratios of its predictions are off by; None where few layers were measured under several
            kernels.
    """

    model: Model | Adapted
    conformal: Conformal
    ranges: Ranges
    hardware: Hardware
    metadata: Mapping[str, Any] = field(default_factory=dict)
    bases: tuple[Predictor, ...] = ()
    calibration: Calibration | None = None
    pair_spread: PairSpread | None = None

    def ms(self, samples: Sequence[Sample]) -> np.ndarray:
        """Milliseconds (n) of `samples` on this predictor's device, whichever they were measured on."""
        return self.model.predict(self._inputs(samples)) if samples else np.zeros(0)

    def predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Milliseconds with intervals and doubts, in order."""
        if not samples:
            return []
        inputs = self._inputs(samples)
        times, factors = self.model.predict(inputs), self._factors(inputs)
        doubts = self.ranges.doubts(inputs.features, inputs.kernels)
        outside = self.ranges.outside(inputs.features, inputs.kernels)
        return [
            Prediction(float(ms), float(ms / factor), float(ms * factor), doubt, float(far))
            for ms, factor, doubt, far in zip(times, factors, doubts, outside, strict=True)
        ]

    def _factors(self, inputs: Inputs) -> np.ndarray:
        """What to divide and multiply predictions by (n) for their intervals' ends."""
        if isinstance(self.model, Adapted):
            return np.exp(self.conformal.quantile * self.model.deviations(inputs))
        return self.conformal.factors(inputs.kernels)

    def factors(self, samples: Sequence[Sample]) -> np.ndarray:
        """What to divide and multiply the predictions of `samples` by (n) for their intervals' ends."""
        return self._factors(self._inputs(samples)) if samples else np.zeros(0)

    def estimates(self, kernels: Sequence[tuple[Workload, ScheduleChoice]]) -> list[Prediction]:
        """Times of our own kernels before they run, with their intervals."""
        from latency.dataset.candidates import of_workload

        samples = [of_workload(workload, choice, self.hardware.profile) for workload, choice in kernels]
        return self.predict(samples)

    def _inputs(self, samples: Sequence[Sample]) -> Inputs:
        return Inputs.of([self.localise(sample) for sample in samples], self.hardware, [base.ms for base in self.bases])

    def localise(self, sample: Sample) -> Sample:
        """A foreign runtime's sample as this predictor's device would run it: the class of kernel may be another."""
        framework, gpu = self.metadata.get("framework", OWN), self.metadata.get("gpu", "")
        if OWN in (sample.framework, framework) or (sample.framework, sample.gpu) == (framework, gpu):
            return sample
        return replace(
            sample, kernel=kernel_class(sample.layer, framework, gpu), framework=framework, gpu=gpu, _keys={}
        )

    @property
    def shapes(self) -> frozenset[str]:
        """Keys of the shapes it was fitted on."""
        return frozenset(self.metadata.get("shapes", ()))

    def to_json(self) -> dict[str, Any]:
        optional = {"calibration": self.calibration, "pair_spread": self.pair_spread}
        return {
            "format": FORMAT,
            "features": {"version": FEATURES_VERSION, "names": list(NAMES)},
            "metadata": dict(self.metadata),
            "hardware": encode(self.hardware),
            "conformal": encode(self.conformal),
            "ranges": encode(self.ranges),
            **_model_json(self.model),
            "bases": [base.to_json() for base in self.bases],
            **{name: encode(part) for name, part in optional.items() if part is not None},
        }

    @classmethod
    def from_json(cls, values: Any) -> Predictor:
        """The inverse of `to_json`. Raises UsageError for other features, DataError for damage."""
        content = check_entries(values, PARTS, needed=[part for part in PARTS if part not in OPTIONAL])
        _check_features(content["features"])
        bases = tuple(cls.from_json(base) for base in content["bases"])
        return cls(
            _model_of(content, len(bases)),
            decode(Conformal, content["conformal"], "conformal"),
            decode(Ranges, content["ranges"], "ranges"),
            decode(Hardware, content["hardware"], "hardware"),
            check_entries(content["metadata"], METADATA, "metadata"),
            bases,
            decode(Calibration, content["calibration"], "calibration") if "calibration" in content else None,
            decode(PairSpread, content["pair_spread"], "pair_spread") if "pair_spread" in content else None,
        )

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return json_bytes(self.to_json(), indent=None)

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the file. Raises UsageError where it exists and `force` is false, or cannot be written."""
        write_bytes(path, self.to_bytes(), force=force)

    @classmethod
    def load(cls, path: Path | str) -> Predictor:
        """Read a file. Raises UsageError, with the path, for what is no predictor of today's features."""
        values = read_json(path, "predictor", FORMAT, "fit it again with latency.fit")
        try:
            return cls.from_json(values)
        except xgboost.core.XGBoostError as error:
            raise DataError(f"predictor {path}: xgboost refuses its trees: {first_line(error)}") from error
        except UsageError as error:
            raise type(error)(f"predictor {path}: {error}") from error


def _model_json(model: Model | Adapted) -> dict[str, Any]:
    """The parts of a file that are the model's."""
    if isinstance(model, Adapted):
        return {"samples": model.to_json()}
    parts = {"baseline": encode(model.baseline), "trees": model.trees.to_json()}
    return {**parts, "smooth": model.smooth.to_json(), "share": model.share} if model.smooth else parts


def _model_of(content: Mapping[str, Any], bases: int) -> Model | Adapted:
    """The inverse, of so many other devices. Raises DataError for parts that are missing or do not fit together."""
    if "samples" in content:
        return Adapted.from_json(content["samples"], bases)
    check_entries({name: content[name] for name in MODEL if name in content}, PARTS, needed=MODEL)
    baseline = decode(PhysicalModel, content["baseline"], "baseline")
    baseline.check_columns(bases)
    trees = Trees.from_json(content["trees"], len(NAMES) + 1 + bases)  # as Inputs.matrix puts them together
    if "smooth" not in content:
        return Model(baseline, trees)
    return Model(baseline, trees, Smooth.from_json(content["smooth"]), min(1.0, content.get("share", 0.5)))


def _check_features(features: Mapping[str, Any]) -> None:
    kinds = {"version": int, "names": list[str]}
    given = check_entries(features, kinds, "features", needed=tuple(kinds))
    version, names = given["version"], given["names"]
    if version != FEATURES_VERSION or names != list(NAMES):
        raise UsageError(
            f"its features are version {version} ({len(names)} columns), this program's version "
            f"{FEATURES_VERSION} ({len(NAMES)}); fit it again with latency.fit"
        )
