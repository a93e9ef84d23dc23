"""Deciding: the options of every convolution of a network, priced as parts of the whole, and a choice among them.

Options come from a Forecaster (or from the device: `latency.planning.measure_uncertain` replaces some);
`latency.planning.assignment` chooses; a plan
in words is made by `latency.planning.explain_plan`. Choices are made on contributions, what the network's calibrated
time grows by because of an option, so that a target is one of the whole network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.kernels.workload import Workload
from fleetpose.errors import UsageError
from latency.cost_model.calibration import Calibration
from latency.network_model.forecast import Forecaster, PredictedStep
from latency.network_model.totals import Part, Total, contribution, total
from latency.planning.assignment import LayerOptions, Option, fastest, steepest, within_loss, within_time
from latency.planning.losses import Losses
from latency.profiling.space import default_sparsities, network_workloads, variants_of
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.cost import Cost
from models.plans.sparsity import Sparsity
from models.zoo.blocks import BlockTable, block_of

#: the block that has its mildest zeros only, where no sensitivity says otherwise
MILD_BLOCK = "PAF branch"

FIRST = "the first convolution: it has few weights, and all else hangs on what it sees"
HEAD = "an output head: its maps are the network's answer"


@dataclass(frozen=True)
class Goal:
    """What is to be reached; at most one is set. With none, each layer is decided for itself.

    Attributes:
        target_ms: of the whole network.
        speedup: dense time / planned time of the whole network.
        max_loss: sum of the layers' losses.
    """

    target_ms: float | None = None
    speedup: float | None = None
    max_loss: float | None = None


@dataclass(frozen=True)
class Network:
    """A network with what it could be made of.

    Attributes:
        graph: it.
        steps: its layers dense, in launch order, the copies at its ends included.
        layers: the options of each convolution, in the order of the graph.
        workloads: of each convolution, dense, by name.
        calibration: from kernels to the whole; None: the plain sum.
        whole: time of the dense network, where it was measured; other times are then scaled to it.
        saved: what plans were seen to save of the dense network's time / what they were predicted to; 1 where none was
            timed as a whole.
    """

    graph: Graph
    steps: tuple[PredictedStep, ...]
    layers: tuple[LayerOptions, ...]
    workloads: Mapping[str, Workload]
    calibration: Calibration | None = None
    whole: Cost | None = None
    saved: float = 1.0

    def total(self, chosen: Sequence[Option]) -> Total:
        """The network's time under one option for each of `layers`."""
        found, dense = self._predicted(chosen), self._predicted(self.dense).ms
        factor = self.factor * (dense - self.saved * (dense - found.ms)) / found.ms
        return found.scaled(factor)

    @property
    def factor(self) -> float:
        """Measured / predicted time of the dense network; 1 where it was not measured."""
        return self.whole.ms / self._predicted(self.dense).ms if self.whole else 1.0

    def _predicted(self, chosen: Sequence[Option]) -> Total:
        options = {layer.layer: option for layer, option in zip(self.layers, chosen, strict=True)}
        parts = [self._part(step, options[step.layer]) if step.layer in options else step.part for step in self.steps]
        return total(parts, self.calibration)

    @property
    def dense(self) -> list[Option]:
        """Every layer dense."""
        return [layer.dense for layer in self.layers]

    @property
    def rest_ms(self) -> float:
        """What of the dense network's time is no convolution's."""
        convolutions = sum(layer.dense.ms for layer in self.counted)
        return self.total(self.dense).ms - self.factor * convolutions

    @property
    def counted(self) -> list[LayerOptions]:
        """The layers with their options as contributions to the network's time, before `factor`."""
        return [
            replace(layer, dense=self._counted(layer, layer.dense), others=(),
                    variants=tuple(self._counted(layer, each) for each in layer.variants))
            for layer in self.layers
        ]  # fmt: skip

    def _counted(self, layer: LayerOptions, option: Option) -> Option:
        step = next(step for step in self.steps if step.layer == layer.layer)
        return option.with_time(contribution(self._part(step, option), self.calibration))

    def _part(self, step: PredictedStep, option: Option) -> Part:
        key = (step.key, option.sparsity)
        return Part(option.ms, option.low, option.high, option.launches, step.written, key)


def network_of(
    graph: Graph,
    table: BlockTable,
    forecaster: Forecaster,
    losses: Losses,
    sparsities: Sequence[Sparsity] = (),
    mild: bool = True,
) -> Network:
    """The options of every convolution, predicted.

    Args:
        table: which block a layer is of.
        sparsities: that layers may have, as far as each can; `latency.profiling.space.default_sparsities` without.
        mild: hold MILD_BLOCK to its mildest zeros.
    """
    convolutions = {layer.name: layer for layer in graph.layers if layer.op == "conv"}
    workloads = {
        name: workload
        for name, workload in network_workloads(graph, forecaster.profile, forecaster.dtype)
        if name in convolutions
    }
    steps = forecaster.steps(graph)
    wanted: dict[str, tuple[Sparsity, ...]] = {}
    fixed: dict[str, str] = {}
    for name, layer in convolutions.items():
        variants = tuple(each for each in variants_of(layer, sparsities, forecaster.profile) if each is not None)
        fixed[name] = stays_dense(graph, layer) or (
            "" if variants else _unfit(layer, sparsities or default_sparsities(layer, forecaster.profile))
        )
        wanted[name] = () if fixed[name] else variants
    forecaster.learn(replace(workloads[name], sparsity=each) for name in wanted for each in wanted[name])
    layers = []
    for name, layer in convolutions.items():
        found = _options(layer, workloads[name], wanted[name], fixed[name], forecaster, losses)
        held = mild and block_of(layer.module or name, table) == MILD_BLOCK
        layers.append(mildest(found) if held else found)
    return Network(graph, tuple(steps), tuple(layers), workloads, forecaster.predictor.calibration)


