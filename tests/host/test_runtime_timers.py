"""Event and wall timers, and the profile of single launches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tvm
from handwritten import HANDLE, INT32, backend, load, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

SPIN = "".join(
    f"""// Function: {name}
__kernel void {name}(__global float* x, int steps) {{
    float v = x[get_global_id(0)];
    for (int i = 0; i < steps; ++i) v = v * 0.999f + 0.5f;
    x[get_global_id(0)] = v;
}}
"""
    for name in ("spin", "turn")
)


@pytest.fixture(scope="module")
def module():
    return load(SPIN, *((name, [HANDLE, INT32], ["blockIdx.x", "threadIdx.x"]) for name in ("spin", "turn")))


@pytest.fixture
def x():
    return tvm.runtime.tensor(np.ones(1024, "float32"), tvm.opencl(0))


def test_one_evaluation_gives_event_and_wall_times(module, x):
    backend("timer_samples")  # whatever ran before
    result = module.time_evaluator("spin", tvm.opencl(0), number=7, repeat=4)(x, 20000, 16, 64)
    samples = backend("timer_samples")
    assert [sample["kernels"] for sample in samples] == [7] * 4
    for mean_secs, sample in zip(result.results, samples, strict=True):
        assert 0 < sample["event_secs"] <= sample["wall_secs"]
        assert mean_secs == pytest.approx(sample["event_secs"] / 7, abs=2e-9)
    assert backend("timer_samples") == []


def test_event_time_grows_with_the_work(module, x):
    evaluate = module.time_evaluator("spin", tvm.opencl(0), number=3, repeat=5)
    short, long = (min(evaluate(x, steps, 16, 64).results) for steps in (1000, 100_000))
    assert long > 10 * short


def test_profile_keeps_launch_order(module, x):
    backend("profile_start")
    order = ["spin", "turn", "turn", "spin", "turn"]
    for name in order:
        module[name](x, 3000, 16, 64)
    profile = backend("profile_stop")
    assert [one["kernel"] for one in profile] == order
    assert profile[0]["queued_secs"] == 0
    for one in profile:
        assert 0 <= one["queued_secs"] <= one["start_secs"] < one["end_secs"]
    for before, after in itertools.pairwise(profile):
        assert before["end_secs"] <= after["start_secs"]  # one in-order queue


def test_timer_of_a_long_run_does_not_keep_every_event(module, x):
    backend("profile_start")
    for _ in range(5000):
        module["spin"](x, 1, 1, 64)
    profile = backend("profile_stop")
    assert len(profile) == 5000
    assert all(a["queued_secs"] <= b["queued_secs"] for a, b in itertools.pairwise(profile))


def test_timer_and_profile_run_at_once(module, x):
    backend("timer_samples")
    backend("profile_start")
    module.time_evaluator("spin", tvm.opencl(0), number=2, repeat=1)(x, 10, 16, 64)
    module["turn"](x, 10, 16, 64)
    names = [one["kernel"] for one in backend("profile_stop")]
    assert names == ["spin"] * 3 + ["turn"]  # TVM runs once before it times
    assert [sample["kernels"] for sample in backend("timer_samples")] == [2]


def test_profile_is_refused_twice_and_unstarted():
    with pytest.raises(RuntimeError, match="no profile runs"):
        backend("profile_stop")
    backend("profile_start")
    try:
        with pytest.raises(RuntimeError, match="already runs"):
            backend("profile_start")
    finally:
        assert backend("profile_stop") == []


def test_timer_ends_at_a_failing_launch(module, x):
    with pytest.raises(RuntimeError, match="takes 2 arguments"):
        module.time_evaluator("spin", tvm.opencl(0), number=2, repeat=1)(x)
    backend("timer_samples")
    assert module.time_evaluator("spin", tvm.opencl(0), number=2, repeat=1)(x, 10, 16, 64).mean > 0
    assert len(backend("timer_samples")) == 1
