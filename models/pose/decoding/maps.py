"""A network's output maps, checked before they are decoded: any input ends in people or in one clear error."""

from __future__ import annotations

import numpy as np

from fleetpose.errors import UsageError

#: Larger values are no confidence; they would overflow.
LARGEST = 1e6
#: Cells a map may have on a side; a field's rows and columns are addressed with 16 bits.
LONGEST = 1500


def check_maps(title: str, maps: np.ndarray, shapes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """`maps` as (..., h, w) float32, finite.

    Args:
        title: what the maps are called in an error.
        shapes: what may stand before (h, w), for instance ((17,), (17, 2)); 0 stands for any number.

    Raises:
        UsageError: another shape, no cells or more than 1500 on a side, no numbers, or values that are not finite or
            beyond 1e6.
    """
    if np.asarray(maps).dtype.kind not in "fiub":
        raise UsageError(f"the {title} are no array of real numbers but of {np.asarray(maps).dtype}")
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(maps, np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the {title} are no array of numbers: {error}") from error
    if array.ndim < 2 or not any(_fits(array.shape[:-2], shape) for shape in shapes):
        expected = " or ".join(f"({', '.join([*(str(n) if n else 'n' for n in shape), 'h', 'w'])})" for shape in shapes)
        raise UsageError(
            f"expected {title} {expected}, got {array.shape}; check that the outputs' names say what they hold, and "
            "that the joints are those of the description's decoding (default: COCO's 17)"
        )
    if not 1 <= min(array.shape) <= max(array.shape[-2:]) <= LONGEST:
        raise UsageError(
            f"{title} of 1 to {LONGEST} cells on a side can be decoded, not {array.shape}; take another input size"
        )
    # A NaN fails this comparison too.
    if not (array.max() <= LARGEST and array.min() >= -LARGEST):
        wrong = array.size - int((np.abs(array) <= LARGEST).sum())
        raise UsageError(
            f"{wrong} of the {array.size} values of the {title} are not finite or beyond {LARGEST:g}; "
            "check the weights, and the scale of the input"
        )
    return array


def check_same_size(**maps: np.ndarray | None) -> None:
    """Whether all maps, (..., h, w) by what they are called, have the same cells; None is not looked at.

    Raises:
        UsageError: their sizes differ.
    """
    sizes = {title.replace("_", " "): array.shape[-2:] for title, array in maps.items() if array is not None}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{title} {height} x {width}" for title, (height, width) in sizes.items())
        raise UsageError(
            f"maps that belong together differ in size: {said}; give maps of one stride and of one picture, and check "
            "that the outputs' names say what they hold"
        )


def _fits(leading: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(leading) == len(shape) and all(n in (0, m) for n, m in zip(shape, leading, strict=True))
