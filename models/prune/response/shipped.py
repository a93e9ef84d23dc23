"""Photographs that come with packages fleetpose needs, for whoever gives none: nothing is downloaded.

matplotlib brings one person, scikit-learn a building and a flower; scikit-image, where it is installed, a person, a
cat, a cup, a rocket and a motorcycle. Few as they are, random parts of them show a network edges, textures and colours,
which is enough to see which layers can lose weights; they say little of what people lose.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from models.preprocess import fit, read_image
from models.zoo.spec import ModelSpec

#: package -> its photographs, by paths below its folder
SHIPPED = {
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
    "skimage": tuple(
        f"data/{name}" for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
#: the least part of a picture's height and width that is cut out
LEAST_PART = 0.4
WORTH = (
    "pictures that come with matplotlib, scikit-learn and scikit-image stand in for --data: they tell tender layers "
    "from tolerant ones, and say little of what people lose"
)


def shipped_photographs() -> list[Path]:
    """Those that are on this machine."""
    paths = []
    for package, names in SHIPPED.items():
        module = importlib.util.find_spec(package)
        if module is not None and module.origin is not None:
            paths += [path for name in names if (path := Path(module.origin).parent / name).is_file()]
    return paths


def shipped_inputs(spec: ModelSpec, size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """(count, C, *size) float32 inputs: random parts of the shipped photographs in turn; none where there are none."""
    images = [read_image(path) for path in shipped_photographs()]
    random = np.random.default_rng(seed)
    inputs = [
        fit(_part(images[number % len(images)], size, random), size, spec.preprocessing)[0] for number in range(count)
    ] if images else []  # fmt: skip
    return np.concatenate(inputs) if inputs else np.empty((0, spec.preprocessing.count, *size), np.float32)


def _part(image: np.ndarray, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """A random part with the proportions of `size`, mirrored now and then."""
    height, width = image.shape[:2]
    scale = random.uniform(LEAST_PART, 1.0) * min(height / size[0], width / size[1])
    high, wide = max(1, int(scale * size[0])), max(1, int(scale * size[1]))
    top, left = random.integers(0, height - high + 1), random.integers(0, width - wide + 1)
    part = image[top : top + high, left : left + wide]
    return np.ascontiguousarray(part[:, ::-1]) if random.random() < 0.5 else part
