"""The 18-keypoint skeleton of OpenPose and Lightweight OpenPose: parts, limbs, PAF channels, and COCO's order.

Constants are those of Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017)
as Lightweight OpenPose (Osokin, 2018) orders them.
"""

from __future__ import annotations

import numpy as np

#: Heatmap channel -> part; one more channel, the last, is the background.
PARTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
HEATMAPS = len(PARTS) + 1

#: Limbs as (start part, end part), in assembly order: of the first 17 every part but the neck is an end once, after
#: the limb that ends in its start, so they are a tree from the neck; the last two only close gaps.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11),
    (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
)  # fmt: skip
TREE_LIMBS = 17

#: Limb -> the PAF channels of its field's x and y components.
PAF_CHANNELS = (
    (12, 13), (20, 21), (14, 15), (16, 17), (22, 23), (24, 25), (0, 1), (2, 3),
    (4, 5), (6, 7), (8, 9), (10, 11), (28, 29), (30, 31), (34, 35), (32, 33),
    (36, 37), (18, 19), (26, 27),
)  # fmt: skip
PAFS = 2 * len(LIMBS)

#: COCO's 17 keypoints, in its order.
COCO_PARTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

#: COCO keypoint -> index of the same part here; the neck has no COCO keypoint.
FROM_COCO = tuple(PARTS.index(part) for part in COCO_PARTS)

#: Per COCO keypoint, the sigma of OKS (COCO keypoint evaluation), relative to the square root of the person's area.
COCO_SIGMAS = np.array(
    [
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ]
)  # fmt: skip
COCO_SIGMAS.setflags(write=False)
