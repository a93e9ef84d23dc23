"""Options: those of every convolution of a network, priced as parts of the whole.

Options come from a Forecaster (or from the device: `latency.planning.measure_uncertain` replaces some);
`latency.planning.choosing` chooses; a plan in words is made by `latency.planning.explain_plan`. Choices are made on
contributions, what the network's calibrated time grows by because of an option, so that a target is one of the whole
network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from codegen.kernels.workload import Workload
from devices.profile import Profile
from fleetpose.errors import UsageError
from latency.cost_model.calibration import Calibration
from latency.cost_model.intervals.pair_spread import NEAR, PairSpread
from latency.network_model.forecast import Forecaster, PredictedStep
from latency.network_model.totals import Part, Total, contribution, total
from latency.planning.assignment import LayerOptions
from latency.planning.gains import USUAL, Caution, KernelOption
from latency.planning.losses import MILD_BLOCK, LossModel
from latency.planning.reasons import DenseKind, Reason
from latency.planning.tied_options import join_tied
from latency.profiling.space import decided_sparsities, network_workloads, variants_of
from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.tied import tied_layers
from models.plans.cost import Cost
from models.plans.eligible import is_first, makes_maps
from models.plans.log_spread import LogSpread
from models.plans.sparsity import Sparsity, parse_variant
from models.zoo.blocks import block_of

FIRST = Reason(DenseKind.FIRST, "it has few weights, and all else hangs on what it sees")
HEAD = Reason(DenseKind.HEAD, "its maps are the network's answer")

WEIGHTLESS = Reason(DenseKind.COMPUTED, "zeros in it could not be written back to the network")


def read_sparsities(texts: Sequence[str]) -> tuple[Sparsity, ...]:
    """The sparsities of --sparsity, "dense" left out. Raises UsageError for what is none, and where nothing is left."""
    sparsities = tuple(sparsity for text in texts if (sparsity := parse_variant(text)) is not None)
    if texts and not sparsities:
        raise UsageError("--sparsity dense leaves nothing to decide; name sparsities, or none for a default set")
    return sparsities


@dataclass(frozen=True)
class NetworkOptions:
    """A network with what it could be made of.

    Attributes:
        graph: the network.
        steps: its layers dense, in launch order, the copies at its ends included.
        layers: the options of each convolution, in the order of the graph.
        workloads: of each convolution, dense, by name.
        calibration: from kernels to the whole; None: the plain sum.
        whole: time of the dense network, where it was measured; other times are then scaled to it.
        saved: what plans were seen to save of the dense network's time / what they were predicted to; 1 where none was
            timed as a whole.
        caution: how sure a gain has to be.
    """

    graph: Graph
    steps: tuple[PredictedStep, ...]
    layers: tuple[LayerOptions, ...]
    workloads: Mapping[str, Workload]
    calibration: Calibration | None = None
    whole: Cost | None = None
    saved: float = 1.0
    caution: Caution = USUAL

    def total(self, chosen: Sequence[KernelOption]) -> Total:
        """The network's time under one option for each of `layers`."""
        predicted, dense = self._predict(chosen), self._predicted_dense.ms
        factor = self.factor * (dense - self.saved * (dense - predicted.ms)) / predicted.ms
        return replace(predicted, ms=predicted.ms * factor, low=predicted.low * factor, high=predicted.high * factor)

    @cached_property
    def factor(self) -> float:
        """Measured / predicted time of the dense network; 1 where it was not measured."""
        return self.whole.ms / self._predicted_dense.ms if self.whole else 1.0

    @cached_property
    def _predicted_dense(self) -> Total:
        return self._predict(self.dense)

    def _predict(self, chosen: Sequence[KernelOption]) -> Total:
        options = {layer.layer: option for layer, option in zip(self.layers, chosen, strict=True)}
        parts = [_part(step, options[step.layer]) if step.layer in options else step.part for step in self.steps]
        return total(parts, self.calibration)

    @property
    def dense(self) -> list[KernelOption]:
        """Every layer dense."""
        return [layer.dense for layer in self.layers]

    @property
    def rest_ms(self) -> float:
        """What of the dense network's time is no convolution's."""
        convolutions = sum(layer.dense.ms for layer in self.contributions)
        return self.total(self.dense).ms - self.factor * convolutions

    @cached_property
    def contributions(self) -> tuple[LayerOptions, ...]:
        """The layers with their options as contributions to the network's time, before `factor`."""
        steps = {step.layer: step for step in reversed(self.steps)}

        def counted(layer: LayerOptions, option: KernelOption) -> KernelOption:
            part = contribution(_part(steps[layer.layer], option), self.calibration)
            return replace(option.with_time(part), beside_dense=_narrowed(option, part))

        return tuple(
            replace(layer, dense=counted(layer, layer.dense), others=(),
                    variants=tuple(counted(layer, option) for option in layer.variants))
            for layer in self.layers
        )  # fmt: skip

    @cached_property
    def tied(self) -> dict[str, tuple[str, ...]]:
        """The layers that share a weight, by the first one's name."""
        return tied_layers(self.graph.layers)

    @cached_property
    def decided(self) -> tuple[LayerOptions, ...]:
        """The contributions that are decided on: tied layers as one."""
        return tuple(join_tied(self.contributions, self.tied))


def _narrowed(option: KernelOption, part: Part) -> LogSpread | None:
    """The spread of an option beside dense as part of a network: as much narrower as its interval is, for what a
    calibration adds for its launches is not predicted."""
    spread, width = option.beside_dense, option.half_width
    if spread is None or not 0 < width < math.inf:
        return spread
    return spread.scaled(part.half_width / width)


