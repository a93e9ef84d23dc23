"""Crowds of known people, and the maps a perfect network would answer for them: a tool for tests and benchmarks.

Each form of maps is what its networks are trained to. Heatmaps: Gaussians of sigma 7 px at stride 8, summed and
clipped at 1 for part-affinity fields (pose.md, "LWOP training recipe"), else the largest of them. Fields: unit vectors
within one cell of a limb, averaged where limbs cross. Tags and offsets: right near a joint or centre, nearest person
first, and 0 elsewhere.

Coordinates are cells of the maps, integers at cell centres. A joint that is NaN is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.pose.person import Person
from models.pose.skeleton import FROM_COCO
from models.preprocess import Size
from models.train.data import targets

#: Cells around a joint or a centre within which its tag or its offsets stand.
REACH = 3.0
#: Between the tags of two people. Grouping tells tags apart from 1 on.
TAG_STEP = 2.0

#: A standing person, x right, y down, in units of its height; order of skeleton.PARTS.
STANDING = np.array(
    [
        (0.0, 0.08), (0.0, 0.2), (-0.12, 0.2), (-0.16, 0.36), (-0.17, 0.5), (0.12, 0.2),
        (0.16, 0.36), (0.17, 0.5), (-0.07, 0.52), (-0.08, 0.75), (-0.08, 0.97), (0.07, 0.52),
        (0.08, 0.75), (0.08, 0.97), (-0.035, 0.05), (0.035, 0.05), (-0.07, 0.07), (0.07, 0.07),
    ]
)  # fmt: skip

Outputs = dict[str, np.ndarray]
Renderer = Callable[[np.ndarray, Size, float, np.random.Generator], Outputs]


def person(random: np.random.Generator, left: float, top: float, height: float) -> np.ndarray:
    """(18, 2) joints: STANDING, `height` cells high, with every joint moved a little."""
    return (STANDING + random.normal(0, 0.012, STANDING.shape)) * height + (left, top)


def crowd(random: np.random.Generator, number: int, map_size: Size, overlap: float = 0.0) -> np.ndarray:
    """(number, 18, 2) people in a grid over the map; `overlap` moves them, in units of the grid's pitch."""
    if not number:
        return np.zeros((0, *STANDING.shape))
    height, width = map_size
    columns = int(np.ceil(np.sqrt(number * 1.8 * width / height)))
    rows = -(-number // columns)
    pitch_x, pitch_y = (width - 2) / columns, (height - 2) / rows
    tall = min(pitch_y * 0.92, pitch_x * 2.2)
    people = []
    for index in range(number):
        row, column = divmod(index, columns)
        shift = random.uniform(-overlap, overlap, 2) * (pitch_x, pitch_y)
        size = tall * random.uniform(0.85, 1.0)
        people.append(person(random, 1 + (column + 0.5) * pitch_x + shift[0], 1 + row * pitch_y + shift[1], size))
    return np.clip(np.array(people), 0, np.array([width - 1, height - 1]))


def hide(random: np.random.Generator, people: np.ndarray, share: float) -> np.ndarray:
    """A copy of (P, 18, 2) `people` in which each joint but the neck is hidden (NaN) with probability `share`."""
    hidden = random.random(people.shape[:2]) < share
    hidden[:, 1] = False
    return np.where(hidden[..., None], np.nan, people)


def render_fields(people: np.ndarray, map_size: Size, noise: float, random: np.random.Generator) -> Outputs:
    """Maps "heatmaps" (19, h, w) and "pafs" (38, h, w), float32, of (P, 18, 2) people.

    noise: of every renderer, the standard deviation of what is added to every value.
    """
    heatmaps, pafs = targets.render_fields(people, map_size)
    return _noisy({"heatmaps": heatmaps, "pafs": pafs}, noise, random)


def render_embedding(people: np.ndarray, map_size: Size, noise: float, random: np.random.Generator) -> Outputs:
    """Maps "heatmaps" and "tags", both (17, h, w) float32 in COCO's order, of (P, 18, 2) people."""
    joints = np.asarray(people, float).reshape(-1, *STANDING.shape)[:, list(FROM_COCO)]
    heatmaps = _highest(joints, map_size)
    tags = np.zeros_like(heatmaps)
    for part in range(len(FROM_COCO)):
        nearest, near = _nearest(joints[:, part], map_size)
        tags[part][near] = TAG_STEP * (nearest[near] + 1)
    return _noisy({"heatmaps": heatmaps, "tags": tags}, noise, random)


def render_regression(people: np.ndarray, map_size: Size, noise: float, random: np.random.Generator) -> Outputs:
    """Maps "centres" (1, h, w) and "offsets" (34, h, w), float32, of (P, 18, 2) people.

    A person's centre is the mean of its COCO joints; offsets are cell minus joint, x before y. Where a
    joint is not there the network guesses: the cell itself.
    """
    joints = np.asarray(people, float).reshape(-1, *STANDING.shape)[:, list(FROM_COCO)]
    seen = np.isfinite(joints[..., 0])
    there = seen.any(axis=1)
    joints, seen = joints[there], seen[there]
    centres = np.where(seen[..., None], joints, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)[:, None]
    nearest, near = _nearest(centres, map_size)
    offsets = np.zeros((len(FROM_COCO), 2, *map_size))
    if len(centres):
        y, x = np.indices(map_size)
        cell = np.stack([x, y], axis=-1)[:, :, None]
        offset = np.nan_to_num(cell - joints[nearest], nan=0.0)
        offsets = np.where(near, offset.transpose(2, 3, 0, 1), 0)
    maps = {"centres": _highest(centres[:, None], map_size), "offsets": offsets.reshape(-1, *map_size)}
    return _noisy(maps, noise, random)


#: Decoder (`models.pose.decoding.decoders`) -> maps for it.
RENDERERS: dict[str, Renderer] = {
    "paf": render_fields,
    "associative_embedding": render_embedding,
    "keypoint_regression": render_regression,
}


@dataclass(frozen=True)
class Account:
    """What was found of a crowd whose truth is known.

    people, joints: in truth; the neck is not counted. whole: people found with every joint they have. found: joints of
    people found, within the tolerance. guessed: joints given to those people that are not there.
    false_people: people found who are nobody, or somebody twice.
    """

    people: int
    whole: int
    joints: int
    found: int
    guessed: int
    false_people: int


def compare(people: Sequence[Person], truth: np.ndarray, tolerance: float) -> Account:
    """The account of `people` against (P, 18, 2) `truth`, in the same pixels.

    People are paired so that the most joints are within `tolerance`; a pair with less than half of the joints right
    is none.
    """
    joints = np.asarray(truth, float).reshape(-1, *STANDING.shape)[:, list(FROM_COCO)]
    mine = np.array([person.keypoints[:, :2] for person in people]).reshape(-1, *STANDING.shape)[:, list(FROM_COCO)]
    there = np.isfinite(joints[..., 0])
    right = np.hypot(*np.moveaxis(mine[:, None] - joints[None], -1, 0)) <= tolerance
    number = right.sum(axis=2)
    pairs = [
        (index, person)
        for index, person in zip(*linear_sum_assignment(-number), strict=True)
        if number[index, person] > 0 and 2 * number[index, person] >= there[person].sum()
    ]
    return Account(
        people=len(joints),
        whole=sum(int(number[index, person] == there[person].sum()) for index, person in pairs),
        joints=int(there.sum()),
        found=sum(int(number[pair]) for pair in pairs),
        guessed=sum(int((np.isfinite(mine[index, :, 0]) & ~there[person]).sum()) for index, person in pairs),
        false_people=len(mine) - len(pairs),
    )


def _highest(points: np.ndarray, map_size: Size) -> np.ndarray:
    """(K, h, w): at each cell the highest Gaussian of any person; of (P, K, 2) points."""
    down, across = targets.gaussians(points, map_size)
    highest = np.zeros((points.shape[1], *map_size))
    for rows, columns in zip(down, across, strict=True):
        np.maximum(highest, rows[:, :, None] * columns[:, None, :], out=highest)
    return highest


def _nearest(points: np.ndarray, map_size: Size) -> tuple[np.ndarray, np.ndarray]:
    """(h, w): the nearest of (P, 2) points, and whether it is within REACH."""
    if not len(points):
        return np.zeros(map_size, np.intp), np.zeros(map_size, bool)
    y, x = np.mgrid[: map_size[0], : map_size[1]]
    gap = np.nan_to_num(np.hypot(x - points[:, 0, None, None], y - points[:, 1, None, None]), nan=np.inf)
    return gap.argmin(axis=0), gap.min(axis=0) <= REACH


def _noisy(maps: Outputs, noise: float, random: np.random.Generator) -> Outputs:
    if noise:
        maps = {name: values + random.normal(0, noise, values.shape) for name, values in maps.items()}
    return {name: targets.without_tails(values) for name, values in maps.items()}
