"""Who is who from frame to frame: identities for the people found in a video.

People of one frame are compared with those followed so far, keypoint by keypoint, as Lightweight OpenPose's demo does
(Osokin, 2018, its `track_poses`): similarity exp(-d^2 / (2 area (2 sigma)^2)) with OKS's sigmas, and two are the same
if enough keypoints are similar. Three things are added. Everyone is expected where their velocity takes them, so that
people who cross keep their identities; who disappears is waited for; who is hardly there is not counted yet.
Knows nothing of pictures: who stays away for long returns as somebody new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.pose.person import Person
from models.pose.skeleton import COCO_SIGMAS, FROM_COCO, PARTS


@dataclass(frozen=True)
class TrackSettings:
    """When two people are one; the first two defaults are Lightweight OpenPose's.

    similar: two keypoints are similar if their similarity, 0 to 1, is larger.
    least_similar: one person has at least so many similar keypoints.
    max_missing: frames in a row in which a person, or a keypoint of one, may be missing and still be the same one
        afterwards. The default is half a second of a usual video: more, and a newcomer in the same place is more
        often taken for who left it.
    sure_keypoints, least_seen: a newcomer has an identity at once with so many keypoints; with fewer only when seen
        in so many frames, since what a decoder makes for a moment of folds and shadows has few.
    """

    similar: float = 0.5
    least_similar: int = 3
    max_missing: int = 15
    sure_keypoints: int = 9
    least_seen: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.similar < 1 or self.least_similar < 1 or self.max_missing < 0:
            raise ValueError(f"not settings of a tracker: {self}")


DEFAULTS = TrackSettings()


def _part_sigmas() -> np.ndarray:
    """(18,) sigmas of OKS in the order of `skeleton.PARTS`; COCO knows no neck, which takes the shoulders'."""
    sigmas = np.full(len(PARTS), COCO_SIGMAS[5])
    sigmas[list(FROM_COCO)] = COCO_SIGMAS
    return sigmas


_VARIANCES = (2 * _part_sigmas()) ** 2
#: Share of the newest frame in a velocity: a confusion in one frame does not turn people round.
_NEWEST = 0.3


