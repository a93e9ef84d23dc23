"""The area that OKS takes a person to cover, where no file says it.

COCO's is that of the outline. Where there is none, it is estimated of a box. The shares are medians over people in 259
COCO val2017 photographs.
"""

from __future__ import annotations

import numpy as np

#: Of the annotated box; 732 people with a labelled keypoint, quartiles 0.44 and 0.61.
BOX_SHARE = 0.525
#: Of the box of a person's keypoints, whose sides are at least a third of each other; 407 people with 12 to 17
#: keypoints, quartiles 0.60 and 0.89.
EXTENT_SHARE = 0.73
#: Square pixels; COCO annotates the keypoints of nobody smaller.
LEAST_AREA = 32.0**2


def box_area(width: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Square pixels of people in boxes that were annotated as theirs."""
    return BOX_SHARE * width * height


def extent_area(width: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Square pixels of people whose keypoints reach so far."""
    return np.maximum(LEAST_AREA, EXTENT_SHARE * np.maximum(width, height / 3) * np.maximum(height, width / 3))
