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

from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError
from fleetpose.files import read_json, write_json
from latency.cost_model.calibration import Calibration
from latency.cost_model.conformal import Conformal
from latency.cost_model.feature_names import FEATURES_VERSION, NAMES
from latency.cost_model.model import Inputs, Model
from latency.cost_model.physical import PhysicalModel
from latency.cost_model.ranges import Ranges
from latency.cost_model.trees import Trees
from latency.dataset.hardware import Hardware
from latency.dataset.runtimes import kernel_class
from latency.dataset.sample import OWN, Sample
from models.plans.time_estimate import TimeEstimate

if TYPE_CHECKING:
    from codegen.kernels.choice import ScheduleChoice
    from codegen.kernels.workload import Workload

FORMAT = "fleetpose.predictor/1"


@dataclass(frozen=True)
class Prediction(TimeEstimate):
    """A predicted latency, whose interval holds the measurement with the predictor's nominal coverage.

    Attributes:
        doubts: in words, each input outside what the predictor was fitted on; () where there is none.
    """

    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predictor:
    """A latency model of one device.

    Attributes:
        model: baseline and trees.
        conformal: the intervals of its answers.
        ranges: of the inputs it was fitted on.
        hardware: facts about the device that features are made with.
        metadata: "device", "gpu", "framework", "driver", "data" (hash), "shapes" (keys fitted on), "metrics",
            "settings", "seed", "versions", "date".
        bases: predictors of other devices whose answers are inputs.
        calibration: from kernels to whole networks; None where no network was measured.
    """

    model: Model
    conformal: Conformal
    ranges: Ranges
    hardware: Hardware
    metadata: Mapping[str, Any] = field(default_factory=dict)
    bases: tuple[Predictor, ...] = ()
    calibration: Calibration | None = None

    def ms(self, samples: Sequence[Sample]) -> np.ndarray:
        """Milliseconds (n) of `samples` on this predictor's device, whichever they were measured on."""
        return self.model.predict(self._inputs(samples)) if samples else np.zeros(0)

    def predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Milliseconds with intervals and doubts, in order."""
        if not samples:
            return []
        inputs = self._inputs(samples)
        times, factors = self.model.predict(inputs), self.conformal.factors(inputs.kernels)
        doubts = self.ranges.doubts(inputs.features, inputs.kernels)
        return [
            Prediction(float(ms), float(ms / factor), float(ms * factor), doubt)
            for ms, factor, doubt in zip(times, factors, doubts, strict=True)
        ]

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
        calibration = {"calibration": encode(self.calibration)} if self.calibration else {}
        return {
            "format": FORMAT,
            "features": {"version": FEATURES_VERSION, "names": list(NAMES)},
            "metadata": dict(self.metadata),
            "hardware": encode(self.hardware),
            "conformal": encode(self.conformal),
            "ranges": encode(self.ranges),
            "baseline": encode(self.model.baseline),
            "trees": self.model.trees.to_json(),
            "bases": [base.to_json() for base in self.bases],
            **calibration,
        }

    @classmethod
    def from_json(cls, values: Any) -> Predictor:
        """The inverse of `to_json`. Raises UsageError for other features, ValueError for damage."""
        try:
            version, names = values["features"]["version"], values["features"]["names"]
            if version != FEATURES_VERSION or names != list(NAMES):
                raise UsageError(
                    f"its features are version {version} ({len(names)} columns), this program's version "
                    f"{FEATURES_VERSION} ({len(NAMES)}); fit it again with latency.fit"
                )
            return cls(
                Model(decode(PhysicalModel, values["baseline"], "baseline"), Trees.from_json(values["trees"])),
                decode(Conformal, values["conformal"], "conformal"),
                decode(Ranges, values["ranges"], "ranges"),
                decode(Hardware, values["hardware"], "hardware"),
                values["metadata"],
                tuple(cls.from_json(base) for base in values["bases"]),
                decode(Calibration, values["calibration"], "calibration") if "calibration" in values else None,
            )
        except (KeyError, TypeError, AttributeError, xgboost.core.XGBoostError) as error:
            raise ValueError(f"it is damaged ({type(error).__name__} at {str(error).splitlines()[0][:80]})") from error

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the file. Raises UsageError where it exists and `force` is false, or cannot be written."""
        write_json(path, self.to_json(), force=force, indent=None)

    @classmethod
    def load(cls, path: Path | str) -> Predictor:
        """Read a file. Raises UsageError, with the path, for what is no predictor of today's features."""
        values = read_json(path, "predictor", FORMAT, "fit it again with latency.fit")
        try:
            return cls.from_json(values)
        except (ValueError, UsageError) as error:
            raise UsageError(f"predictor {path}: {error}") from error
