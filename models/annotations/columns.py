"""One field of many annotations as an array, checked; an error names the annotation that is wrong.

A million annotations are read in seconds because NumPy converts them by the thousand, and one by one only where that
fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fleetpose.errors import UsageError

#: pixels from the corner; no picture reaches farther
FARTHEST = 100_000.0
#: annotations that are converted at one go
_BLOCK = 4096
#: what tools write for "iscrowd"
_FLAGS: dict[Any, bool] = {None: False, 0: False, 1: True, "": False, "0": False, "1": True}
_FLAGS |= {"false": False, "true": True, "False": False, "True": True}

#: The index of an annotation among those at hand -> what errors call it.
TitleOf = Callable[[int], str]


def numbers(rows: Sequence[Any], width: int | None, field: str, title_of: TitleOf) -> np.ndarray:
    """(N, width) float64 of lists of so many numbers, or (N,) of numbers; a null is NaN.

    Args:
        width: None: of numbers.
        field: what errors call it.

    Raises:
        UsageError: the first that is none.
    """
    shape = () if width is None else (width,)
    result = np.empty((len(rows), *shape))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        values = _converted(block, (len(block), *shape))
        if values is not None:
            result[start : start + len(block)] = values
            continue
        for index, row in enumerate(block, start):
            value = _converted(row, shape)
            if value is None:
                wanted = "a finite number" if width is None else f"{width} finite numbers"
                raise UsageError(f"{title_of(index)}: {field} is not {wanted} but {row!r:.80}")
            result[index] = value
    return result


def _converted(values: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        array = np.array(values, float)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.shape == shape else None


def flags(values: Sequence[Any], field: str, title_of: TitleOf) -> np.ndarray:
    """(N,) bool of 0 and 1, however written; None is 0. Raises UsageError for the first that is neither."""
    result = np.zeros(len(values), bool)
    for index, value in enumerate(values):
        try:
            result[index] = _FLAGS[value]
        except (KeyError, TypeError):
            raise UsageError(f"{title_of(index)}: {field} is neither 0 nor 1 but {value!r:.80}") from None
    return result


def refuse_first(wrong: np.ndarray, problem: Callable[[int], str], title_of: TitleOf) -> None:
    """Raise UsageError for the first annotation that is `wrong`, (N,) bool, saying its `problem`."""
    if wrong.any():
        index = int(wrong.argmax())
        raise UsageError(f"{title_of(index)}: {problem(index)}")