def _part(step: PredictedStep, option: KernelOption) -> Part:
    key = (step.key, option.sparsity)
    return Part(option.ms, option.low, option.high, option.launches, step.written, key)


def predict_options(
    graph: Graph,
    forecaster: Forecaster,
    losses: LossModel,
    sparsities: Sequence[Sparsity] = (),
    caution: Caution = USUAL,
) -> NetworkOptions:
    """The options of every convolution, predicted.

    Args:
        losses: of its layers; by the rule, MILD_BLOCK is held to its mildest zeros.
        sparsities: that layers may have, as far as each can; by default `latency.profiling.space.decided_sparsities`.
        caution: how sure a gain has to be.
    """
    convolutions = {layer.name: layer for layer in graph.layers if layer.op == "conv"}
    workloads = {
        name: workload
        for name, workload in network_workloads(graph, forecaster.profile, forecaster.dtype)
        if name in convolutions
    }
    steps = forecaster.steps(graph)
    possible = {
        name: tuple(
            filter(
                None,
                variants_of(layer, sparsities or decided_sparsities(layer, forecaster.profile), forecaster.profile),
            )
        )
        for name, layer in convolutions.items()
    }
    fixed = _fixed_reasons(graph, possible, sparsities, forecaster.profile)
    wanted = {name: () if fixed[name] else variants for name, variants in possible.items()}
    forecaster.learn(replace(workloads[name], sparsity=sparsity) for name in wanted for sparsity in wanted[name])
    layers = []
    for name, layer in convolutions.items():
        options = _options(layer, workloads[name], wanted[name], fixed[name], forecaster, losses)
        held = losses.by_rule and block_of(layer.module or name, losses.table) == MILD_BLOCK
        layers.append(mildest(options) if held else options)
    calibration = forecaster.predictor.calibration
    return NetworkOptions(graph, tuple(steps), tuple(layers), workloads, calibration, caution=caution)


def _fixed_reasons(
    graph: Graph, possible: Mapping[str, Sequence[Sparsity]], sparsities: Sequence[Sparsity], profile: Profile
) -> dict[str, Reason | None]:
    """Why each convolution stays dense whatever the times say; None where it may be pruned. What holds for one of
    several tied layers holds for all of them."""
    fixed: dict[str, Reason | None] = {}
    for name, variants in possible.items():
        layer = graph.layer(name)
        unfit = None if variants else _unfit(layer, sparsities or decided_sparsities(layer, profile))
        fixed[name] = stays_dense(graph, layer) or unfit
    for names in tied_layers(graph.layers).values():
        barrier = next((fixed[name] for name in names if fixed[name] is not None), None)
        if barrier is not None:
            fixed |= {name: fixed[name] or Reason(DenseKind.TIED, str(barrier)) for name in names}
    return fixed


def _options(
    layer: Layer,
    workload: Workload,
    wanted: Sequence[Sparsity],
    fixed: Reason | None,
    forecaster: Forecaster,
    losses: LossModel,
) -> LayerOptions:
    dense = forecaster.step(layer.name, workload)
    assert dense is not None, "Forecaster.steps has seen every layer"
    steps = [forecaster.step(layer.name, replace(workload, sparsity=sparsity)) for sparsity in wanted]
    spreads = forecaster.predictor.pair_spread
    variants = [
        replace(option_of(step, layer, losses, spreads), beside_dense=forecaster.spread_between(step, dense))
        for step in steps
        if step is not None
    ]
    return LayerOptions(layer.name, option_of(dense, layer, losses, spreads), tuple(variants), fixed)


def mildest(layer: LayerOptions) -> LayerOptions:
    """A layer that may only have the least zeros of its variants."""
    least = min((variant.sparsity.zeros for variant in layer.variants if variant.sparsity), default=0.0)
    variants = tuple(variant for variant in layer.variants if variant.sparsity and variant.sparsity.zeros == least)
    others = tuple(variant for variant in layer.variants if variant not in variants)
    return replace(layer, variants=variants, others=others)


def option_of(step: PredictedStep, layer: Layer, losses: LossModel, spreads: PairSpread | None = None) -> KernelOption:
    """A predicted step as an option of its layer; in doubt where `spreads` knows no error of its kind."""
    kept = 1.0 if step.sparsity is None else step.sparsity.kept_fraction(layer.weight_shape)
    forecast = step.prediction
    loss = 0.0 if step.sparsity is None else losses.of(layer, step.sparsity)
    known = spreads is not None and forecast.outside <= NEAR
    doubt = None if known else "; ".join(forecast.doubts) or None
    return KernelOption(
        forecast.ms, forecast.low, forecast.high, step.sparsity, kept, loss, False, doubt, step.kernel, step.launches
    )  # fmt: skip


def stays_dense(graph: Graph, layer: Layer) -> Reason | None:
    """Why a convolution is never pruned; None where it may be: the first one, those that make maps, and those whose
    weight is no parameter."""
    if is_first(graph, layer):
        return FIRST
    if makes_maps(graph, layer):
        return HEAD
    return WEIGHTLESS if layer.parameter == "" else None


def _unfit(layer: Layer, sparsities: Sequence[Sparsity]) -> Reason:
    """Why none of the sparsities fits a layer."""
    reasons = dict.fromkeys(sparsity.applies_to(layer) for sparsity in sparsities)
    return Reason(DenseKind.UNFIT, "; ".join(reason for reason in reasons if reason))
