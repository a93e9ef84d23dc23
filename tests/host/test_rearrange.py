"""Kernels that rearrange, on this machine's OpenCL, against float64; nothing of the result may be left unwritten."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.frontend.views.view import TensorView
from tests import sweep
from tests.host.rearrange_cases import MOVES, rearranged, source
from tests.host.test_kernels import check


@sweep.part(8)
@pytest.mark.parametrize("name", MOVES)
def test_kernels_that_rearrange_equal_float64(host, name):
    check(host, MOVES[name], border=(1, 3))


@sweep.part(8)
@pytest.mark.parametrize("name", MOVES)
def test_kernels_that_rearrange_on_a_phone_equal_float64(host, name):
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5)
    check(host, MOVES[name], border=(2, 2), profile=phone)


@settings(max_examples=sweep.examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_kernels_of_random_chains_of_views_equal_float64(host, data):
    sides = st.sampled_from([1, 2, 3, 4, 6, 8, 9, 16, 20])
    view = source(data.draw(st.tuples(sides, sides, sides), "shape"))
    for _ in range(data.draw(st.integers(1, 5), "steps")):
        view = change(view, np.random.default_rng(data.draw(st.integers(0, 2**32), "step")))
    cuts = sorted(data.draw(st.tuples(st.integers(0, view.rank), st.integers(0, view.rank)), "groups"))
    axes = range(view.rank)
    groups = (tuple(axes[: cuts[0]]), tuple(axes[cuts[0] : cuts[1]]), tuple(axes[cuts[1] :]))
    check(host, rearranged(view, groups), data.draw(st.sampled_from([(0, 0), (1, 2)]), "border"))


def change(view: TensorView, random: np.random.Generator) -> TensorView:
    """A view of a view, or the same where its elements cannot be arranged so."""
    axis = int(random.integers(view.rank))
    positions = np.arange(view.sizes[axis])
    kind = random.choice(["slice", "flip", "roll", "permute", "split", "pick", "merge"])
    if kind == "slice":
        return view.take(axis, positions[int(random.integers(len(positions))) :: int(random.integers(1, 4))])
    if kind == "flip":
        return view.take(axis, positions[::-1])
    if kind == "roll":
        return view.take(axis, np.roll(positions, int(random.integers(len(positions)))))
    if kind == "permute":
        return view.permute(random.permutation(view.rank).tolist())
    if kind == "pick":
        return view.take(axis, random.integers(0, len(positions), min(len(positions) + 1, 20)))
    sizes = list(view.sizes)
    if kind == "split" and sizes[axis] % 2 == 0:
        sizes[axis : axis + 1] = [2, sizes[axis] // 2]
    elif kind == "merge" and axis + 1 < len(sizes):
        sizes[axis : axis + 2] = [sizes[axis] * sizes[axis + 1]]
    return view.reshape(sizes) or view
