"""Steps of layers' weights along the natural gradient: each layer's answers move, not its weights, by like amounts.

Weights that were solved by least squares lie in a narrow valley: what a layer reads varies thousands of times as much
along some directions as along others, and steps of like size for every weight, as Adam's, throw them out of it. With H
the second moment of what a layer reads, the bias's 1 among it, the step inv(H) gradient is the one that changes answers
most usefully for its size in answers (K-FAC, Martens and Grosse 2015, arXiv:1503.05671, with the identity for its other
factor). Zeros stay: H is that of the columns that a filter keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from models.graph.layer import Layer
from models.graph.network import Graph
from models.prune.reconstruction.layerwise import ReconstructionSettings, inputs_moment, samples_of
from models.prune.reconstruction.problem import problem
from models.prune.reconstruction.streams import forward, with_last_reads
from models.prune.reconstruction.surgeon import Solver
from models.prune.recovery.free_weights import FreeWeights

#: decay of the means of steps and of their sizes
MEAN_DECAY, SIZE_DECAY = 0.9, 0.95
#: ridge of H, relative to the mean of its diagonal, and the positions it is measured at
RIDGE, SAMPLES = 3e-3, 4_000
#: the most that the factors of one layer's groups of filters may take; beyond it all filters share one H
MOST_BYTES = 1 << 26

Solve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class LayerMoment:
    """What one layer's steps are shaped by.

    Attributes:
        layer: it.
        solvers: of each group, from a gradient (filters, columns) to a step.
        size: mean square of its answers, all filters together.
        bias: whether the last column is the bias.
    """

    layer: Layer
    solvers: tuple[Solve, ...]
    size: float
    bias: bool

    @classmethod
    def of(cls, layer: Layer, h: torch.Tensor, weight: torch.Tensor, kept: torch.Tensor | None) -> LayerMoment:
        """Of H, (groups, columns, columns), weights (groups, filters, columns) and which of these are kept."""
        size = float(torch.einsum("gfc,gcd,gfd->", weight.double(), h, weight.double()))
        columns = np.ones(tuple(weight.shape), bool)
        if kept is not None:
            columns[:, :, : prod(layer.weight_shape[1:])] = kept.reshape(*weight.shape[:2], -1).numpy()
        matrices = h.float().numpy()
        solvers = tuple(_solver(matrices[group], columns[group]) for group in range(layer.groups))
        return cls(layer, solvers, max(size, 1e-30), weight.shape[2] > prod(layer.weight_shape[1:]))

    def step_of(self, gradient: torch.Tensor) -> torch.Tensor:
        """The natural gradient of (groups, filters, columns)."""
        parts = [solve(part.numpy()) for solve, part in zip(self.solvers, gradient, strict=True)]
        return torch.from_numpy(np.stack(parts).astype(np.float32))


def _solver(h: np.ndarray, kept: np.ndarray) -> Solve:
    """What solves for the kept columns of every filter; where that takes too much memory, for all columns, masked."""
    patterns = np.unique(kept, axis=0)
    if 4 * int(np.square(patterns.sum(1)).sum()) <= MOST_BYTES:
        return Solver(h, kept)
    shared = Solver(h, np.ones_like(kept))
    return lambda gradient: shared(gradient) * kept


def measure_moments(
    graph: Graph, free: FreeWeights, views: np.ndarray, layers: Iterable[str] | None = None, seed: int = 0
) -> dict[str, LayerMoment]:
    """The moments of every layer whose own weight moves, by name, with the weights as they are.

    Args:
        views: (N, *graph.input_shape) float32.
        layers: only these.
    """
    weights = {name: value.detach() for name, value in free.weights().items()}
    wanted = {layer.name for layer in graph.layers if f"{layer.name}.weight" in free.tensors}
    wanted = wanted if layers is None else wanted & set(layers)
    settings, generator = ReconstructionSettings(samples=SAMPLES), torch.Generator().manual_seed(seed)
    held, moments = {graph.input: torch.from_numpy(views)}, {}
    for layer, finished in with_last_reads(graph):
        inputs = [held[name] for name in layer.inputs]
        if layer.name in wanted:
            drawn = problem(layer, inputs, inputs, weights, samples_of(layer, settings), generator)
            h, _ = inputs_moment(drawn, RIDGE)
            own = f"{layer.name}.bias" in free.tensors
            columns = drawn.old.shape[2] - (layer.bias and not own)
            kept = free.tensors[f"{layer.name}.weight"].kept
            moments[layer.name] = LayerMoment.of(layer, h[:, :columns, :columns], drawn.old[:, :, :columns], kept)
        held[layer.name] = forward(layer, inputs, weights)
        for name in finished:
            del held[name]
    return moments


class NaturalSteps:
    """Moves the weights and biases of some layers; a step changes each layer's answers by about a given part.

    Args:
        moments: of the layers.
        reaches: by layer, how far its answers may have to go in all, relative to their size: steps are parts of that.
    """

    def __init__(self, free: FreeWeights, moments: Mapping[str, LayerMoment], reaches: Mapping[str, float]) -> None:
        self.free, self.moments, self.reaches, self.count = free, dict(moments), dict(reaches), 0
        self.means: dict[str, torch.Tensor] = {}
        self.sizes: dict[str, float] = {}

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """What is moved, by name: what `step` wants gradients of."""
        names = [f"{name}.weight" for name in self.moments]
        names += [f"{name}.bias" for name, moment in self.moments.items() if moment.bias]
        return {name: self.free.tensors[name].value for name in names}

    @torch.no_grad()
    def step(self, gradients: Mapping[str, torch.Tensor], rate: float) -> None:
        """One step.

        Args:
            gradients: by the tensors' names; layers without one stay as they are.
            rate: how far a layer's answers go at most, about, relative to their reach.
        """
        self.count += 1
        unbias = 1 / (1 - MEAN_DECAY**self.count)
        for name, moment in self.moments.items():
            if f"{name}.weight" in gradients:
                self._move(name, moment, gradients, rate * unbias * min(1.0, self.reaches[name]))

    def _move(self, name: str, moment: LayerMoment, gradients: Mapping[str, torch.Tensor], rate: float) -> None:
        layer = moment.layer
        gradient = gradients[f"{name}.weight"].reshape(layer.groups, layer.out_shape[0] // layer.groups, -1)
        if moment.bias:
            bias = gradients[f"{name}.bias"].reshape(*gradient.shape[:2], 1)
            gradient = torch.cat([gradient, bias], 2)
        step = moment.step_of(gradient)
        size = max(float((gradient * step).sum()), 1e-38)
        self.means[name] = torch.lerp(self.means.get(name, torch.zeros_like(step)), step, 1 - MEAN_DECAY)
        self.sizes[name] = SIZE_DECAY * self.sizes.get(name, 0.0) + (1 - SIZE_DECAY) * size
        typical = self.sizes[name] / (1 - SIZE_DECAY**self.count)
        change = self.means[name] * (rate * math.sqrt(moment.size / typical))
        weight = self.free.tensors[f"{name}.weight"].value
        columns = prod(layer.weight_shape[1:])
        weight.sub_(change[:, :, :columns].reshape(weight.shape))
        if moment.bias:
            value = self.free.tensors[f"{name}.bias"].value
            value.sub_(change[:, :, columns].reshape(value.shape))

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"count": self.count, "means": dict(self.means), "sizes": dict(self.sizes)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same layers."""
        self.count, self.means, self.sizes = state["count"], dict(state["means"]), dict(state["sizes"])
