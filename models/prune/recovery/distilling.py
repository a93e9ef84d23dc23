"""All kept weights of a pruned graph moved together, so that outputs and features are again those of the dense graph.

Views are fresh at every step, and both graphs run on them: the dense one is the teacher (Hinton et al. 2015), its
features at the ends of blocks are hints (Romero et al. 2015, FitNets). No annotation comes into it, nor what the
outputs mean, so any network can be taught so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from models.graph.network import Graph
from models.graph.reference import run_layer
from models.prune.reconstruction.streams import torch_weights
from models.prune.recovery.blocks import GraphBlock, Tensors
from models.prune.recovery.free_weights import FreeWeights
from models.prune.recovery.lessons import channels_innermost, mean_error, spread_of
from models.prune.recovery.natural import NaturalSteps, measure_moments
from models.prune.recovery.rates import rate_at


class Distillation:
    """A pruned graph on its way back to the dense one.

    Args:
        dense: the teacher; views have its input's shape.
        free: what moves, of the same layers.
        blocks: of the graph; what they make is to be that of the dense graph, too.
        hint_weight: of their errors' mean, where that of the outputs has 1.
        judges: views, (N, *dense.input_shape) float32, that nothing is learnt from: they say how much tensors vary, and
            which weights are the best in the end.
    """

    def __init__(
        self, dense: Graph, free: FreeWeights, blocks: Sequence[GraphBlock], hint_weight: float, judges: np.ndarray
    ) -> None:
        self.dense, self.free, self.hint_weight = dense, free, hint_weight
        self.hints = [name for block in blocks for name in block.makes if name not in dense.outputs]
        self.teacher = torch_weights(dense)
        self.judges = [channels_innermost(torch.from_numpy(judges[at : at + 4])) for at in range(0, len(judges), 4)]
        with torch.no_grad():
            parts = [self._run(views, self.teacher) for views in self.judges]
        self._targets = [{name: part[name] for name in dense.outputs} for part in parts]
        spreads = {name: spread_of(torch.cat([part[name] for part in parts])) for name in parts[0]}
        self.output_spreads = {name: spreads[name] for name in dense.outputs}
        self.hint_spreads = {name: spreads[name] for name in self.hints}
        self.moments = measure_moments(dense, free, judges)
        self.steps = NaturalSteps(free, self.moments, self._reaches(blocks, parts, spreads))

    def _reaches(
        self, blocks: Sequence[GraphBlock], targets: Sequence[Tensors], spreads: Mapping[str, float]
    ) -> dict[str, float]:
        """How far each layer's answers may have to go: about as far as its block's are from the dense graph's."""
        weights = {name: value.detach() for name, value in self.free.weights().items()}
        with torch.no_grad():
            parts = [self._run(views, weights) for views in self.judges]
        reaches: dict[str, float] = {}
        for block in blocks:
            own = {name: spreads[name] for name in block.makes}
            errors = [float(mean_error(part, target, own)) for part, target in zip(parts, targets, strict=True)]
            reaches |= {layer.name: math.sqrt(sum(errors) / len(errors)) for layer in block.layers}
        return reaches

    def step(self, views: np.ndarray, rate: float) -> float:
        """Learn from some views, (N, *dense.input_shape) float32; the error of the outputs before."""
        x = channels_innermost(torch.from_numpy(views))
        with torch.no_grad():
            theirs = self._run(x, self.teacher)
        with torch.enable_grad():
            ours = self._run(x, self.free.weights())
            loss = error = mean_error(ours, theirs, self.output_spreads)
            if self.hints and self.hint_weight:
                loss = error + self.hint_weight * mean_error(ours, theirs, self.hint_spreads)
            named = self.steps.tensors
            gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        known = {name: value for name, value in zip(named, gradients, strict=True) if value is not None}
        if torch.isfinite(loss):
            self.steps.step(known, rate)
        return float(error.detach())

    def judge(self) -> float:
        """The error of the outputs with the weights as they are, on the views that nothing was learnt from."""
        with torch.no_grad():
            weights = self.free.weights()
            errors = [
                float(mean_error(self._run(views, weights), targets, self.output_spreads)) * len(views)
                for views, targets in zip(self.judges, self._targets, strict=True)
            ]
        return sum(errors) / sum(map(len, self.judges))

    def _run(self, x: torch.Tensor, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The outputs and the hints, by name."""
        wanted = {*self.hints, *self.dense.outputs}
        held = {self.dense.input: x}
        for layer in self.dense.layers:
            held[layer.name] = run_layer(layer, [held[name] for name in layer.inputs], weights)
        return {name: held[name] for name in wanted}

    def state(self) -> dict[str, Any]:
        """What `restore` takes: all that steps have changed."""
        return {"values": self.free.values(), "steps": self.steps.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same graphs."""
        self.free.take(state["values"])
        self.steps.restore(state["steps"])


def distil(
    distillation: Distillation,
    views: Callable[[int, int], np.ndarray],
    batch: int,
    highest: float,
    progress: Callable[[int], float],
    after_step: Callable[[int, float], None],
    first: int = 0,
) -> None:
    """Step until `progress`, which is asked with the steps so far, says 1.

    Args:
        views: (first position, count) -> that many views.
        highest: the highest rate; see `rate_at`.
        after_step: told the steps so far and the error of the outputs.
        first: steps that were made before.
    """
    step = first
    while (done := progress(step)) < 1:
        error = distillation.step(views(step * batch, batch), rate_at(done, highest))
        step += 1
        after_step(step, error)
