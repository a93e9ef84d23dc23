"""Winograd convolutions in a row, by kernels for phones: what one hands to the next is what that would make."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.lowering.network import Options, lower_network
from codegen.schedules import candidates
from devices.profile import Profile
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph
from tests.host.network_check import run_network
from tests.host.test_shared_launches import conv, phone, picture
from tests.small_network import Fn
from tests.zoo.checking import as_module_returns, exact_outputs, largest_error

#: of the largest value of an output; F(4 x 4) errs by 24 times as much as sums do
TOLERANCE = 2e-4


def few_cores(host) -> Profile:
    """A phone with so few cores that 9 channels are work-groups enough."""
    return replace(phone(host), compute_units=2, max_threads_per_block=128)


def winograd(m: int):
    """The choice of F(m x m) where it is legal; the default elsewhere."""

    def choose(workload: Workload, profile: Profile) -> ScheduleChoice | None:
        choices = [choice for choice in candidates(workload, profile) if choice.schedule.startswith("winograd")]
        return next((choice for choice in choices if choice.config.m == m), None)

    return choose


def row(s, x):
    """One after the other, with a sum over two of them, as a basic block has it."""
    x = torch.relu(s.a(x))
    return s.c(torch.relu(s.b(x)) + x)


def twins(s, x):
    """Two branches that begin with the same tensor, and go on side by side; all of them meet in a join."""
    x = torch.relu(s.a(x))
    first, second = s.c(torch.relu(s.b(x))), s.c(torch.relu(s.d(x)))
    return s.last(torch.cat([x, first, second], 1)), first, x


def other_readers(s, x):
    """What is handed on is read by others too: a pool, a slice, convolutions of other padding and of wider tiles."""
    x = s.a(x)
    return s.b(x), nn.functional.max_pool2d(x, 2), s.unpadded(x), s.narrow(x[:, 2:8]), s.few(x)


#: layers that take tiles
TAKERS = {row: 2, twins: 4}


def make_network(forward) -> Fn:
    torch.manual_seed(0)
    parts = {name: conv(9, 9) for name in "bcd"} | {"a": conv(3, 9), "last": conv(27, 4)}
    return Fn(forward, **parts, unpadded=nn.Conv2d(9, 9, 3), narrow=conv(6, 9), few=conv(9, 2)).eval()


def check_chained(host, graph, options: Options, expected, tmp_path, takers: int, registers: int | None = None) -> None:
    """Assert that so many layers take tiles, that this changes no bit, and that outputs are as expected."""
    profile, x = replace(few_cores(host), registers_per_thread=registers), picture(graph.input_shape)
    apart = replace(options, share_launches=False)
    counts = [
        sum(len(code.kernels) for code in lower_network([graph], profile, either).entries[0].layers)
        for either in (apart, options)
    ]
    assert counts[0] - counts[1] == takers
    outputs = run_network(host, graph, x, tmp_path, options, profile)
    for ours, theirs in zip(outputs, run_network(host, graph, x, tmp_path, apart, profile), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert largest_error(as_module_returns(graph, outputs), expected(x)) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("forward", [row, twins], ids=lambda function: function.__name__)
def test_chained_layers_change_no_bit(host, tmp_path, forward, m):
    module, takers = make_network(forward), TAKERS[forward]
    graph = trace(module, (3, *((13, 22) if m == 2 else (9, 18))), "chain")
    check_chained(host, graph, Options(choose=winograd(m)), lambda x: exact_outputs(module, x), tmp_path, takers)


@pytest.mark.slow
def test_transforms_that_make_a_row_by_work_item_are_handed_on(host, tmp_path):
    module, options = make_network(row), Options(choose=winograd(4))
    graph = trace(module, (3, 9, 18), "chain")
    check_chained(host, graph, options, lambda x: exact_outputs(module, x), tmp_path, TAKERS[row], registers=64)


@pytest.mark.slow
def test_what_is_handed_on_has_other_readers(host, tmp_path):
    module = make_network(other_readers)
    graph = trace(module, (3, 13, 22), "chain")
    check_chained(host, graph, Options(choose=winograd(2)), lambda x: exact_outputs(module, x), tmp_path, takers=1)


@pytest.mark.slow
def test_sparse_and_dense_layers_hand_on_alike(host, tmp_path):
    blocks = Sparsity.parse("connectivity:0.5:4x1")
    graph = trace(make_network(row), (3, 11, 18), "chain")
    pruned = prune_graph(graph, Plan.of("chain", graph.layers, {"b": blocks}))
    options = Options(sparsity={"b": blocks}, choose=winograd(2))
    schedules = {
        code.layer: code.schedule for code in lower_network([pruned], few_cores(host), options).entries[0].layers
    }
    assert [schedules[name] for name in "abc"] == ["winograd", "winograd_sparse", "winograd"]
    check_chained(host, pruned, options, lambda x: run_graph(pruned, x), tmp_path, 2)
