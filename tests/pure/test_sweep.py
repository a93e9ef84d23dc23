"""What `make test` takes of a space of configurations: ends, something between, every value of every list."""

import pytest

from tests import sweep


@pytest.fixture(params=[False, True], ids=["some", "everything"])
def everything(request, monkeypatch) -> bool:
    monkeypatch.setattr(sweep, "EVERYTHING", request.param)
    return request.param


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 16, 100])
def test_sample_has_both_ends_and_is_the_same_each_time(everything, size):
    space = list(range(size))
    taken = sweep.sample(space)
    assert taken == sweep.sample(iter(space)) == sorted(taken)
    assert len(taken) == (size if everything else min(size, 3))
    assert len(set(taken)) == len(taken)
    assert {*space[:1], *space[-1:]} <= set(taken) <= set(space)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 5), (4, 4), (5, 2)])
def test_pairs_have_every_item_of_both(everything, sizes):
    first, second = range(sizes[0]), "abcde"[: sizes[1]]
    taken = sweep.pairs(first, second)
    assert len(set(taken)) == len(taken) == (sizes[0] * sizes[1] if everything else max(sizes))
    assert {one for one, _ in taken} == set(first)
    assert {other for _, other in taken} == set(second)


def test_examples_are_a_third_and_never_none(everything):
    assert [sweep.examples(count) for count in (1, 2, 12)] == ([1, 2, 12] if everything else [1, 1, 4])
