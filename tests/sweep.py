"""How much of a space of configurations a run goes through: some of each, or with FLEETPOSE_SWEEP=all everything.

`make test` takes some, `make test-all` everything; `make test-quick` (FLEETPOSE_SWEEP=quick) takes a few cases of every
test. What is taken is the same in every run and in every process.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from itertools import cycle, islice, product
from typing import TypeVar

import pytest

First, Second = TypeVar("First"), TypeVar("Second")

#: whether this run goes through everything
EVERYTHING = os.environ.get("FLEETPOSE_SWEEP") == "all"
#: of a test's cases, how many this run takes at most; None: as many as it has, or as its mark `part` says
MOST_CASES = 4 if os.environ.get("FLEETPOSE_SWEEP") == "quick" else None


def sample(items: Iterable[First], count: int = 3) -> list[First]:
    """The first, the last, and as many between them as make `count`, drawn by a fixed seed; all in `make test-all`."""
    space = list(items)
    if EVERYTHING or len(space) <= count:
        return space
    between = random.Random(len(space)).sample(range(1, len(space) - 1), count - 2)
    return [space[index] for index in sorted({0, len(space) - 1, *between})]


def pairs(first: Iterable[First], second: Iterable[Second]) -> list[tuple[First, Second]]:
    """Pairs in which every item of both occurs; all pairs in `make test-all`."""
    one, other = list(first), list(second)
    if EVERYTHING:
        return list(product(one, other))
    count = max(len(one), len(other))
    return list(zip(repeat_to(one, count), repeat_to(other, count), strict=True))


def repeat_to(items: Sequence[First], count: int) -> list[First]:
    return list(islice(cycle(items), count))


def part(count: int) -> pytest.MarkDecorator:
    """Marks a test of many cases, of which `make test` takes `count` as `sample` does; a case that is named is run."""
    return pytest.mark.part(count)


def examples(count: int) -> int:
    """How many random examples hypothesis draws, which are others in each run: a third, or all in `make test-all`."""
    return count if EVERYTHING else max(count // 3, 1)