def _options(
    layer: Layer,
    workload: Workload,
    wanted: Sequence[Sparsity],
    fixed: str,
    forecaster: Forecaster,
    losses: Losses,
) -> LayerOptions:
    dense = forecaster.step(layer.name, workload)
    assert dense is not None, "Forecaster.steps has seen every layer"
    found = [(each, forecaster.step(layer.name, replace(workload, sparsity=each))) for each in wanted]
    variants = [option_of(step, layer, losses) for _, step in found if step is not None]
    return LayerOptions(layer.name, option_of(dense, layer, losses), tuple(variants), fixed)


def mildest(layer: LayerOptions) -> LayerOptions:
    """A layer that may only have the least zeros of its variants."""
    least = min((each.sparsity.zeros for each in layer.variants if each.sparsity), default=0.0)
    variants = tuple(each for each in layer.variants if each.sparsity and each.sparsity.zeros == least)
    return replace(layer, variants=variants, others=tuple(each for each in layer.variants if each not in variants))


def option_of(step: PredictedStep, layer: Layer, losses: Losses) -> Option:
    """A predicted step as an option of its layer."""
    kept = 1.0 if step.sparsity is None else step.sparsity.kept_fraction(layer.weight_shape)
    found = step.prediction
    loss = 0.0 if step.sparsity is None else losses.of(layer, step.sparsity)
    doubt = "; ".join(found.doubts)
    return Option(
        found.ms, found.low, found.high, step.sparsity, kept, loss, False, doubt, step.kernel, step.launches
    )  # fmt: skip


def stays_dense(graph: Graph, layer: Layer) -> str:
    """Why a convolution is never pruned; "" where it may be: the first one, and those that make maps.

    Maps: the network's outputs, and what earlier stages answer in their place: as many channels, no activation.
    """
    first = next(each.name for each in graph.layers if each.op == "conv")
    if layer.name == first or graph.input in layer.inputs:
        return FIRST
    maps = {graph.shape(name)[0] for name in graph.outputs}
    alike = not layer.epilogue and layer.out_shape[0] in maps
    return HEAD if layer.name in graph.outputs or alike else ""


def _unfit(layer: Layer, sparsities: Sequence[Sparsity]) -> str:
    """Why none of the sparsities fits a layer."""
    reasons = dict.fromkeys(each.applies_to(layer) for each in sparsities)
    return f"no sparsity fits: {'; '.join(reason for reason in reasons if reason)}"


def choose(network: Network, goal: Goal, margin: float = 0.0) -> list[Option]:
    """The option of each layer that the goal asks for.

    Raises:
        UsageError: a time that cannot be reached, with the least that can.
    """
    counted = network.counted
    if goal.max_loss is not None:
        found = within_loss(counted, goal.max_loss, margin)
    elif goal.target_ms is None and goal.speedup is None:
        found = steepest(counted, margin)
    else:
        found = within_time(counted, _budget(network, counted, goal, margin), margin)
    return [_same(layer, option) for layer, option in zip(network.layers, found, strict=True)]


def target_of(network: Network, goal: Goal) -> float | None:
    """Milliseconds that the whole network is to take; None where the goal is no time."""
    if goal.speedup is not None:
        return network.total(network.dense).ms / goal.speedup
    return goal.target_ms


def _budget(network: Network, counted: Sequence[LayerOptions], goal: Goal, margin: float) -> float:
    """What the convolutions may take of the target, before `factor` and `saved`."""
    target, dense = target_of(network, goal), network.total(network.dense).ms
    assert target is not None
    convolutions = sum(layer.dense.ms for layer in counted)
    most = convolutions - sum(option.ms for option in fastest(counted, margin))
    a_ms = network.factor * network.saved  # what one predicted millisecond less is worth
    least = dense - a_ms * most
    if least > target:
        raise UsageError(
            f"{network.graph.name} cannot take {target:.4g} ms: it takes {dense:.4g} dense, and {least:.4g} with the "
            f"fastest that survives its intervals\n"
            f"allow more zeros (--sparsity), a smaller --margin, or measure what is uncertain (--measure)"
        )
    return convolutions - (dense - target) / a_ms


def _same(layer: LayerOptions, counted: Option) -> Option:
    """The layer's own option behind a contribution."""
    return next(each for each in (layer.dense, *layer.variants) if each.sparsity == counted.sparsity)
