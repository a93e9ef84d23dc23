"""Layers that share a weight, decided together: their times add up, their losses too, and all get the same zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from latency.planning.assignment import LayerOptions
from latency.planning.gains import KernelOption, spread_beside
from models.plans.log_spread import LogSpread
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import log_ratio


def join_tied(layers: Sequence[LayerOptions], tied: Mapping[str, tuple[str, ...]]) -> list[LayerOptions]:
    """The layers, those that are tied as one under the first one's name, with the options that all of them have.

    Args:
        tied: the layers that share a weight, by the first one's name.
    """
    by_name = {layer.layer: layer for layer in layers}
    later = {name for names in tied.values() for name in names[1:]}
    joined = []
    for layer in layers:
        if layer.layer not in later:
            uses = [by_name[name] for name in tied.get(layer.layer, (layer.layer,))]
            joined.append(layer if len(uses) == 1 else _join(uses))
    return joined


def spread_choices(
    layers: Sequence[LayerOptions],
    joined: Sequence[LayerOptions],
    chosen: Sequence[KernelOption],
    tied: Mapping[str, tuple[str, ...]],
) -> list[KernelOption]:
    """The layers' own options behind those chosen for the `joined` ones, in the order of `layers`."""
    sparsities = {layer.layer: option.sparsity for layer, option in zip(joined, chosen, strict=True)}
    firsts = {name: first for first, names in tied.items() for name in names}
    return [_own(layer, sparsities[firsts.get(layer.layer, layer.layer)]) for layer in layers]


def _join(uses: Sequence[LayerOptions]) -> LayerOptions:
    by_sparsity = [{option.sparsity: option for option in use.variants} for use in uses]
    everywhere = [sparsity for sparsity in by_sparsity[0] if all(sparsity in options for options in by_sparsity)]
    variants = tuple(
        replace(_sum(options := [use[sparsity] for use in by_sparsity]), beside_dense=_joint_spread(options, uses))
        for sparsity in everywhere
    )
    fixed = next((use.fixed for use in uses if use.fixed is not None), None)
    return LayerOptions(uses[0].layer, _sum([use.dense for use in uses]), variants, fixed, uses=len(uses))


def _sum(options: Sequence[KernelOption]) -> KernelOption:
    """The option in all uses together; their intervals add up, for a predictor errs alike on like layers."""
    doubts = dict.fromkeys(option.doubt for option in options if option.doubt)
    return replace(
        options[0],
        ms=sum(option.ms for option in options),
        low=sum(option.low for option in options),
        high=sum(option.high for option in options),
        loss=sum(option.loss for option in options),
        measured=all(option.measured for option in options),
        doubt="; ".join(doubts) or None,
        launches=sum(option.launches for option in options),
    )


def _joint_spread(options: Sequence[KernelOption], uses: Sequence[LayerOptions]) -> LogSpread:
    """What the log ratio of sums may be off by: the mean of the uses' own, by their times, for they err alike; with the
    heaviest of their tails."""
    spreads = []
    for option, use in zip(options, uses, strict=True):
        distance = log_ratio(use.dense.ms, option.ms)
        spreads.append(spread_beside(option, use.dense) or option.spread_over(use.dense, distance))
    scale = sum(option.ms * spread.scale for option, spread in zip(options, spreads, strict=True))
    return LogSpread(scale / sum(option.ms for option in options), min(spread.freedom for spread in spreads))


def _own(layer: LayerOptions, sparsity: Sparsity | None) -> KernelOption:
    return next(option for option in (layer.dense, *layer.variants) if option.sparsity == sparsity)
