"""PAF decoding the plain way: upsample every map x8 and loop. Slow, short, and written apart from models.pose.

The yardstick for `models.pose.decoding.paf.decode`: constants and steps of OpenPose / Lightweight OpenPose as pose.md
lists them, whole-pixel peaks, suppression by score.
"""

import cv2
import numpy as np

STRIDE = 8
PAIRS = [(1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)]
PAIRS += [(1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)]
FIRST_CHANNEL = [12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26]


def upsample(channel):
    height, width = channel.shape
    return cv2.resize(channel, (width * STRIDE, height * STRIDE), interpolation=cv2.INTER_CUBIC)


def find_peaks(heat, threshold=0.1, radius=6):
    """[(x, y, score)] of upsampled pixels, best first."""
    padded = np.pad(heat, 1, constant_values=-np.inf)
    centre = padded[1:-1, 1:-1]
    above = centre > threshold
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        above &= centre > padded[dy : dy + heat.shape[0], dx : dx + heat.shape[1]]
    found = sorted(((float(heat[y, x]), int(x), int(y)) for y, x in np.argwhere(above)), key=lambda peak: -peak[0])
    kept = []
    for score, x, y in found:
        if all((x - other[0]) ** 2 + (y - other[1]) ** 2 > radius**2 for other in kept):
            kept.append((x, y, score))
    return kept


def limb_score(start, end, paf_x, paf_y):
    """Mean of the counted samples between two peaks, or None where too few count."""
    direction = np.array([end[0] - start[0], end[1] - start[1]], float)
    length = np.linalg.norm(direction)
    if length == 0:
        return None
    direction /= length
    counted = []
    for step in range(10):
        x = round(start[0] + (end[0] - start[0]) * step / 9)
        y = round(start[1] + (end[1] - start[1]) * step / 9)
        value = paf_x[y, x] * direction[0] + paf_y[y, x] * direction[1]
        if value > 0.05:
            counted.append(float(value))
    return sum(counted) / len(counted) if len(counted) / 10 > 0.8 else None


def match(starts, ends, paf_x, paf_y):
    """[(start index, end index, score)]: the best limb first, each end used once."""
    limbs = [
        (score, i, j)
        for i, start in enumerate(starts)
        for j, end in enumerate(ends)
        if (score := limb_score(start, end, paf_x, paf_y)) is not None
    ]
    used_starts, used_ends, chosen = set(), set(), []
    for score, i, j in sorted(limbs, key=lambda limb: -limb[0]):
        if i not in used_starts and j not in used_ends:
            used_starts.add(i)
            used_ends.add(j)
            chosen.append((i, j, score))
    return chosen


def reference_decode(heatmaps, pafs):
    """[(keypoints (18, 3) x, y in cells of the maps and score; NaN, NaN, 0 where absent, person score)]."""
    peaks = [find_peaks(upsample(channel)) for channel in heatmaps[:18]]
    people = []
    for limb, (a, b) in enumerate(PAIRS):
        paf_x, paf_y = upsample(pafs[FIRST_CHANNEL[limb]]), upsample(pafs[FIRST_CHANNEL[limb] + 1])
        for i, j, score in match(peaks[a], peaks[b], paf_x, paf_y):
            owners = [person for person in people if person["parts"].get(a) == i]
            if limb >= 17:
                for person in people:
                    if person["parts"].get(a) == i and b not in person["parts"]:
                        person["parts"][b] = j
                    elif person["parts"].get(b) == j and a not in person["parts"]:
                        person["parts"][a] = i
            elif owners:
                for person in owners:
                    person["parts"][b] = j
                    person["score"] += peaks[b][j][2] + score
            else:
                people.append({"parts": {a: i, b: j}, "score": peaks[a][i][2] + peaks[b][j][2] + score})
    return [
        (_keypoints(person["parts"], peaks), person["score"])
        for person in people
        if len(person["parts"]) >= 3 and person["score"] / len(person["parts"]) >= 0.2
    ]


def _keypoints(parts, peaks):
    keypoints = np.full((18, 3), np.nan)
    keypoints[:, 2] = 0
    for part, index in parts.items():
        x, y, score = peaks[part][index]
        keypoints[part] = (x + 0.5) / STRIDE - 0.5, (y + 0.5) / STRIDE - 0.5, score
    return keypoints
