"""What a changed network loses against the dense one on a few photographs: AP where they are annotated, else agreement.

Photographs are files, so that a part of a folder can be judged: those that no layer was reconstructed on, or only as
many as there is time for. A photograph is annotated where it lies in the folder images/ beside a person_keypoints.json
that lists it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report
from models.accuracy.agreement import LEAST_FOR_INTERVAL, measure_agreement
from models.accuracy.bootstrap import bootstrap_ap
from models.accuracy.oks import Evaluation, judge_people
from models.accuracy.protocol import maps_of, people_finder
from models.annotations.photograph import AnnotatedPhotograph
from models.annotations.reading import ANNOTATIONS, read_coco
from models.annotations.turning import as_shown
from models.pose.decoding.decoders import decoder_for
from models.preprocess import read_image
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

AP, AGREEMENT = "AP", "agreement"
#: standard errors to either side of the middle of an interval of 95 %
_Z = 1.96
#: the least standard error that is believed
LEAST_ERROR = 0.002


@dataclass(frozen=True)
class MeasuredLoss:
    """What is lost, 0 or more but for chance, and its standard error over photographs."""

    lost: float
    error: float


@dataclass(frozen=True, eq=False)
class LossJudge:
    """Judges changed networks by the dense one.

    Attributes:
        network: the dense one, in eval mode on the CPU.
        spec: its preprocessing and outputs.
        photographs: files.
        annotations: of each of them; empty: agreement is judged.
        dense: the dense network's evaluation by these.
    """

    network: nn.Module
    spec: ModelSpec
    photographs: tuple[Path, ...]
    annotations: tuple[AnnotatedPhotograph, ...] = ()
    dense: Evaluation | None = None

    @classmethod
    def of(
        cls, network: nn.Module, spec: ModelSpec, photographs: Sequence[Path], report: Report = no_report
    ) -> LossJudge:
        """By AP on those of the photographs that are annotated, if these are enough for an interval; else by agreement
        on all of them.

        Raises:
            UsageError: too few photographs, or outputs that no decoder takes.
        """
        decoder_for(spec.outputs, spec.decoding)
        annotated, annotations = annotations_of(photographs)
        if len(annotated) >= LEAST_FOR_INTERVAL:
            dense = evaluate_photographs(network, spec, annotated, annotations, report)
            if sum(result.truths > 0 for result in dense.per_image) >= LEAST_FOR_INTERVAL and dense.ap:
                return cls(network, spec, tuple(annotated), tuple(annotations), dense)
        if len(photographs) < LEAST_FOR_INTERVAL:
            raise UsageError(f"{len(photographs)} photographs are too few to judge losses by")
        return cls(network, spec, tuple(photographs))

    @property
    def unit(self) -> str:
        return AGREEMENT if self.dense is None else AP

    @property
    def ceiling(self) -> float:
        """What there is to lose."""
        return 1.0 if self.dense is None else self.dense.ap or 0.0

    def judge(self, changed: nn.Module, seed: int = 0, report: Report = no_report) -> MeasuredLoss | None:
        """What a changed network loses; None where the dense one is sure of too few people to say."""
        if self.dense is not None:
            evaluation = evaluate_photographs(changed, self.spec, self.photographs, self.annotations, report)
            low, high = bootstrap_ap(evaluation, self.dense, seed=seed)
            return _measured((self.dense.ap or 0.0) - (evaluation.ap or 0.0), high - low)
        maps = maps_of(self.network, self.spec), maps_of(changed, self.spec)
        agreement = measure_agreement(*maps, self.spec, self.photographs, report)
        bounds = agreement.interval(seed)
        return (
            None if agreement.value is None or bounds is None else _measured(1 - agreement.value, bounds[1] - bounds[0])
        )


def _measured(lost: float, width: float) -> MeasuredLoss:
    """Of an interval of 95 % so wide."""
    return MeasuredLoss(lost, max(LEAST_ERROR, width / (2 * _Z)))


def annotations_of(photographs: Sequence[Path]) -> tuple[list[Path], list[AnnotatedPhotograph]]:
    """Those of the photographs that are annotated, and what is annotated in each, numbered from 1 on.

    Raises UsageError for annotations that are damaged, or do not belong to their photograph.
    """
    listed: dict[Path, dict[str, AnnotatedPhotograph]] = {}
    annotated: list[Path] = []
    annotations: list[AnnotatedPhotograph] = []
    for path in photographs:
        file = path.parent.parent / ANNOTATIONS
        if path.parent.name != "images" or not file.is_file():
            continue
        if file not in listed:
            listed[file] = {photograph.name: photograph for photograph in read_coco(file)}
        photograph = listed[file].get(path.name)
        if photograph is not None:
            annotated.append(path)
            annotations.append(replace(as_shown(photograph, path), number=len(annotated)))
    return annotated, annotations


def evaluate_photographs(
    network: nn.Module,
    spec: ModelSpec,
    photographs: Sequence[Path],
    annotations: Sequence[AnnotatedPhotograph],
    report: Report = no_report,
) -> Evaluation:
    """OKS metrics of a network by Lightweight OpenPose's protocol on photographs.

    Args:
        network: in eval mode, float32, on the CPU.
        annotations: of each photograph, as `annotations_of` answers it.
    """
    find, entries = people_finder(network, spec), []
    for number, path in enumerate(photographs, 1):
        entries += [person.to_coco(number) for person in find(read_image(path))]
        report("people on annotated photographs", number, len(photographs))
    return judge_people(annotations, entries)
