"""A decision as a plan: for each layer times, break-even and the reason in words."""

from __future__ import annotations

from collections.abc import Sequence

from latency.planning.assignment import KernelOption, LayerOptions, break_even, survives
from latency.planning.choosing import Goal, target_of
from latency.planning.options import NetworkOptions
from latency.planning.reasons import DenseKind, Reason
from models.plans.cost import Cost, Outlook
from models.plans.plan import LayerChoice, Plan


def make_plan(
    network: NetworkOptions, chosen: Sequence[KernelOption], goal: Goal, margin: float, notes: Sequence[str] = ()
) -> Plan:
    """The plan of one option for each layer.

    Args:
        margin: that gains had to exceed.
        notes: further sentences about the whole.
    """
    decided = {layer.layer: layer for layer in network.decided}
    joint = {name: decided[first] for first, names in network.tied.items() for name in names}
    choices = [
        choice_of(layer, option, joint.get(layer.layer, decided.get(layer.layer, layer)), margin)
        for layer, option in zip(network.layers, chosen, strict=True)
    ]
    dense, planned = network.total(network.dense), network.total(chosen)
    outlook = Outlook(
        network.whole or Cost.of(dense),
        Cost.of(planned),
        max(0.0, network.rest_ms),
        rule_text(network, goal, margin),
        (*notes, *_notes(network, dense.how)),
    )
    return Plan(network.graph.name, tuple(choices), outlook)


def choice_of(layer: LayerOptions, option: KernelOption, counted: LayerOptions, margin: float) -> LayerChoice:
    """What the plan says of one layer; `counted`: its options as contributions, which the decision was made on, of all
    layers with its weight together."""
    best = min(layer.variants, key=lambda variant: variant.ms, default=None)
    shown = best if option.sparsity is None else option
    ratio = break_even(layer)
    return LayerChoice(
        layer.layer,
        option.sparsity,
        str(dense_reason(counted, margin)) if option.sparsity is None else sparse_reason(option, counted),
        None if ratio is None or layer.fixed else max(0.0, 1 - 1 / ratio),
        cost_of(layer.dense),
        None if shown is None else cost_of(shown),
    )


def cost_of(option: KernelOption) -> Cost:
    """An option's time as plans have it."""
    return Cost.of(option, option.kernel, option.measured)


def sparse_reason(option: KernelOption, counted: LayerOptions) -> str:
    """Why a layer is pruned."""
    own = next(variant for variant in counted.variants if variant.sparsity == option.sparsity)
    share, _, most = own.speedup_over(counted.dense).shares
    return f"{share:.2f} of the dense time, at most {most:.2f}{_how(own, counted.dense)}{_together(counted)}"


def dense_reason(layer: LayerOptions, margin: float) -> Reason:
    """Why a layer stays dense."""
    dense = layer.dense
    if layer.fixed is not None:
        return layer.fixed
    if not layer.variants:
        return Reason(DenseKind.NO_KERNEL, "none has a kernel that was right")
    surviving = [option for option in layer.variants if survives(option, dense, margin)]
    best = min(surviving or layer.variants, key=lambda option: option.ms)
    if surviving:
        return Reason(DenseKind.NOT_NEEDED, _compare(best, dense) + _together(layer))
    if best.ms >= dense.ms:
        return Reason(DenseKind.SLOWER, _compare(best, dense) + _together(layer))
    if (doubt := best.doubt or dense.doubt) is not None:
        return Reason(DenseKind.DOUBTED, doubt)
    return Reason(DenseKind.UNSURE, _compare(best, dense) + _together(layer), margin)


def _compare(best: KernelOption, dense: KernelOption) -> str:
    share, least, most = best.speedup_over(dense).shares
    return f"{best.sparsity} takes {share:.2f} of the dense time, {least:.2f} to {most:.2f}{_how(best, dense)}"


def _together(layer: LayerOptions) -> str:
    return f", in all {layer.uses} uses of its weight" if layer.uses > 1 else ""


def _how(option: KernelOption, dense: KernelOption) -> str:
    return ", measured" if option.measured and dense.measured else ""


def rule_text(network: NetworkOptions, goal: Goal, margin: float) -> str:
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


def _notes(network: NetworkOptions, how: str) -> tuple[str, ...]:
    ends = [step for step in network.steps if step.op in ("import", "export", "concat")]
    ms = sum(step.prediction.ms for step in ends)
    measured = sum(layer.dense.measured for layer in network.layers)
    notes = [
        f"one layout lies between all layers, so that a sparse layer adds no conversion; the {len(ends)} copies at the "
        f"network's ends and joins, {ms:.3g} ms, are in both times",
        f"whole network: {how}",
    ]
    if measured:
        notes.append(
            f"{measured} of {len(network.layers)} layers were measured on the device, dense and sparse in turn"
        )
    return tuple(notes)
