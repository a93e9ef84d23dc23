"""Buffers in one arena: what is needed at the same time never overlaps."""

from hypothesis import given
from hypothesis import strategies as st

from codegen.packaging.arena import Lifetime, place_buffers

LIFETIMES = st.builds(
    lambda size, first, length: Lifetime(size, first, first + length),
    st.integers(1, 10_000), st.integers(-1, 20), st.integers(0, 8),
)  # fmt: skip


def bytes_at_once(lifetimes):
    """The most bytes that are needed at one call: no arena can be smaller."""
    calls = {life.first for life in lifetimes}
    return max((sum(life.bytes for life in lifetimes if life.first <= at <= life.last) for at in calls), default=0)


@given(st.lists(LIFETIMES, max_size=30), st.sampled_from([1, 64, 4096]))
def test_buffers_that_live_together_do_not_overlap(lifetimes, alignment):
    arena = place_buffers(lifetimes, alignment)
    spans = [(offset, offset + life.bytes) for offset, life in zip(arena.offsets, lifetimes, strict=True)]
    for number, (start, end) in enumerate(spans):
        assert start % alignment == 0
        assert end <= arena.bytes
        for other in range(number):
            if lifetimes[number].meets(lifetimes[other]):
                assert end <= spans[other][0] or spans[other][1] <= start
    assert arena.bytes >= bytes_at_once(lifetimes)


def test_a_chain_needs_room_for_two_neighbours_only():
    lifetimes = [Lifetime(100, at, at + 1) for at in range(10)]
    assert place_buffers(lifetimes, 1).bytes == 200


def test_what_follows_takes_the_place_of_what_is_done():
    arena = place_buffers([Lifetime(64, 0, 1), Lifetime(64, 2, 3)], 64)
    assert arena.offsets == (0, 0)
    assert arena.bytes == 64


def test_no_buffers_need_no_memory():
    assert place_buffers([], 4096).bytes == 0
