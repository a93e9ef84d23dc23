"""A decision as a plan: for each layer times, break-even and the reason in words."""

from __future__ import annotations

from collections.abc import Sequence

from latency.planning.assignment import LayerOptions, break_even
from latency.planning.choosing import Goal, target_of
from latency.planning.gains import Caution, KernelOption, pays, probability, spread_beside
from latency.planning.options import NetworkOptions
from latency.planning.reasons import DenseKind, Reason
from models.plans.cost import Cost, Outlook, percent
from models.plans.plan import LayerChoice, Plan


def make_plan(network: NetworkOptions, chosen: Sequence[KernelOption], goal: Goal, notes: Sequence[str] = ()) -> Plan:
    """The plan of one option for each layer.

    Args:
        notes: further sentences about the whole.
    """
    decided = {layer.layer: layer for layer in network.decided}
    joint = {name: decided[first] for first, names in network.tied.items() for name in names}
    choices = [
        choice_of(layer, option, joint.get(layer.layer, decided.get(layer.layer, layer)), network.caution)
        for layer, option in zip(network.layers, chosen, strict=True)
    ]
    dense, planned = network.total(network.dense), network.total(chosen)
    outlook = Outlook(
        network.whole or Cost.of(dense),
        Cost.of(planned),
        max(0.0, network.rest_ms),
        rule_text(network, goal),
        (*notes, *_notes(network, dense.how)),
    )
    return Plan(network.graph.name, tuple(choices), outlook)


def choice_of(layer: LayerOptions, option: KernelOption, counted: LayerOptions, caution: Caution) -> LayerChoice:
    """What the plan says of one layer; `counted`: its options as contributions, which the decision was made on, of all
    layers with its weight together."""
    best = min(layer.variants, key=lambda variant: variant.ms, default=None)
    shown = best if option.sparsity is None else option
    ratio = break_even(layer)
    odds = next(
        (probability(own, counted.dense) for own in counted.variants if shown and own.sparsity == shown.sparsity), None
    )
    return LayerChoice(
        layer.layer,
        option.sparsity,
        str(dense_reason(counted, caution)) if option.sparsity is None else sparse_reason(option, counted),
        None if ratio is None or layer.fixed else max(0.0, 1 - 1 / ratio),
        cost_of(layer.dense),
        None if shown is None else cost_of(shown),
        odds,
    )


def cost_of(option: KernelOption) -> Cost:
    """An option's time as plans have it."""
    return Cost.of(option, option.kernel, option.measured)


def sparse_reason(option: KernelOption, counted: LayerOptions) -> str:
    """Why a layer is pruned."""
    own = next(variant for variant in counted.variants if variant.sparsity == option.sparsity)
    share, _, most = own.speedup_over(counted.dense, spread_beside(own, counted.dense)).shares
    odds = _odds_text(own, counted.dense)
    return f"{share:.2f} of the dense time, at most {most:.2f}, {odds}{_how(own, counted.dense)}{_together(counted)}"


def dense_reason(layer: LayerOptions, caution: Caution) -> Reason:
    """Why a layer stays dense."""
    dense = layer.dense
    if layer.fixed is not None:
        return layer.fixed
    if not layer.variants:
        return Reason(DenseKind.NO_KERNEL, "none has a kernel that was right")
    paying = [option for option in layer.variants if pays(option, dense, caution)]
    best = min(paying or layer.variants, key=lambda option: option.ms)
    if paying:
        return Reason(DenseKind.NOT_NEEDED, _compare(best, dense) + _together(layer))
    if best.ms >= dense.ms:
        return Reason(DenseKind.SLOWER, _compare(best, dense) + _together(layer))
    if (doubt := best.doubt or dense.doubt) is not None:
        return Reason(DenseKind.DOUBTED, doubt)
    return Reason(DenseKind.UNSURE, _compare(best, dense) + _together(layer), caution.margin)


def _compare(best: KernelOption, dense: KernelOption) -> str:
    share, least, most = best.speedup_over(dense, spread_beside(best, dense)).shares
    odds = _odds_text(best, dense)
    return f"{best.sparsity} takes {share:.2f} of the dense time, {least:.2f} to {most:.2f}, {odds}{_how(best, dense)}"


def _odds_text(option: KernelOption, dense: KernelOption) -> str:
    return f"faster with {percent(probability(option, dense))}"


def _together(layer: LayerOptions) -> str:
    return f", in all {layer.uses} uses of its weight" if layer.uses > 1 else ""


def _how(option: KernelOption, dense: KernelOption) -> str:
    return ", measured" if option.measured and dense.measured else ""


def rule_text(network: NetworkOptions, goal: Goal) -> str:
    """How variants were chosen."""
    sure = f"a layer is pruned only where a variant is {network.caution}"
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
