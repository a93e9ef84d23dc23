"""Random small networks of arithmetic: the graph computes what torch does."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_arithmetic import RandomArithmetic, plans
from random_weights import check_traced, shake_batch_norms

from tests import sweep


@settings(max_examples=sweep.examples(40), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)),
    plan=plans,
    outputs=st.lists(st.integers(0, 50), max_size=2),
    seed=st.integers(0, 1000),
)
def test_trace_of_random_arithmetic_computes_what_torch_does(shape, plan, outputs, seed):
    torch.manual_seed(seed)
    net = shake_batch_norms(RandomArithmetic(shape, plan, outputs, seed), seed)
    check_traced(net, shape, tolerance=1e-6)
