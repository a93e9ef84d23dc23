"""From a photograph to a network's input tensor, and from its coordinates back to the photograph.

Coordinates are (x, y) with integers at pixel centres: pixel i covers [i - 0.5, i + 0.5]. Sizes are (height, width).
Nothing here knows a network: what a network wants of its input is a `Preprocessing`, which travels in an artifact's
manifest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fleetpose.disk.reading import read_whole
from fleetpose.errors import UsageError

Size = tuple[int, int]

#: orders of channels that a photograph's can be brought into: the names of each order's channels
ORDERS = {"BGR": ("blue", "green", "red"), "RGB": ("red", "green", "blue"), "GREY": ("brightness",)}


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects: tensor = (pixel - mean) * scale, its channels in the order `channels`.

    mean: one value per channel, in the order of `channels`, in units of uint8 pixels.
    channels: "BGR", "RGB", or "GREY", one channel of brightness.
    """

    mean: tuple[float, ...]
    scale: float
    channels: str = "BGR"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "scale", float(self.scale))
        numbers = (*self.mean, self.scale)
        if self.channels not in ORDERS:
            raise UsageError(f'preprocessing channels must be "BGR", "RGB" or "GREY", got {self.channels!r}')
        count = len(ORDERS[self.channels])
        if len(self.mean) != count or not all(map(math.isfinite, numbers)) or self.scale == 0:
            means = "three finite means" if count == 3 else "one finite mean"
            raise UsageError(f"preprocessing needs {means} and a finite scale, got {self.mean}, {self.scale}")

    @property
    def count(self) -> int:
        """Channels of the tensor it makes."""
        return len(self.mean)


@dataclass(frozen=True)
class Placement:
    """Where a photograph lies in a network's input: scaled to `content_size`, at the top left corner.

    image_size, input_size, content_size: (height, width) of the photograph, of the input tensor, and of the part of
    the input that the photograph covers; what lies right of it and below it is padding.
    """

    image_size: Size
    input_size: Size
    content_size: Size

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Photograph pixels of input pixels; (..., 2) x, y to (..., 2), float64. Not clipped to the photograph."""
        return (np.asarray(points, np.float64) + 0.5) * _xy_ratio(self.image_size, self.content_size) - 0.5

    def cells_to_image(self, points: np.ndarray, map_size: Size) -> np.ndarray:
        """Photograph pixels of cells of a map of (height, width) `map_size` that spans the whole input."""
        return self.to_image((np.asarray(points, np.float64) + 0.5) * _xy_ratio(self.input_size, map_size) - 0.5)


def read_image(path: Path | str) -> np.ndarray:
    """A photograph as (H, W, 3) uint8 BGR, turned upright by its EXIF orientation.

    Greyscale becomes three equal channels, an alpha channel is dropped, 16 bits become 8.

    Raises:
        UsageError: the file is missing, unreadable or not an image.
    """
    try:
        data = np.frombuffer(read_whole(path), np.uint8)
    except OSError as error:
        raise UsageError(f"cannot read image {path}: {error.strerror}") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        raise UsageError(f"cannot decode {path}: {error.err or error}") from error
    if image is None:
        raise UsageError(f"{path} is not an image that OpenCV can decode ({data.size} bytes)")
    return image


def fit(image: np.ndarray, size: Size, preprocessing: Preprocessing) -> tuple[np.ndarray, Placement]:
    """Scale `image` to fit `size`, normalise it, and pad on the right and below.

    The scale is the one that fills the height, as in the LWOP protocol, or the width where the image is too wide for
    that. Padding is 0 after normalisation, as in LWOP's evaluation.

    Args:
        image: (H, W, 3) uint8 BGR.
        size: (height, width) of the input.

    Returns:
        A contiguous float32 (1, 3, height, width), (1, 1, height, width) for "GREY", and where the image lies in it.

    Raises:
        UsageError: `image` is not (H, W, 3) uint8, or a size is not positive.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
    image_size = (image.shape[0], image.shape[1])
    placement = Placement(image_size, (int(size[0]), int(size[1])), contained_size(image_size, size))
    height, width = placement.content_size
    # Cubic aliases when it skips pixels; area averages them.
    shrinks = image_size[0] > 2 * height or image_size[1] > 2 * width
    scaled = _resize(image, (height, width), cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    if preprocessing.channels == "RGB":
        scaled = scaled[:, :, ::-1]
    elif preprocessing.channels == "GREY":
        scaled = cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY)[:, :, None]
    tensor = np.zeros((1, preprocessing.count, *placement.input_size), np.float32)
    normalised = (scaled.astype(np.float32) - np.asarray(preprocessing.mean, np.float32)) * np.float32(
        preprocessing.scale
    )
    tensor[0, :, :height, :width] = normalised.transpose(2, 0, 1)
    return tensor, placement


def _resize(image: np.ndarray, size: Size, interpolation: int) -> np.ndarray:
    """Scale by OpenCV's own code, which rounds alike on every processor, and as the C runtime does.

    Intel's code, which OpenCV takes on x86 by itself, is one grey level off in 4 % of the values: .001 of AP.
    """
    by_intel = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return cv2.resize(image, size[::-1], interpolation=interpolation)
    finally:
        cv2.ipp.setUseIPP(by_intel)


def free_size(image_size: Size, height: int = 368, multiple: int = 8) -> Size:
    """The LWOP protocol's input size: `height`, and the width the photograph then has, padded up to a `multiple`.

    Both sides are multiples of `multiple`; the network's stride must divide it.
    """
    _check_size(image_size)
    height = math.ceil(height / multiple) * multiple
    width = max(1, round(image_size[1] * height / image_size[0]))
    return height, math.ceil(width / multiple) * multiple


def contained_size(image_size: Size, size: Size) -> Size:
    """The largest (height, width) of the photograph's shape within `size`; at least 1 x 1. Height goes first."""
    _check_size(image_size)
    _check_size(size)
    width = round(image_size[1] * size[0] / image_size[0])
    if width <= size[1]:
        return size[0], max(1, width)
    return max(1, round(image_size[0] * size[1] / image_size[1])), size[1]


def choose_size(image_size: Size, sizes: Iterable[Size]) -> Size:
    """Of the input sizes that exist, the one in which the photograph is largest; among equals, the one least padded.

    Of sizes of one height that is the narrowest the photograph fits at full height, or else the widest.

    Raises:
        UsageError: `sizes` is empty, or a size is not positive.
    """
    choices = [(int(height), int(width)) for height, width in sizes]
    if not choices:
        raise UsageError("no input sizes to choose from")
    return min(choices, key=lambda size: (-math.prod(contained_size(image_size, size)), math.prod(size)))


def _check_size(size: Size) -> None:
    if len(size) != 2 or min(size) < 1:
        raise UsageError(f"a size is (height, width), both positive, got {tuple(size)}")


def _xy_ratio(numerator: Size, denominator: Size) -> np.ndarray:
    """(x, y) factors between two (height, width) sizes."""
    return np.array([numerator[1] / denominator[1], numerator[0] / denominator[0]])
