"""Keypoint accuracy on COCO annotations: OKS average precision, and what was matched in each photograph.

Takes plain functions from photograph to people, so that it may judge anything: a torch module, an artifact on a
device, a decoder. The numbers are pycocotools'; what is kept per image is what its matching found.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.accuracy.matches import OKS_50, OKS_75, SIZES, ImageResult, Matches, Ranking, average_precision
from models.annotations.photograph import PERSON, AnnotatedPhotograph, coco_dataset
from models.annotations.reading import counted_people, read_coco
from models.annotations.turning import photographs_in
from models.pose.person import Person
from models.preprocess import read_image

log = logging.getLogger("fleetpose.evaluate")

PeopleOf = Callable[[np.ndarray], list[Person]]
#: progress(images done, images in all)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """COCO keypoint metrics, 0 to 1; None where no annotated person is of that kind.

    ap: mean over OKS .50:.05:.95. ap_50, ap_75: at one OKS. ap_medium, ap_large: by the person's area, 32^2 to 96^2
    pixels and above. ar: average recall. per_image: in the annotations' order.
    """

    ap: float | None
    ap_50: float | None
    ap_75: float | None
    ap_medium: float | None
    ap_large: float | None
    ar: float | None
    per_image: tuple[ImageResult, ...]

    @property
    def images(self) -> int:
        return len(self.per_image)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the metrics and the number of images."""
        names = ("ap", "ap_50", "ap_75", "ap_medium", "ap_large", "ar", "images")
        return {name: getattr(self, name) for name in names}


def evaluate_keypoints(
    annotations_path: Path | str, images_dir: Path | str, people_of: PeopleOf, progress: Progress | None = None
) -> Evaluation:
    """Run `people_of` on every photograph of a COCO keypoint annotation file, and judge the people it finds.

    Args:
        people_of: (H, W, 3) uint8 BGR photograph -> people, in its pixels.
        progress: called after each photograph.

    Raises:
        UsageError: the annotations or a photograph are missing, unreadable, or do not belong together; before
            `people_of` is called.
    """
    listed = read_coco(annotations_path)
    if not counted_people(listed):
        log.warning("%s: nobody has a labelled keypoint, so that there is no AP", annotations_path)
    photographs = photographs_in(listed, Path(images_dir), decode=True)
    entries = []
    for done, (path, photograph) in enumerate(photographs, 1):
        entries += [person.to_coco(photograph.number) for person in people_of(read_image(path))]
        if progress:
            progress(done, len(photographs))
    return judge_people([photograph for _, photograph in photographs], entries)


def pool(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Several sets of photographs as one: their matches together, not the mean of their metrics."""
    results = tuple(result for evaluation in evaluations for result in evaluation.per_image)
    every = Ranking([result.matches for result in results]).curves()
    medium, large = (average_precision(results, size) for size in SIZES)
    if every is None:
        return Evaluation(None, None, None, medium, large, None, results)
    ap_50, ap_75 = (float(every.precision[index].mean()) for index in (OKS_50, OKS_75))
    return Evaluation(float(every.precision.mean()), ap_50, ap_75, medium, large, float(every.recall.mean()), results)


def _indexed(dataset: dict[str, Any]) -> COCO:
    """A COCO keypoint dataset as pycocotools reads it."""
    truth = COCO()
    truth.dataset = dataset
    with _log_prints():
        truth.createIndex()
    return truth


def judge_people(photographs: Sequence[AnnotatedPhotograph], entries: list[dict[str, Any]]) -> Evaluation:
    """Judge detected people by those who are annotated, as `evaluate_keypoints` does.

    Args:
        entries: of COCO's result format, as `Person.to_coco` answers them for the photographs' numbers.
    """
    return judge_entries(coco_dataset(photographs), entries)


def judge_entries(dataset: dict[str, Any], entries: list[dict[str, Any]]) -> Evaluation:
    """`judge_people` by a COCO keypoint dataset.

    Args:
        dataset: COCO's object: images, annotations whose ids begin at 1, categories of which 1 is the person.
    """
    return _judge(_indexed(dataset), entries)


def _judge(truth: COCO, entries: list[dict[str, Any]]) -> Evaluation:
    with _log_prints():
        judge = COCOeval(truth, _results(truth, entries), "keypoints")
        judge.params.imgIds = [image["id"] for image in truth.dataset["images"]]
        judge.params.catIds = [PERSON]
        order = list(judge.params.imgIds)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    stats = [None if value < 0 else float(value) for value in judge.stats]
    people: dict[int, int] = {}
    for person in entries:
        people[person["image_id"]] = people.get(person["image_id"], 0) + 1
    names = {image["id"]: image["file_name"] for image in truth.dataset["images"]}
    # evalImgs: by category, then area range (all, medium, large), then image in the sorted order of the ids.
    ids = judge.params.imgIds
    kinds = [dict(zip(ids, judge.evalImgs[len(ids) * kind :], strict=False)) for kind in range(1 + len(SIZES))]
    per_image = tuple(
        ImageResult(key, names[key], people.get(key, 0), *_matches([kind[key] for kind in kinds])) for key in order
    )
    # COCOeval.stats: AP, AP50, AP75, AP medium, AP large, AR, and AR at the same four restrictions.
    ap, ap_50, ap_75, ap_medium, ap_large, ar = stats[:6]
    return Evaluation(ap, ap_50, ap_75, ap_medium, ap_large, ar, per_image)


def _matches(kinds: Sequence[dict[str, Any] | None]) -> tuple[Matches, dict[str, Matches]]:
    """One photograph's entries of COCOeval.evalImgs as matches of all people, and by size."""
    every, *sized = map(_matches_of, kinds)
    return every, dict(zip(SIZES, sized, strict=True))


def _matches_of(match: dict[str, Any] | None) -> Matches:
    """`match` is an entry of COCOeval.evalImgs; None where nothing was annotated or found."""
    if match is None:
        return Matches.none()
    truths = int((np.asarray(match["gtIgnore"]) == 0).sum())
    scores, matched = np.asarray(match["dtScores"], float), np.asarray(match["dtMatches"]) > 0
    return Matches(truths, scores, matched, np.asarray(match["dtIgnore"]) > 0)


def _results(truth: COCO, entries: list[dict[str, Any]]) -> COCO:
    """`entries` as COCO wants it; COCO.loadRes fails on an empty list."""
    if entries:
        return truth.loadRes(entries)
    return _indexed({**truth.dataset, "annotations": []})


@contextlib.contextmanager
def _log_prints() -> Iterator[None]:
    """Send what pycocotools prints to the log instead of stdout."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        yield
    for line in filter(None, map(str.strip, printed.getvalue().splitlines())):
        log.debug("%s", line)
