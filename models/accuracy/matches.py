"""What COCO's matching found in photographs, and the metrics that follow from it without matching again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

#: kinds of people by their area in pixels, besides all: COCO's 32^2 to 96^2, and above
SIZES = ("medium", "large")
#: index of an OKS threshold in the matches' first axis
OKS_50, OKS_75 = 0, 5
#: at which COCO takes precision
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Matches:
    """What COCO's matching found among people of one kind in one photograph, at the T = 10 OKS thresholds .50 to .95.

    truths: annotated people who count. scores: (D,) best first, of the D <= 20 best detections. matched, ignored:
    (T, D) bool; an ignored detection is neither right nor wrong.
    """

    truths: int
    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray

    @classmethod
    def none(cls) -> Matches:
        """Of a photograph in which nobody is annotated or found."""
        empty = np.zeros((10, 0), bool)
        return cls(0, np.zeros(0), empty, empty)


@dataclass(frozen=True, eq=False)
class ImageResult:
    """One photograph: how many people were detected, and the matches of all people and of each of SIZES."""

    image_id: int
    file_name: str
    people: int
    matches: Matches
    by_size: dict[str, Matches] = field(default_factory=dict)

    @property
    def truths(self) -> int:
        """Annotated people who count."""
        return self.matches.truths

    @property
    def right(self) -> int:
        """Detections matched to an annotated person at OKS 0.5."""
        return int((self.matches.matched[OKS_50] & ~self.matches.ignored[OKS_50]).sum())

    def of_size(self, size: str | None) -> Matches:
        """The matches of people of one of SIZES, or of all."""
        return self.matches if size is None else self.by_size.get(size, Matches.none())


@dataclass(frozen=True)
class Curves:
    """Precision and recall of some photographs together.

    precision: (T, 101) at COCO's recalls 0 to 1, made monotone; recall: (T,), the greatest that is reached.
    """

    precision: np.ndarray
    recall: np.ndarray


class Ranking:
    """The detections of some photographs, best first: made once, then asked with photographs counted several times.

    Args:
        matches: of each photograph.
    """

    def __init__(self, matches: Sequence[Matches]) -> None:
        order = np.argsort(-np.concatenate([image.scores for image in matches]), kind="stable")
        matched = np.concatenate([image.matched for image in matches], axis=1)[:, order]
        counts = ~np.concatenate([image.ignored for image in matches], axis=1)[:, order]
        self.truths = np.array([image.truths for image in matches])
        self._photograph = np.repeat(np.arange(len(matches)), [len(image.scores) for image in matches])[order]
        self._right, self._wrong = matched & counts, ~matched & counts

    def curves(self, times: np.ndarray | None = None) -> Curves | None:
        """Equal to COCOeval's `accumulate` over the photographs, but for the order of equal scores.

        Args:
            times: how often each photograph counts, (photographs,) whole numbers; None: once.

        Returns:
            None if no annotated person counts.
        """
        times = np.ones(len(self.truths), int) if times is None else times
        truths = int(self.truths @ times)
        if not truths:
            return None
        weights = times[self._photograph]
        right, wrong = np.cumsum(self._right * weights, axis=1), np.cumsum(self._wrong * weights, axis=1)
        precision = right / np.maximum(right + wrong, 1)
        # At each recall the best precision at that recall or beyond; 0 where it is never reached.
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))
        at_recalls = [row[np.searchsorted(r / truths, RECALLS)] for row, r in zip(best, right, strict=True)]
        reached = right[:, -1] / truths if right.shape[1] else np.zeros(len(right))
        return Curves(np.array(at_recalls), reached)


def average_precision(results: Sequence[ImageResult], size: str | None = None) -> float | None:
    """AP of some photographs: precision at 101 recalls, mean over OKS thresholds.

    Args:
        size: one of SIZES: of such people only.

    Returns:
        None if no annotated person of that kind counts.
    """
    curves = Ranking([result.of_size(size) for result in results]).curves() if results else None
    return None if curves is None else float(curves.precision.mean())
