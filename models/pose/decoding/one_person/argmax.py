"""Heatmaps of one person, a joint at the highest cell of each: SimpleBaseline, HRNet, ViTPose, hourglasses.

Between cells a joint lies a quarter towards the higher neighbour (Newell, Yang and Deng, "Stacked Hourglass Networks",
ECCV 2016), or where a Gaussian that was fitted around the highest cell has its mean (DARK: Zhang et al., "Distribution-
Aware Coordinate Representation for Human Pose Estimation", CVPR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fleetpose.errors import UsageError
from models.pose.decoding.maps import check_maps
from models.pose.joints import COCO, Joints
from models.pose.person import Person
from models.preprocess import Placement

SHIFTS = ("none", "quarter", "dark")
#: Below this a smoothed heatmap counts as this when its logarithm is taken.
_FLOOR = 1e-10


@dataclass(frozen=True)
class ArgmaxSettings:
    """Constants of the decoder.

    shift: how a joint is placed between cells: "none", "quarter" or "dark".
    threshold: a joint is not found where its map's highest value is not above this.
    blur: side of the Gaussian that smoothes heatmaps for DARK, in cells, odd; the paper's is 11 for 64 x 48 cells.
    corner_aligned: a cell i stands at the pixel i x stride, as HRNet and SimpleBaseline are trained; else cells lie
        side by side, their centres half a stride from the edge.
    """

    shift: str = "quarter"
    threshold: float = 0.0
    blur: int = 11
    corner_aligned: bool = True

    def __post_init__(self) -> None:
        if self.shift not in SHIFTS or self.blur < 1 or self.blur % 2 == 0:
            raise UsageError(f"shift is one of {', '.join(SHIFTS)} and blur odd, got {self.shift!r} and {self.blur}")


DEFAULTS = ArgmaxSettings()


def decode(
    heatmaps: np.ndarray, placement: Placement, settings: ArgmaxSettings = DEFAULTS, joints: Joints = COCO
) -> list[Person]:
    """The one person in a network's heatmaps, in the photograph's pixels; nobody where no joint is found.

    A joint's score is its map's highest value, and the person's the mean over all joints.

    Args:
        heatmaps: (joints, h, w) float.
        placement: where the photograph, or the part of it that shows the person, lies in the input.

    Raises:
        UsageError: another number of maps, or values that are not finite or beyond 1e6.
    """
    heat = check_maps("heatmaps", heatmaps, ((len(joints),),))
    count, height, width = heat.shape
    row, column = np.divmod(heat.reshape(count, -1).argmax(axis=1), width)
    scores = heat[np.arange(count), row, column].astype(np.float64)
    is_found = (scores > settings.threshold) & (heat.reshape(count, -1).min(axis=1) < scores)
    if not is_found.any():
        return []
    points = np.stack([column, row], axis=1).astype(np.float64)
    cells = list(zip(row.tolist(), column.tolist(), strict=True))
    if settings.shift == "quarter":
        points += [_quarter(maps, *cell) for maps, cell in zip(heat, cells, strict=True)]
    elif settings.shift == "dark":
        points += [_gaussian_mean(_smooth(maps, settings.blur), *cell) for maps, cell in zip(heat, cells, strict=True)]
    points[~is_found] = np.nan
    if settings.corner_aligned:
        stride = np.array([placement.input_size[1] / width, placement.input_size[0] / height])
        xy = placement.to_image(points * stride)
    else:
        xy = placement.cells_to_image(points, (height, width))
    scores = np.where(is_found, scores, 0)
    return joints.people(xy[None], scores[None], scores.mean(keepdims=True))


def _quarter(heat: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """(x, y): a quarter of a cell towards the higher neighbour; none at the map's edge or between equals."""
    height, width = heat.shape
    x = float(np.sign(heat[row, column + 1] - heat[row, column - 1])) if 0 < column < width - 1 else 0.0
    y = float(np.sign(heat[row + 1, column] - heat[row - 1, column])) if 0 < row < height - 1 else 0.0
    return x / 4, y / 4


def _smooth(heat: np.ndarray, side: int) -> np.ndarray:
    """The logarithm of a heatmap that is smoothed by a Gaussian and scaled to the height it had."""
    blurred = cv2.GaussianBlur(heat.astype(np.float64), (side, side), 0, borderType=cv2.BORDER_CONSTANT)
    highest = blurred.max()
    scaled = blurred * (heat.max() / highest) if highest > 0 else blurred
    return np.log(np.maximum(scaled, _FLOOR))


def _gaussian_mean(log_heat: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """(x, y) from a cell to the mean of the Gaussian through it, by a Newton step on the logarithm; DARK, eq. 8.

    None within two cells of the edge, or where the logarithm has no maximum; at most one cell.
    """
    height, width = log_heat.shape
    if not (1 < column < width - 2 and 1 < row < height - 2):
        return 0.0, 0.0
    around = log_heat[row - 2 : row + 3, column - 2 : column + 3]
    gradient = np.array([around[2, 3] - around[2, 1], around[3, 2] - around[1, 2]]) / 2
    xx = (around[2, 4] - 2 * around[2, 2] + around[2, 0]) / 4
    yy = (around[4, 2] - 2 * around[2, 2] + around[0, 2]) / 4
    xy = (around[3, 3] - around[1, 3] - around[3, 1] + around[1, 1]) / 4
    hessian = np.array([[xx, xy], [xy, yy]])
    if not (np.linalg.det(hessian) > 0 and xx < 0):
        return 0.0, 0.0
    x, y = np.clip(-np.linalg.solve(hessian, gradient), -1, 1).tolist()
    return x, y
