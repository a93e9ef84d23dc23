"""A plan in words: a summary, a table by layer, then what stays dense and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.graph.layer import Layer
from models.graph.tied import counted_params
from models.plans.cost import percent
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import variant_text

#: layers that a list names before it says how many more there are
MOST_NAMED = 6


def explain(plan: Plan, layers: Iterable[Layer] = ()) -> str:
    """The plan for people: a summary, a table by layer, then what stays dense and why.

    Args:
        layers: of the network, for sizes..

    Raises:
        UsageError: the plan does not fit the layers.
    """
    layers = tuple(layers)
    if layers:
        plan.check(layers)
    sections = [_summary(plan, layers), _table(plan, layers), _dense(plan)]
    return "\n\n".join(section for section in sections if section)


def _summary(plan: Plan, layers: Sequence[Layer]) -> str:
    """What the plan does to the network, and how it was chosen."""
    text = f"{plan.model}: {len(plan.sparsities)} of {len(plan.choices)} convolutions sparse"
    if layers:
        params, macs = sum(counted_params(layers).values()), sum(layer.macs for layer in layers)
        kept, kept_macs = params - plan.removed_weights(layers), macs - plan.removed_macs(layers)
        text += (
            f"; parameters {params / 1e6:.3f} M, {kept / 1e6:.3f} kept ({params / kept:.2f}x); "
            f"GMACs {macs / 1e9:.3f}, {kept_macs / 1e9:.3f} kept ({macs / kept_macs:.2f}x)"
        )
    if plan.network is None:
        return text
    return "\n".join([text, str(plan.network), f"rule: {plan.network.rule}", *plan.network.notes])


def _table(plan: Plan, layers: Sequence[Layer]) -> str:
    """One row for each convolution; times and sizes where there are any."""
    by_name = {layer.name: layer for layer in layers}
    timed = any(choice.dense for choice in plan.choices)
    rows = [["layer", *(_SIZES if layers else []), "variant", *(_TIMES if timed else []), "reason"]]
    for choice in plan.choices:
        sizes = _sizes(by_name[choice.layer], choice) if layers else []
        times = _times(choice) if timed else []
        reason = choice.reason.partition(":")[0] if timed and choice.sparsity is None else choice.reason
        rows.append([choice.layer, *sizes, variant_text(choice.sparsity), *times, reason])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


_SIZES = ["weight", "MMACs", "kept"]
_TIMES = ["dense ms", "sparse ms", "faster with", "break-even"]


def _sizes(layer: Layer, choice: LayerChoice) -> list[str]:
    kept = choice.sparsity.kept_macs(layer) if choice.sparsity else layer.macs
    return ["x".join(map(str, layer.weight_shape)), f"{layer.macs / 1e6:.1f}", f"{kept / 1e6:.1f}"]


def _times(choice: LayerChoice) -> list[str]:
    """Milliseconds dense and sparse, the probability that sparse is faster, zeros from which on it pays. Measured ones
    bear an "m"."""
    texts = [f"{cost.ms:.3g}{'m' * cost.measured}" if cost else "-" for cost in (choice.dense, choice.sparse)]
    texts.append("-" if choice.faster is None else percent(choice.faster))
    return [*texts, "-" if choice.break_even is None else f"{choice.break_even:.2f}"]


def _dense(plan: Plan) -> str:
    """The layers that stay dense, by why: what their reasons have in common."""
    reasons: dict[str, list[str]] = {}
    for choice in plan.choices:
        if choice.sparsity is None and choice.reason:
            reasons.setdefault(choice.reason.partition(":")[0], []).append(choice.layer)
    lines = [f"  {why} ({len(names)}): {list_names(names)}" for why, names in reasons.items()]
    return "\n".join(["dense, because", *lines]) if lines else ""


def list_names(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
