"""Target maps against the recipe's definition, written out cell by cell."""

import math

import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from models.pose.skeleton import LIMBS, PAF_CHANNELS, PARTS
from models.train.data.targets import target_maps

STRIDE, SIGMA = 8, 7.0


def centre(cell):
    """The pixel coordinate of a cell's centre: cell 0 covers pixels 0 to 7."""
    return STRIDE * cell + (STRIDE - 1) / 2


def reference_heatmaps(people, cells):
    maps = np.zeros((19, cells, cells))
    for row in range(cells):
        for column in range(cells):
            for part in range(18):
                value = 0.0
                for joints in people:
                    x, y = joints[part]
                    if not math.isnan(x):
                        squared = (x - centre(column)) ** 2 + (y - centre(row)) ** 2
                        value += math.exp(-squared / (2 * SIGMA**2))
                maps[part, row, column] = min(value, 1.0)
            maps[18, row, column] = 1 - maps[:18, row, column].max()
    return maps


def reference_fields(people, cells):
    """Mean of the unit vectors of the limbs within one cell, sideways and at the ends."""
    fields = np.zeros((38, cells, cells))
    for (start, end), channels in zip(LIMBS, PAF_CHANNELS, strict=True):
        for row in range(cells):
            for column in range(cells):
                vectors = []
                for joints in people:
                    (x1, y1), (x2, y2) = joints[start], joints[end]
                    length = math.hypot(x2 - x1, y2 - y1)
                    if math.isnan(length) or not length:
                        continue
                    ux, uy = (x2 - x1) / length, (y2 - y1) / length
                    dx, dy = centre(column) - x1, centre(row) - y1
                    along, across = dx * ux + dy * uy, abs(dx * uy - dy * ux)
                    if -STRIDE <= along <= length + STRIDE and across <= STRIDE:
                        vectors.append((ux, uy))
                if vectors:
                    fields[list(channels), row, column] = np.mean(vectors, axis=0)
    return fields


def crowd(seed):
    random = np.random.default_rng(seed)
    people = np.array([STANDING * random.uniform(60, 120) + random.uniform((20, -10), (80, 30)) for _ in range(3)])
    people[random.random(people.shape[:2]) < 0.2] = np.nan
    return people


@pytest.mark.parametrize("seed", range(3))
def test_target_maps_are_the_recipes(seed):
    people = crowd(seed)
    heatmaps, pafs = target_maps(people, 13, STRIDE)
    assert heatmaps.dtype == pafs.dtype == np.float32
    np.testing.assert_allclose(heatmaps, reference_heatmaps(people, 13), atol=2e-6)
    np.testing.assert_allclose(pafs, reference_fields(people, 13), atol=2e-6)
    assert heatmaps[:-1].max() > 0.5
    assert np.abs(pafs).max() > 0.5


def test_target_maps_of_nobody_are_empty():
    heatmaps, pafs = target_maps(np.zeros((0, 18, 2)), 4, STRIDE)
    assert not heatmaps[:-1].any()
    assert (heatmaps[-1] == 1).all()
    assert not pafs.any()


def test_a_joint_is_brightest_in_its_own_cell():
    people = np.full((1, 18, 2), np.nan)
    people[0, PARTS.index("nose")] = (27.4, 8.1)  # pixels 24 to 31 are column 3, pixels 8 to 15 row 1
    heatmaps, _ = target_maps(people, 6, STRIDE)
    nose = heatmaps[PARTS.index("nose")]
    assert np.unravel_index(nose.argmax(), nose.shape) == (1, 3)