def keypoint_similarity(keypoints: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Similarity of every keypoint of one person to the same one of another, 0 (or missing) to 1 (same place).

    exp(-d^2 / (2 area (2 sigma)^2)), `area` that of the larger of the two people's boxes.

    Args:
        keypoints: (A, 18, 2) pixels, NaN where not found.
        other: (B, 18, 2).

    Returns:
        (A, B, 18).
    """
    squared = ((keypoints[:, None] - other[None]) ** 2).sum(axis=-1)
    area = np.maximum(_areas(keypoints)[:, None], _areas(other)[None])[:, :, None]
    return np.nan_to_num(np.exp(-squared / (2 * area * _VARIANCES)), nan=0.0)


def _areas(keypoints: np.ndarray) -> np.ndarray:
    """(A,) square pixels of the boxes of (A, 18, 2) keypoints, at least 1.

    A box thinner than a third of its length counts as a third: shoulders alone lie on a line, which has no area.
    """
    present = ~np.isnan(keypoints)
    low = np.where(present, keypoints, np.inf).min(axis=1)
    high = np.where(present, keypoints, -np.inf).max(axis=1)
    sides = np.where(present.any(axis=1), high - low, 0)
    longest, shortest = sides.max(axis=1), sides.min(axis=1)
    return np.maximum(1.0, longest * np.maximum(shortest, longest / 3))


class _Track:
    """One person followed: (18, 2) keypoints where they are thought to be, and how they move, (2,) pixels per second.

    A keypoint hidden for a while is carried along with the others, so that a comparison with what is found next is
    not decided by which keypoints happen to be hidden.
    """

    def __init__(self, keypoints: np.ndarray, secs: float) -> None:
        self.identity: int | None = None
        self.keypoints, self.secs = keypoints, secs
        self.velocity: np.ndarray | None = None
        self.missing, self.seen = 0, 1
        self._hidden = np.zeros(len(PARTS), int)

    def predict(self, secs: float) -> np.ndarray:
        """(18, 2) keypoints expected at a time."""
        return self.keypoints if self.velocity is None else self.keypoints + self.velocity * (secs - self.secs)

    def see(self, keypoints: np.ndarray, secs: float, patience: int) -> None:
        """Take over where they are now. A median over keypoints makes light of those that jump."""
        moved = (keypoints - self.keypoints)[~np.isnan(keypoints + self.keypoints).any(axis=1)]
        carried = self.predict(secs).copy()
        if secs > self.secs and len(moved):
            velocity = np.median(moved, axis=0) / (secs - self.secs)
            before = velocity if self.velocity is None else self.velocity
            self.velocity = before + _NEWEST * (velocity - before)
        hidden = np.isnan(keypoints[:, 0])
        self._hidden = np.where(hidden, self._hidden + self.missing, 0)
        carried[self._hidden > patience] = np.nan
        self.keypoints = np.where(hidden[:, None], carried, keypoints)
        self.secs, self.missing, self.seen = secs, 0, self.seen + 1


class Tracker:
    """Gives people identities, frame after frame: 1, 2, 3, ... in the order in which they are first sure."""

    def __init__(self, settings: TrackSettings = DEFAULTS) -> None:
        self.settings = settings
        self._tracks: list[_Track] = []
        self._next = 1

    @property
    def seen(self) -> int:
        """How many identities were given so far."""
        return self._next - 1

    def update(self, people: Sequence[Person], secs: float) -> list[Person]:
        """The same people in the same order, with identities; a newcomer who is not sure yet has None.

        Matching is greedy: of all pairs of a known person and a found one the most alike goes first, by the number of
        similar keypoints and then by their similarity, and everyone is in one pair at most. The known are first
        sought where their velocity has taken them, then, those still missing, where they were last seen.

        Args:
            people: as found in this frame, not smoothed; call also with nobody, so that frames are counted.
            secs: the frame's time; should grow from call to call, or else velocities are not updated.
        """
        poses = np.stack([person.keypoints[:, :2] for person in people]) if people else np.empty((0, len(PARTS), 2))
        tracks: dict[int, _Track] = {}
        self._match(poses, [track.predict(secs) for track in self._tracks], tracks)
        self._match(poses, [track.keypoints for track in self._tracks], tracks)
        for track in self._tracks:
            track.missing += 1
        for index, keypoints in enumerate(poses):
            if index in tracks:
                tracks[index].see(keypoints, secs, self.settings.max_missing)
            else:
                tracks[index] = _Track(keypoints, secs)
                self._tracks.append(tracks[index])
        self._tracks = [track for track in self._tracks if track.missing <= self.settings.max_missing]
        return [replace(person, identity=self._identity(tracks[index], person)) for index, person in enumerate(people)]

    def _identity(self, track: _Track, person: Person) -> int | None:
        sure = person.count >= self.settings.sure_keypoints or track.seen >= self.settings.least_seen
        if track.identity is None and sure:
            track.identity, self._next = self._next, self._next + 1
        return track.identity

    def _match(self, poses: np.ndarray, expected: list[np.ndarray], tracks: dict[int, _Track]) -> None:
        """Add found person -> track to `tracks` for pairs of those not in it yet; `expected` goes with the tracks."""
        if not expected or not len(poses):
            return
        similarity = keypoint_similarity(np.stack(expected), poses)
        similar = similarity > self.settings.similar
        counts, sums = similar.sum(axis=2), np.where(similar, similarity, 0).sum(axis=2)
        known, new = np.nonzero(counts >= self.settings.least_similar)
        taken = {id(track) for track in tracks.values()}
        for pair in np.lexsort((-sums[known, new], -counts[known, new])):
            track, person = self._tracks[known[pair]], int(new[pair])
            if person not in tracks and id(track) not in taken:
                tracks[person] = track
                taken.add(id(track))
