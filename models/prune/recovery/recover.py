"""From a reconstructed graph to one that answers more nearly what the dense one does, within some minutes.

Block by block on views that are kept, and then, where settings leave time for it, all kept weights together on fresh
ones. Needs photographs and no annotations. You can stop it at any time; run it again with the same values and the same
checkpoint to resume.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fleetpose.errors import UsageError
from fleetpose.interrupt import until_interrupted
from fleetpose.progress import Report, no_report
from models.frontend.trace import trace
from models.graph.network import Graph
from models.plans.sparsity import Sparsity
from models.prune.recovery.blocks import cut_blocks
from models.prune.recovery.blockwise import BlockTraining
from models.prune.recovery.choosing import take_best
from models.prune.recovery.course import RecoveryCourse
from models.prune.recovery.distilling import Distillation, distil
from models.prune.recovery.free_weights import FreeWeights
from models.prune.recovery.views import RecoveryViews
from models.prune.settings import RecoverySettings
from models.train.running.checkpoint import restoring, tensors_digest
from models.train.running.memory import keep_freed_memory
from models.zoo.spec import ModelSpec

#: views that nothing is learnt from
JUDGES = 16


@dataclass(frozen=True, eq=False)
class RecoverySubject:
    """What accuracy is won back of, and by what.

    Attributes:
        network: dense; `graph` was traced from it.
        spec: its preprocessing, size and stride.
        graph: dense, at the size that layers were reconstructed at.
        sparsities: by layer.
        photographs: to learn from.
    """

    network: nn.Module
    spec: ModelSpec
    graph: Graph
    sparsities: Mapping[str, Sparsity]
    photographs: Sequence[Path]

    def identity(self, settings: RecoverySettings) -> dict[str, Any]:
        """What the result depends on, as plain values."""
        sparsities = {name: str(value) for name, value in self.sparsities.items()}
        names = sorted(path.name for path in self.photographs)
        weights = tensors_digest(self.network.state_dict())
        return {"weights": weights, "zeros": repr(sparsities), "photographs": repr(names), **settings.identity()}


def recover(
    subject: RecoverySubject,
    reconstruct: Callable[[], Graph],
    settings: RecoverySettings,
    reconstructed: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    restart: bool = False,
    report: Report = no_report,
) -> Graph:
    """The graph with its zeros and weights that were moved by gradients.

    Args:
        reconstruct: makes the graph to start from, where no checkpoint has it.
        reconstructed: how that is made, as plain values that tell this recovery from others.
        checkpoint: kept up to date; its owner removes it.
        restart: begin anew, whatever checkpoint there is.
        report: called after every step.

    Raises:
        UsageError: a checkpoint of another recovery, or a photograph that cannot be read.
        KeyboardInterrupt: SIGINT or SIGTERM came; the checkpoint was written.
    """
    keep_freed_memory()
    identity = {**subject.identity(settings), **(reconstructed or {})}
    with until_interrupted(signal.SIGINT, signal.SIGTERM) as interrupted, torch.inference_mode(False):
        course = RecoveryCourse(settings, checkpoint, identity, interrupted)
        state = course.load(restart)
        if state is None:
            pruned = reconstruct()
            course.begin()
            start = {name: torch.tensor(pruned.weights[name]) for name in pruned.weights}
        else:
            with restoring(checkpoint):
                start = state["start"]
                weights = {name: value.numpy() for name, value in start.items()}
                pruned = replace(subject.graph, weights={**subject.graph.weights, **weights})
        dense = learning_graph(subject.network, subject.spec, subject.graph, settings.side)
        return _Recovery(subject, dense, pruned, settings, course, start, report).run(state)


def learning_graph(network: nn.Module, spec: ModelSpec, graph: Graph, side: int) -> Graph:
    """The dense network at the size of views: about `side` pixels, if it is less than the graph's own size and the
    network is the same there; else `graph`."""
    height, width = (_near(side, spec.stride, extent) for extent in graph.input_shape[1:])
    if spec.fixed_size or (height, width) == graph.input_shape[1:]:
        return graph
    try:
        small = trace(network, (graph.input_shape[0], height, width), graph.name)
    except UsageError:
        return graph
    alike = [(layer.name, layer.op, layer.parameter) for layer in small.layers] == [
        (layer.name, layer.op, layer.parameter) for layer in graph.layers
    ]
    shapes = {name: value.shape for name, value in small.weights.items() if not name.endswith(".value")}
    return small if alike and all(graph.weights[name].shape == shape for name, shape in shapes.items()) else graph


def _near(side: int, stride: int, most: int) -> int:
    """The multiple of a stride nearest to `side`, at most `most`."""
    return min(most, max(1, round(side / stride)) * stride)


def split_photographs(photographs: Sequence[Path]) -> tuple[Sequence[Path], Sequence[Path]]:
    """Photographs to learn from, and one in eight of them to judge by; all for both where they are fewer than eight."""
    if len(photographs) < 8:
        return photographs, photographs
    return [path for number, path in enumerate(photographs) if number % 8], photographs[::8]


class _Recovery:
    """One recovery at work; `start` is what it started from, by tensor."""

    def __init__(
        self,
        subject: RecoverySubject,
        dense: Graph,
        pruned: Graph,
        settings: RecoverySettings,
        course: RecoveryCourse,
        start: Mapping[str, torch.Tensor],
        report: Report,
    ) -> None:
        self.dense, self.pruned, self.settings, self.course, self.report = dense, pruned, settings, course, report
        self.start = dict(start)
        convolutions = {
            f"{layer.name}.{part}" for layer in dense.layers if layer.op == "conv" for part in ("weight", "bias")
        }
        learnt = {name: value for name, value in pruned.weights.items() if name in convolutions}
        small = replace(dense, weights={**dense.weights, **learnt})
        self.free = FreeWeights(dense, small, subject.sparsities)
        self.blocks = cut_blocks(dense)
        size = (dense.input_shape[1], dense.input_shape[2])
        learnt_from, judging = split_photographs(subject.photographs)
        self.views = RecoveryViews(learnt_from, subject.spec, size, settings.seed)
        judges = RecoveryViews(judging, subject.spec, size, settings.seed + 1).batch(0, JUDGES)
        self.distillation = Distillation(dense, self.free, self.blocks, settings.hint_weight, judges)
        self.before = self.free.values()

    def run(self, state: Mapping[str, Any] | None) -> Graph:
        """All of it, from a checkpoint's state on."""
        done, step = 0, 0
        if state is not None:
            with restoring(self.course.checkpoint):
                done, step = state["blocks"], state["step"]
                self.distillation.restore(state["learnt"])
        else:
            self.course.save(self._state(0, 0))
        if self.settings.blocks and done < len(self.blocks) and not step:
            self._by_blocks(done)
        if self.settings.blocks < 1:
            self._together(step)
        part, before, after = take_best(self.free, self.before, self.distillation.judge)
        self.report(f"error {before:.3g} to {after:.3g}, {part:.0%} of the way taken", 1, 1)
        return self._result()

    def _result(self) -> Graph:
        moved = self.free.result().weights
        learnt = {name: moved[name] for name in moved if name in self.pruned.weights and not name.endswith(".value")}
        return replace(self.pruned, weights={**self.pruned.weights, **learnt})

    def _state(self, blocks: int, step: int) -> dict[str, Any]:
        return {"start": self.start, "blocks": blocks, "step": step, "learnt": self.distillation.state()}

    @property
    def _first_secs(self) -> float:
        """How long blocks take together."""
        return 60 * self.settings.minutes * self.settings.blocks

    def _by_blocks(self, done: int) -> None:
        settings, views = self.settings, self.views.batch(0, self.settings.views)
        work = [sum(layer.macs for layer in block.layers) or 1 for block in self.blocks]
        begun: dict[int, float] = {}

        def progress(number: int, step: int) -> float:
            if number < done:
                return 1.0
            first = begun.setdefault(number, self.course.secs)
            left = max(0.0, self._first_secs - first)
            return self.course.share(step, first, first + left * work[number] / sum(work[number:]))

        def after_block(count: int, before: float, after: float) -> None:
            said = f"block {count} of {len(self.blocks)}, error {before:.3g} to {after:.3g}"
            self.report(said, count, len(self.blocks))
            self.course.after_step(lambda: self._state(count, 0))

        moments = self.distillation.moments
        BlockTraining(
            self.dense, self.free, moments, self.blocks, settings.batch, settings.rate, progress, after_block,
            settings.seed,
        ).run(views)  # fmt: skip

    def _together(self, step: int) -> None:
        settings, course = self.settings, self.course
        first = self._first_secs if settings.blocks else 0.0

        def after_step(count: int, error: float) -> None:
            part = course.share(count, first, 60 * settings.minutes)
            self.report(f"winning back, step {count}, error {error:.3g}", round(1e4 * part), 10_000)
            course.after_step(lambda: self._state(len(self.blocks), count))

        distil(
            self.distillation, self.views.batch, settings.batch, settings.rate,
            lambda count: course.share(count, first, 60 * settings.minutes), after_step, step,
        )  # fmt: skip
