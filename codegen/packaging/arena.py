"""Where buffers lie in one piece of memory: those that are never needed at the same time may share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lifetime:
    """A buffer's size in bytes, and the first and the last of the calls during which it is needed."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Arena:
    """Offsets of buffers, in the order they were given, and how large the memory is that holds them."""

    offsets: tuple[int, ...]
    bytes: int


def place_buffers(lifetimes: Sequence[Lifetime], alignment: int) -> Arena:
    """Give each buffer a place: the largest first, each as low as those placed before leave room.

    This is the greedy-by-size rule of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference"
    (2020), section 5.2.

    Args:
        lifetimes: of the buffers.
        alignment: what offsets are multiples of.
    """
    offsets: dict[int, int] = {}
    for number in sorted(range(len(lifetimes)), key=lambda at: (-lifetimes[at].bytes, at)):
        lifetime = lifetimes[number]
        taken = sorted((offsets[at], lifetimes[at].bytes) for at in offsets if lifetimes[at].meets(lifetime))
        offset = 0
        for start, size in taken:
            if offset + lifetime.bytes <= start:
                break
            offset = max(offset, _round_up(start + size, alignment))
        offsets[number] = offset
    ends = [offsets[number] + lifetime.bytes for number, lifetime in enumerate(lifetimes)]
    return Arena(tuple(offsets[number] for number in range(len(lifetimes))), _round_up(max(ends, default=0), alignment))


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
