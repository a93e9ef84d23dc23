"""A decision as a plan: for each layer times, break-even and the reason in words."""

from __future__ import annotations

from collections.abc import Sequence

from latency.planning.assignment import LayerOptions, Option, break_even, survives
from latency.planning.options import Goal, Network, target_of
from models.plans.cost import Cost, Outlook
from models.plans.plan import LayerChoice, Plan

#: what a rule leaves dense although a variant survives
BEYOND = "the goal is reached without"
SLOWER, DOUBTED, UNSURE = "no variant is faster", "the predictions are in doubt", "no gain survives its interval"
#: how reasons begin by which a layer is dense for its times' sake, as opposed to accuracy's
DECIDED_BY_TIME = (SLOWER, DOUBTED, UNSURE)


def plan_of(
    model: str, network: Network, chosen: Sequence[Option], goal: Goal, margin: float, notes: Sequence[str] = ()
) -> Plan:
    """The plan of one option for each layer.

    Args:
        margin: that gains had to exceed.
        notes: further sentences about the whole.
    """
    choices = [
        choice_of(layer, option, counted, margin)
        for layer, option, counted in zip(network.layers, chosen, network.counted, strict=True)
    ]
    dense, planned = network.total(network.dense), network.total(chosen)
    outlook = Outlook(
        network.whole or Cost.of(dense),
        Cost.of(planned),
        max(0.0, network.rest_ms),
        rule_text(network, goal, margin),
        (*notes, *_notes(network, dense.how)),
    )
    return Plan(model, tuple(choices), outlook)


def choice_of(layer: LayerOptions, option: Option, counted: LayerOptions, margin: float) -> LayerChoice:
    """What the plan says of one layer; `counted`: its options as contributions, which the decision was made on."""
    best = min(layer.variants, key=lambda each: each.ms, default=None)
    shown = best if option.sparsity is None else option
    ratio = break_even(layer)
    return LayerChoice(
        layer.layer,
        option.sparsity,
        dense_reason(counted, margin) if option.sparsity is None else sparse_reason(option, counted),
        None if ratio is None or layer.fixed else max(0.0, 1 - 1 / ratio),
        cost_of(layer.dense),
        None if shown is None else cost_of(shown),
    )


def cost_of(option: Option) -> Cost:
    """An option's time as plans have it."""
    return Cost.of(option, option.kernel, option.measured)


def sparse_reason(option: Option, counted: LayerOptions) -> str:
    """Why a layer is pruned."""
    own = next(each for each in counted.variants if each.sparsity == option.sparsity)
    share, _, most = own.speedup_over(counted.dense).shares
    return f"{share:.2f} of the dense time, at most {most:.2f}{_how(own, counted.dense)}"


def dense_reason(layer: LayerOptions, margin: float) -> str:
    """Why a layer stays dense; what comes before the colon is a kind of reason."""
    if layer.fixed:
        return layer.fixed
    if not layer.variants:
        return "no variant runs: none has a kernel that was right"
    if any(survives(option, layer.dense, margin) for option in layer.variants):
        best = min((each for each in layer.variants if survives(each, layer.dense, margin)), key=lambda each: each.ms)
        return f"{BEYOND}: {_compared(best, layer.dense)}"
    best = min(layer.variants, key=lambda each: each.ms)
    if best.ms >= layer.dense.ms:
        return f"{SLOWER}: {_compared(best, layer.dense)}"
    if best.doubt or layer.dense.doubt:
        return f"{DOUBTED}: {best.doubt or layer.dense.doubt}"
    beyond = f" and the margin of {margin:g}" if margin else ""
    return f"{UNSURE}{beyond}: {_compared(best, layer.dense)}"


def _compared(best: Option, dense: Option) -> str:
    share, least, most = best.speedup_over(dense).shares
    return f"{best.sparsity} takes {share:.2f} of the dense time, {least:.2f} to {most:.2f}{_how(best, dense)}"


def _how(option: Option, dense: Option) -> str:
    return ", measured" if option.measured and dense.measured else ""


def rule_text(network: Network, goal: Goal, margin: float) -> str:
    """How variants were chosen."""
    sure = "a layer is pruned only where the gain survives the interval of both predictions"
    sure += f", by {margin:g} of the dense time or more" if margin else ""
    target = target_of(network, goal)
    if goal.max_loss is not None:
        return f"least time within a loss of {goal.max_loss:g}; {sure}"
    if target is not None:
        why = f"the dense time / {goal.speedup:g}" if goal.speedup is not None else "the target"
        return f"least loss within {target:.4g} ms, {why}; {sure}"
    return f"no target was given: every layer gets what saves most time for its loss, or nothing; {sure}"


def _notes(network: Network, how: str) -> tuple[str, ...]:
    ends = [step for step in network.steps if step.op in ("import", "export", "concat")]
    ms = sum(step.prediction.ms for step in ends)
    measured = sum(layer.dense.measured for layer in network.layers)
    found = [
        f"one layout lies between all layers, so that a sparse layer adds no conversion; the {len(ends)} copies at the "
        f"network's ends and joins, {ms:.3g} ms, are in both times",
        f"whole network: {how}",
    ]
    if measured:
        found.append(
            f"{measured} of {len(network.layers)} layers were measured on the device, dense and sparse in turn"
        )
    return tuple(found)
