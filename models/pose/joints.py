"""Joint sets: which joints a network knows, by name, and people made of them.

COCO's 17 keypoints are the usual set. A network of another one says the names of its joints, in order; those that
`skeleton.PARTS` has are drawn, tracked and judged, and the others stay with the person under their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetpose.errors import UsageError
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS, PARTS

_NECK = PARTS.index("neck")
_SHOULDERS = (PARTS.index("right_shoulder"), PARTS.index("left_shoulder"))


@dataclass(frozen=True)
class Joints:
    """The joints of a network, in the order of its maps.

    Names are written as in `skeleton.PARTS`; spaces, hyphens and capitals do not matter.

    Raises:
        UsageError: no name, or one twice.
    """

    names: tuple[str, ...] = COCO_PARTS

    def __post_init__(self) -> None:
        names = tuple(name.strip().lower().replace(" ", "_").replace("-", "_") for name in self.names)
        if not names or "" in names or len(set(names)) < len(names):
            raise UsageError(f"joints are different names in the order of the maps, got {', '.join(self.names)!r}")
        object.__setattr__(self, "names", names)

    def __len__(self) -> int:
        return len(self.names)

    def people(self, xy: np.ndarray, scores: np.ndarray, person_scores: np.ndarray) -> list[Person]:
        """People, best first.

        Where the set has no neck it is derived, so that limbs have where to start: halfway between the shoulders and
        as sure as the less sure of them; without both shoulders there is none. COCO's results leave it out again.

        Args:
            xy: (P, joints, 2) photograph pixels; NaN where not found.
            scores: (P, joints); not read where not found.
            person_scores: (P,).
        """
        keypoints = np.full((len(xy), len(PARTS), 3), np.nan)
        for joint, name in enumerate(self.names):
            if name in PARTS:
                keypoints[:, PARTS.index(name), :2] = xy[:, joint]
                keypoints[:, PARTS.index(name), 2] = scores[:, joint]
        if "neck" not in self.names:
            keypoints[:, _NECK, :2] = keypoints[:, _SHOULDERS, :2].mean(axis=1)
            keypoints[:, _NECK, 2] = keypoints[:, _SHOULDERS, 2].min(axis=1)
        keypoints[np.isnan(keypoints[..., 0])] = np.nan, np.nan, 0
        order: Sequence[int] = np.argsort(-person_scores, kind="stable").tolist()
        return [Person(keypoints[at], float(person_scores[at]), more=self._more(xy[at], scores[at])) for at in order]

    def _more(self, xy: np.ndarray, scores: np.ndarray) -> dict[str, tuple[float, float, float]]:
        """x, y and score of the joints found that `skeleton.PARTS` lacks."""
        return {
            name: (float(x), float(y), float(score))
            for name, (x, y), score in zip(self.names, xy, scores, strict=True)
            if name not in PARTS and not np.isnan(x)
        }


COCO = Joints()
