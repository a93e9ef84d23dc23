"""KeypointShifts: how far an artifact's keypoints lie from those that float64 finds in the same photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.pose.person import Person

#: two people of one photograph are the same where half of the keypoints that both have lie nearer than this part of
#: what is the larger side of the box around them
SAME_PERSON = 0.1
#: a keypoint that moved by no more pixels of the photograph is where it was: annotators differ by more
NEAR_PIXELS = 1.0


@dataclass
class KeypointShifts:
    """What was seen of people in photographs.

    Attributes:
        pixels: the distance of each keypoint from float64's, in pixels of the photograph, of people whom both found.
        both, ours_only, reference_only: people whom both found, whom the artifact alone and whom float64 alone found.
        lost, gained: keypoints of people whom both found, which float64 alone has, and which the artifact alone has.
    """

    pixels: list[float] = field(default_factory=list)
    both: int = 0
    ours_only: int = 0
    reference_only: int = 0
    lost: int = 0
    gained: int = 0

    def add(self, ours: Sequence[Person], reference: Sequence[Person]) -> None:
        """Take the people of one photograph into account."""
        pairs = same_people(ours, reference)
        self.both += len(pairs)
        self.ours_only += len(ours) - len(pairs)
        self.reference_only += len(reference) - len(pairs)
        for here, there in pairs:
            shared = here.found & there.found
            steps = here.keypoints[shared, :2] - there.keypoints[shared, :2]
            self.pixels += np.hypot(*steps.T).tolist()
            self.lost += int((there.found & ~here.found).sum())
            self.gained += int((here.found & ~there.found).sum())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; shifts in pixels of the photographs, None where there is no keypoint."""
        shifts = np.array(self.pixels)
        return {
            "keypoint_shift_mean": float(shifts.mean()) if len(shifts) else None,
            "keypoint_shift_99": float(np.quantile(shifts, 0.99)) if len(shifts) else None,
            "keypoint_shift_max": float(shifts.max()) if len(shifts) else None,
            "keypoints_far": None if not len(shifts) else float(np.mean(shifts > NEAR_PIXELS)),
            "keypoints": len(shifts),
            "keypoints_lost": self.lost,
            "keypoints_gained": self.gained,
            "people_both": self.both,
            "people_artifact_only": self.ours_only,
            "people_reference_only": self.reference_only,
        }


def same_people(ours: Sequence[Person], reference: Sequence[Person]) -> list[tuple[Person, Person]]:
    """Pairs of people who are the same, each in one pair at most, so that the distances are least in all."""
    if not ours or not reference:
        return []
    distances = np.array([[_distance(here, there) for there in reference] for here in ours])
    rows, columns = linear_sum_assignment(np.minimum(distances, 2 * SAME_PERSON))
    return [
        (ours[row], reference[column])
        for row, column in zip(rows, columns, strict=True)
        if distances[row, column] <= SAME_PERSON
    ]


def _distance(here: Person, there: Person) -> float:
    """Median distance of shared keypoints over the larger side of the second's box; infinite where none is shared."""
    shared = here.found & there.found
    if not shared.any():
        return float("inf")
    left, top, right, bottom = there.box
    steps = here.keypoints[shared, :2] - there.keypoints[shared, :2]
    return float(np.median(np.hypot(*steps.T)) / max(right - left, bottom - top, 1.0))
