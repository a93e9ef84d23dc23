"""Choosing: what is to be reached, and the option of each layer that reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetpose.options import POSITIVE, check_numbers, option, real
from latency.planning.assignment import (
    LayerOptions,
    OutOfReach,
    fastest,
    steepest,
    within_loss,
    within_time,
)
from latency.planning.gains import KernelOption
from latency.planning.options import NetworkOptions
from latency.planning.tied_options import spread_choices


@dataclass(frozen=True)
class Goal:
    """What is to be reached; at most one is set. With none, each layer is decided for itself."""

    speedup: float | None = option(None, "dense time / planned time, at the least loss", type=POSITIVE, metavar="X")
    target_ms: float | None = option(
        None, "milliseconds of the whole network, at the least loss", type=POSITIVE, metavar="T"
    )
    max_loss: float | None = option(
        None,
        "least time within this loss: AP or agreement where latency.optimize has evaluated plans, else the sum of the "
        "layers' losses",
        type=real(),
        metavar="L",
    )

    def check(self) -> None:
        """Raise UsageError for values that are none, by the flags they come from."""
        check_numbers(self)


#: without a goal every layer is decided for itself
ANY_GAIN = Goal()


def choose_options(network: NetworkOptions, goal: Goal) -> list[KernelOption]:
    """The option of each layer that the goal asks for.

    Raises:
        OutOfReach: a time that cannot be reached, with the least that can.
    """
    counted, caution = network.decided, network.caution
    if goal.max_loss is not None:
        chosen = within_loss(counted, goal.max_loss, caution)
    elif goal.target_ms is None and goal.speedup is None:
        chosen = steepest(counted, caution)
    else:
        chosen = within_time(counted, _budget(network, counted, goal), caution)
    return spread_choices(network.layers, counted, chosen, network.tied)


def choose_fastest(network: NetworkOptions) -> list[KernelOption]:
    """The fastest option of each layer whose gain is sure enough, whatever it costs in accuracy."""
    chosen = fastest(network.decided, network.caution)
    return spread_choices(network.layers, network.decided, chosen, network.tied)


def target_of(network: NetworkOptions, goal: Goal) -> float | None:
    """Milliseconds that the whole network is to take; None where the goal is no time."""
    if goal.speedup is not None:
        return network.total(network.dense).ms / goal.speedup
    return goal.target_ms


def _budget(network: NetworkOptions, counted: Sequence[LayerOptions], goal: Goal) -> float:
    """What the convolutions may take of the target, before `factor` and `saved`."""
    target, dense = target_of(network, goal), network.total(network.dense).ms
    assert target is not None
    convolutions = sum(layer.dense.ms for layer in counted)
    most = convolutions - sum(option.ms for option in fastest(counted, network.caution))
    a_ms = network.factor * network.saved  # what one predicted millisecond less is worth
    least = dense - a_ms * most
    if least > target:
        raise OutOfReach(
            f"{network.graph.name} cannot take {target:.4g} ms: it takes {dense:.4g} dense, and {least:.4g} with the "
            f"fastest whose gain is sure enough\n"
            f"allow more zeros (--sparsity), less --confidence, or measure what is uncertain (--measure)"
        )
    return convolutions - (dense - target) / a_ms
