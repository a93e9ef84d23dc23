"""Crowds of known people, and the maps a perfect network would answer for them.

Targets are those networks are trained to (pose.md, "LWOP training recipe"): Gaussians of sigma 7 px at stride 8, summed
and clipped at 1; background 1 - max; fields of unit vectors within one cell of a limb, averaged where limbs cross.
"""

import numpy as np

from models.pose.skeleton import HEATMAPS, LIMBS, PAF_CHANNELS, PAFS

SIGMA = 7 / 8

#: A standing person, x right, y down, in units of its height; order of skeleton.PARTS.
STANDING = np.array(
    [
        (0.0, 0.08),
        (0.0, 0.2),
        (-0.12, 0.2),
        (-0.16, 0.36),
        (-0.17, 0.5),
        (0.12, 0.2),
        (0.16, 0.36),
        (0.17, 0.5),
        (-0.07, 0.52),
        (-0.08, 0.75),
        (-0.08, 0.97),
        (0.07, 0.52),
        (0.08, 0.75),
        (0.08, 0.97),
        (-0.035, 0.05),
        (0.035, 0.05),
        (-0.07, 0.07),
        (0.07, 0.07),
    ]
)


def person(random, left, top, height):
    """(18, 2) joints in cells: STANDING, `height` cells high, with every joint moved a little."""
    moved = STANDING + random.normal(0, 0.012, STANDING.shape)
    return moved * height + (left, top)


def crowd(random, number, map_size, overlap=0.0):
    """(number, 18, 2) people in a grid over the map; `overlap` moves them, in units of the grid's pitch."""
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


def render(people, map_size, noise=0.0, random=None):
    """heatmaps (19, h, w) and pafs (38, h, w), float32, of (P, 18, 2) people; a joint that is NaN is not there."""
    height, width = map_size
    y, x = np.mgrid[:height, :width].astype(float)
    heatmaps, pafs, number = np.zeros((HEATMAPS, *map_size)), np.zeros((PAFS, *map_size)), np.zeros((PAFS, *map_size))
    for joints in people:
        for part, (jx, jy) in enumerate(joints):
            if np.isfinite(jx):
                heatmaps[part] += np.exp(-((x - jx) ** 2 + (y - jy) ** 2) / (2 * SIGMA**2))
        for limb, (start, end) in enumerate(LIMBS):
            _add_limb(pafs, number, PAF_CHANNELS[limb], joints[start], joints[end], x, y)
    pafs /= np.maximum(number, 1)
    heatmaps = np.minimum(heatmaps, 1)
    heatmaps[-1] = 1 - heatmaps[:-1].max(axis=0)
    if noise:
        heatmaps += random.normal(0, noise, heatmaps.shape)
        pafs += random.normal(0, noise, pafs.shape)
    return heatmaps.astype(np.float32), pafs.astype(np.float32)


def _add_limb(pafs, number, channels, start, end, x, y):
    along = end - start
    length = np.hypot(*along)
    if not np.isfinite(length) or length == 0:
        return
    along = along / length
    dx, dy = x - start[0], y - start[1]
    forward, across = dx * along[0] + dy * along[1], np.abs(dx * along[1] - dy * along[0])
    inside = (forward >= -1) & (forward <= length + 1) & (across <= 1)
    for channel, component in zip(channels, along, strict=True):
        pafs[channel][inside] += component
        number[channel][inside] += 1
