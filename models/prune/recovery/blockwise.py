"""The kept weights of a pruned graph moved block by block, so that each makes of what it gets what the dense one made.

A block reads what the blocks before it, as they are by then, make of some views; what it should make is what the dense
graph has there (BRECQ, Li et al. 2021, arXiv:2102.05426, does so for quantisation). Both are computed once for each
block, so a step costs no more than the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.graph.network import Graph
from models.prune.reconstruction.streams import torch_weights
from models.prune.recovery.blocks import GraphBlock, Tensors
from models.prune.recovery.choosing import take_best
from models.prune.recovery.free_weights import FreeWeights
from models.prune.recovery.lessons import channels_innermost, mean_error, spread_of
from models.prune.recovery.natural import LayerMoment, NaturalSteps
from models.prune.recovery.rates import rate_at

#: of the views, one in so many is not learnt from, but judges
JUDGING_PART = 5


@dataclass(frozen=True, eq=False)
class BlockCache:
    """What crosses the place before a block, in both graphs, on all views: by name, each (N, C, H, W)."""

    dense: Tensors
    pruned: Tensors

    @classmethod
    def at_input(cls, graph: Graph, views: np.ndarray) -> BlockCache:
        """Before the first block."""
        x = channels_innermost(torch.from_numpy(views))
        return cls({graph.input: x}, {graph.input: x})

    def behind(self, block: GraphBlock, needed: set[str], teacher: Tensors, weights: Tensors, batch: int) -> BlockCache:
        """Behind a block, with those tensors only that are `needed` later."""
        results = (run_batches(block, self.dense, teacher, batch), run_batches(block, self.pruned, weights, batch))
        both = ({**before, **after} for before, after in zip((self.dense, self.pruned), results, strict=True))
        dense, pruned = ({name: value for name, value in held.items() if name in needed} for held in both)
        return BlockCache(dense, pruned)


def run_batches(block: GraphBlock, inputs: Tensors, weights: Tensors, batch: int) -> Tensors:
    """What a block makes of all views, a few at a time, without gradients."""
    count = max(len(inputs[name]) for name in block.reads) if block.reads else 1
    parts = []
    with torch.no_grad():
        for first in range(0, count, batch):
            read = {name: inputs[name][first : first + batch] for name in block.reads}
            parts.append(block.run(read, weights))
    return {name: torch.cat([part[name] for part in parts]) for name in block.makes}


@dataclass(frozen=True, eq=False)
class BlockTraining:
    """How blocks are trained.

    Attributes:
        dense: the teacher.
        free: what moves, of the same layers.
        moments: of its layers; see `measure_moments`.
        blocks: of `dense`, in order.
        batch: views of a step.
        highest: the highest rate; see `rate_at`.
        progress: asked with a block's number and its steps so far: the fraction of its time that is over.
        after_block: told the blocks that are done, and the last one's error before and after.
        seed: of which views a step sees.
    """

    dense: Graph
    free: FreeWeights
    moments: Mapping[str, LayerMoment]
    blocks: Sequence[GraphBlock]
    batch: int
    highest: float
    progress: Callable[[int, int], float]
    after_block: Callable[[int, float, float], None]
    seed: int = 0

    def run(self, views: np.ndarray) -> None:
        """Move the weights of one block after the other, on (N, *dense.input_shape) float32."""
        teacher, blocks = torch_weights(self.dense), self.blocks
        cache = BlockCache.at_input(self.dense, views)
        for number, block in enumerate(blocks):
            targets = run_batches(block, cache.dense, teacher, self.batch)
            first, last = self._train(number, cache.pruned, targets)
            needed = {name for later in blocks[number + 1 :] for name in later.reads}
            cache = cache.behind(block, needed, teacher, self._weights(), self.batch)
            self.after_block(number + 1, first, last)

    def _weights(self) -> Tensors:
        return {name: value.detach() for name, value in self.free.weights().items()}

    def _train(self, number: int, inputs: Tensors, targets: Tensors) -> tuple[float, float]:
        """Steps on one block's tensors until its time is over: its error on judging views before and after."""
        block, random = self.blocks[number], np.random.default_rng([self.seed, number])
        names = [layer.name for layer in block.layers if layer.name in self.moments]
        count = max(len(value) for value in targets.values())
        learnt = max(1, count - count // JUDGING_PART)
        spreads = {name: spread_of(targets[name]) for name in block.makes}

        def judge() -> float:
            first = learnt if learnt < count else 0
            read = {name: value[first:] if len(value) == count else value for name, value in inputs.items()}
            results = run_batches(block, read, self._weights(), self.batch)
            return float(mean_error(results, {name: targets[name][first:] for name in block.makes}, spreads))

        before = judge()
        steps = NaturalSteps(self.free, {name: self.moments[name] for name in names}, dict.fromkeys(names, before**0.5))
        named, step = steps.tensors, 0
        start = {name: value.detach().clone() for name, value in named.items()}
        while named and (done := self.progress(number, step)) < 1:
            chosen = torch.from_numpy(random.choice(learnt, min(self.batch, learnt), replace=False))
            read = {name: inputs[name][chosen] if len(inputs[name]) == count else inputs[name] for name in block.reads}
            with torch.enable_grad():
                ours = block.run(read, self.free.weights())
                loss = mean_error(ours, {name: targets[name][chosen] for name in block.makes}, spreads)
                gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            if torch.isfinite(loss):
                known = {name: value for name, value in zip(named, gradients, strict=True) if value is not None}
                steps.step(known, rate_at(done, self.highest))
            step += 1
        return (before, take_best(self.free, start, judge)[2]) if step else (before, before)
