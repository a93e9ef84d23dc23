"""A short clip that the project makes itself: astronauts pass each other in front of the stars, and are tracked.

Both pictures come with scikit-image and are NASA's, in the public domain: the astronaut is cut out (OpenCV's GrabCut
from a rough outline) and moved over the Hubble Deep Field. The rest is the project's own: network, decoder, tracker,
smoothing, drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from models.pose.drawing.draw import draw_people
from models.pose.drawing.labels import identity_colour
from models.pose.person import Person
from models.pose.tracking.smooth import OneEuroSettings, Smoother
from models.pose.tracking.track import Tracker
from models.preprocess import read_image

#: Of the clip as it is looked at by the network, (height, width); the GIF is half as large.
SIZE = 540, 960
FRAMES, FRAMES_PER_SEC = 40, 12.5
#: of what the network sees, pixels
INPUT_HEIGHT = 368
#: Rough outlines on astronaut.png, (x, y): what surely is of the astronaut, and what probably is.
_SURE = ((150, 190), (280, 190), (330, 290), (340, 511), (45, 511), (30, 420), (32, 330), (55, 270), (90, 262))
_PROBABLE = ((110, 180), (300, 180), (360, 300), (350, 360), (500, 380), (511, 511), (20, 511), (25, 420), (60, 260))
_HEAD = (227, 85)

FindPeople = Callable[[np.ndarray], list[Person]]


@dataclass(frozen=True)
class Walker:
    """One astronaut: `scale` of the photograph, from `left` to `right` and back, the middle in frame widths.

    flipped: mirrored. bob: how far up and down, pixels.
    """

    scale: float
    left: float
    right: float
    flipped: bool
    bob: float

    def corner(self, phase: float, size: int) -> tuple[int, int]:
        """(x, y) of the left top corner at a phase of the loop, 0 to 1, of a picture `size` pixels wide and high."""
        along = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
        x = SIZE[1] * (self.left + (self.right - self.left) * along) - size / 2
        y = SIZE[0] - size + self.bob * (1 + np.sin(6 * np.pi * phase))
        return round(x), round(y)


#: Those further away come first.
WALKERS = (
    Walker(0.82, 0.80, 0.28, flipped=True, bob=6),
    Walker(0.62, 0.18, 0.78, flipped=False, bob=8),
)


def cut_out(image: np.ndarray) -> np.ndarray:
    """(512, 512) uint8: where on scikit-image's astronaut the astronaut is, smooth at the edge."""
    mask = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
    for shape, polygon, axes in ((cv2.GC_PR_FGD, _PROBABLE, (75, 75)), (cv2.GC_FGD, _SURE, (50, 55))):
        cv2.ellipse(mask, _HEAD, axes, 0, 0, 360, int(shape), -1)
        cv2.fillPoly(mask, [np.array(polygon)], int(shape))
    mask[:150, :130] = mask[:330, 375:] = mask[:12] = mask[:, :12] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(image, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    return cv2.GaussianBlur(cv2.erode(inside, np.ones((3, 3), np.uint8)), (3, 3), 0)


def frames(pictures: Path) -> Iterator[np.ndarray]:
    """The clip, (H, W, 3) uint8 BGR; its end joins its beginning. `pictures` is scikit-image's folder of data."""
    astronaut, stars = read_image(pictures / "astronaut.png"), read_image(pictures / "hubble_deep_field.jpg")
    mask = cut_out(astronaut)
    stars = stars[: round(stars.shape[1] * SIZE[0] / SIZE[1])]
    backdrop = (0.55 * cv2.resize(stars, SIZE[::-1], interpolation=cv2.INTER_AREA)).astype(np.uint8)
    sprites = []
    for walker in WALKERS:
        size = round(walker.scale * astronaut.shape[0])
        layers = [cv2.resize(layer, (size, size), interpolation=cv2.INTER_AREA) for layer in (astronaut, mask)]
        sprites.append([layer[:, ::-1] if walker.flipped else layer for layer in layers])
    for number in range(FRAMES):
        frame = backdrop.copy()
        for walker, (picture, alpha) in zip(WALKERS, sprites, strict=True):
            _paste(frame, picture, alpha, *walker.corner(number / FRAMES, len(picture)))
        yield frame


def _paste(frame: np.ndarray, picture: np.ndarray, alpha: np.ndarray, x: int, y: int) -> None:
    """Blend a picture into a frame; what lies beyond the frame is clipped."""
    rows, columns = slice(max(0, y), min(SIZE[0], y + len(picture))), slice(max(0, x), min(SIZE[1], x + len(picture)))
    part = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
    share = alpha[part][:, :, None] / 255
    frame[rows, columns] = np.round(frame[rows, columns] * (1 - share) + picture[part] * share).astype(np.uint8)


def track(clip: Sequence[np.ndarray], find_people: FindPeople) -> list[list[Person]]:
    """The people with identities of every frame, steadied, as `codegen.run --video` does it."""
    settings = OneEuroSettings()
    smoother = Smoother(replace(settings, beta=settings.beta * INPUT_HEIGHT / SIZE[0]))
    tracker, people = Tracker(), []
    for number, frame in enumerate(clip):
        secs = number / FRAMES_PER_SEC
        people.append(smoother(tracker.update(find_people(frame), secs), secs))
    return people


def check_identities(people: Sequence[Sequence[Person]]) -> None:
    """Raise AssertionError unless every walker has one identity from the first frame to the last, wherever it walks."""
    names: dict[int, set[int | None]] = {}
    for number, present in enumerate(people):
        for walker, person in _pairs(number, present):
            names.setdefault(walker, set()).add(person.identity)
    seen = {walker: sorted(map(str, identities)) for walker, identities in names.items()}
    assert all(len(identities) == 1 for identities in names.values()), f"identities changed: {seen}"
    assert len(set(map(tuple, seen.values()))) == len(WALKERS), f"somebody was not seen: {seen}"


def nose_of(walker: Walker, number: int) -> np.ndarray:
    """(2,) pixels where a walker's nose is in a frame."""
    photograph = 512
    x, y = 222, 123
    corner = walker.corner(number / FRAMES, round(walker.scale * photograph))
    return np.array((photograph - x if walker.flipped else x, y)) * walker.scale + corner


def _pairs(number: int, people: Sequence[Person]) -> Iterator[tuple[int, Person]]:
    """(walker, person) of a frame: whose nose is near a walker's."""
    for person in people:
        away = [float(np.hypot(*(person.keypoints[0, :2] - nose_of(walker, number)))) for walker in WALKERS]
        nearest = int(np.argmin(away))
        if away[nearest] < 50 * WALKERS[nearest].scale:
            yield nearest, person


def write_gif(path: Path, clip: Sequence[np.ndarray], people: Sequence[Sequence[Person]]) -> None:
    """Draw the people and write the clip, half as large, with one palette for all frames."""
    from PIL import Image

    half = SIZE[1] // 2, SIZE[0] // 2
    drawn = [draw_people(frame, present) for frame, present in zip(clip, people, strict=True)]
    small = [cv2.resize(frame, half, interpolation=cv2.INTER_AREA)[:, :, ::-1] for frame in drawn]
    swatches = np.concatenate([np.broadcast_to(identity_colour(n)[::-1], (12, half[0], 3)) for n in (1, 2)])
    sample = np.concatenate([*small[:: len(small) // 4], swatches.astype(np.uint8)])
    palette = Image.fromarray(sample).quantize(255, method=Image.Quantize.MEDIANCUT)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / FRAMES_PER_SEC), loop=0)
