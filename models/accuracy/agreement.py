"""Agreement: AP (OKS) of a changed network's people against those of the dense network; needs no annotations.

The dense network's own people that it is sure of (LEAST_KEYPOINTS) are taken for the truth: every keypoint that its
decoder finds is labelled visible, and what the changed network finds is judged by pycocotools as on annotated
photographs. 1 is the same people with the same keypoints, 0 is nobody found again; people whom only the changed network
finds count as false. Where the dense network is wrong, agreement rewards the same mistake: it says what was lost by the
change, not how good either network is.

OKS wants a person's area. COCO's is that of the outline, which a decoder does not know: the area here is a share of the
box of the person's keypoints (`models.annotations.areas.extent_area`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report
from models.accuracy.bootstrap import bootstrap_ap
from models.accuracy.divergence import OutputDivergence
from models.accuracy.oks import Evaluation, judge_entries
from models.accuracy.protocol import fit_free, maps_of
from models.annotations.areas import extent_area
from models.pose.decoding.decoders import NO_DECODER, Decoder, decoder_for
from models.pose.person import Person
from models.preprocess import fit, read_image
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

#: Input (1, 3, H, W) float32 -> a network's outputs in their order.
MapsOf = Callable[[np.ndarray], Sequence[np.ndarray]]
#: Whom the dense network has at least so many keypoints of, of 18, it is sure of; a head with shoulders has 8. Others
#: are neither right nor wrong: decoders see people of few keypoints in shadows, now here, now there.
LEAST_KEYPOINTS = 6
#: How many people of a photograph COCO judges; the dense network's people beyond these are neither right nor wrong.
MOST_PEOPLE = 20
#: On fewer photographs with people an interval by drawing photographs would say nothing.
LEAST_FOR_INTERVAL = 5


@dataclass(frozen=True, eq=False)
class Agreement:
    """What a changed network and the dense one have in common on some photographs.

    Attributes:
        evaluation: of the changed network's people, judged by the dense network's; None without a decoder.
        divergence: of the outputs.
        photographs: on how many.
    """

    evaluation: Evaluation | None
    divergence: float
    photographs: int

    @property
    def value(self) -> float | None:
        """The agreement, 0 to 1; None where it is not defined, see `why_none`."""
        return None if self.evaluation is None else self.evaluation.ap

    @property
    def why_none(self) -> str | None:
        """Why there is no agreement; None where there is one."""
        if self.evaluation is None:
            return f"not defined: {NO_DECODER}"
        if self.value is None:
            return f"not defined: the dense network is sure of nobody in {_photographs(self.photographs)}"
        return None

    def interval(self, seed: int = 0) -> tuple[float, float] | None:
        """95 % bootstrap interval over photographs; None where too few of them have people."""
        if self.evaluation is None:
            return None
        peopled = sum(result.truths > 0 for result in self.evaluation.per_image)
        return bootstrap_ap(self.evaluation, seed=seed) if peopled >= LEAST_FOR_INTERVAL else None

    def to_dict(self, seed: int = 0) -> dict[str, Any]:
        """JSON-ready.

        agreement_50: at OKS 0.5 alone. Of people only those who are judged are counted. people_pruned: whom the changed
        network finds; people_again: those of them whom the dense one finds, too, at OKS 0.5.
        """
        results = self.evaluation.per_image if self.evaluation is not None else ()
        bounds = self.interval(seed)
        return {
            "agreement": self.value,
            "interval": None if bounds is None else list(bounds),
            "agreement_50": None if self.evaluation is None else self.evaluation.ap_50,
            "divergence": self.divergence if math.isfinite(self.divergence) else None,
            "photographs": self.photographs,
            "people_dense": sum(result.truths for result in results),
            "people_pruned": sum(int((~result.matches.ignored[0]).sum()) for result in results),
            "people_again": sum(result.right for result in results),
            "why_none": self.why_none,
        }


def measure_agreement(
    dense: MapsOf,
    changed: MapsOf,
    spec: ModelSpec,
    photographs: Sequence[Path | np.ndarray],
    report: Report = no_report,
) -> Agreement:
    """Run two networks on photographs, and judge the changed one's people by the dense one's.

    Args:
        dense, changed: networks with the preprocessing and the outputs of `spec`; `protocol.maps_of` makes them of
            torch modules.
        photographs: files, or (H, W, 3) uint8 BGR. Pose networks see them by the LWOP protocol, others at `spec.size`.
        report: called after each photograph.

    Raises:
        UsageError: no photograph, one that cannot be read, or maps that are not finite.
    """
    if not photographs:
        raise UsageError("agreement needs photographs, and there is none")
    decoder, moved = _decoder_of(spec), OutputDivergence()
    images: list[dict[str, Any]] = []
    truths: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for number, photograph in enumerate(photographs, 1):
        image = photograph if isinstance(photograph, np.ndarray) else read_image(photograph)
        tensor, placement = fit_free(image, spec) if decoder else fit(image, spec.size, spec.preprocessing)
        outputs = dense(tensor), changed(tensor)
        moved.add(outputs[1], outputs[0])
        if decoder is not None:
            theirs, ours = (decoder.decode(dict(zip(spec.outputs, maps, strict=True)), placement) for maps in outputs)
            images.append({"id": number, "file_name": str(number), "height": image.shape[0], "width": image.shape[1]})
            truths += _annotations(theirs, number, len(truths) + 1)
            entries += [person.to_coco(number) for person in ours]
        report("agreement, photographs", number, len(photographs))
    evaluation = None
    if decoder is not None:
        dataset = {"images": images, "annotations": truths, "categories": [{"id": 1, "name": "person"}]}
        evaluation = judge_entries(dataset, entries)
    return Agreement(evaluation, moved.value, len(photographs))


def agreement_facts(
    dense: nn.Module,
    changed: nn.Module,
    spec: ModelSpec,
    photographs: Sequence[Path],
    seed: int = 0,
    report: Report = no_report,
) -> dict[str, Any]:
    """`Agreement.to_dict` of two networks in eval mode on the CPU; where it cannot be measured, "why_none" says why."""
    try:
        agreement = measure_agreement(maps_of(dense, spec), maps_of(changed, spec), spec, photographs, report)
    except UsageError as error:
        return {"agreement": None, "agreement_50": None, "divergence": None, "why_none": f"not measured: {error}"}
    return agreement.to_dict(seed)


def person_area(person: Person) -> float:
    """Square pixels that OKS takes a decoded person to cover; see the module."""
    left, top, right, bottom = person.box
    return float(extent_area(np.array(right - left), np.array(bottom - top)))


def _decoder_of(spec: ModelSpec) -> Decoder | None:
    """What makes people of a network's outputs; None where nothing does."""
    try:
        return decoder_for(spec.outputs, spec.decoding)
    except UsageError:
        return None


def _annotations(people: Sequence[Person], image_id: int, first_id: int) -> list[dict[str, Any]]:
    """People as COCO annotations with ids from `first_id` on; those whom COCO would not judge are to be ignored."""
    entries = [(person, person.to_coco(image_id)) for person in people]
    entries.sort(key=lambda pair: -pair[1]["score"])
    annotations = []
    for rank, (person, entry) in enumerate(entries):
        left, top, right, bottom = person.box
        keypoints = np.reshape(entry["keypoints"], (-1, 3))
        keypoints[:, 2] *= 2  # labelled and visible
        annotation = {
            "id": first_id + rank,
            "image_id": image_id,
            "category_id": 1,
            "keypoints": keypoints.ravel().tolist(),
            "num_keypoints": int((keypoints[:, 2] > 0).sum()),
            "bbox": [left, top, right - left, bottom - top],
            "area": person_area(person),
            "iscrowd": int(rank >= MOST_PEOPLE or person.count < LEAST_KEYPOINTS),
        }
        annotations.append(annotation)
    return annotations


def _photographs(number: int) -> str:
    return "the photograph" if number == 1 else f"any of {number} photographs"
