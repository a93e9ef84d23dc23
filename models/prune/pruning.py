"""Pruning as a function of values: a network and a plan go in, and the network has the plan's zeros.

"oneshot" reconstructs every layer on photographs, or removes the smallest weights where there are none, and may go on
to win accuracy back (models.prune.recovery), and to train with these zeros; the other methods find their zeros while
they train. You can stop either at any time: call `prune` again with the same values and the same `PruneFiles` to
resume. `python -m models.prune` is the command.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report
from models.graph.network import Graph
from models.plans.plan import Plan
from models.prune.methods import constraint_for, load_or_make_start, prune_at_once
from models.prune.reconstruction.layerwise import EFFORTS
from models.prune.recovery.recover import RecoverySubject, recover
from models.prune.settings import PruneFiles, PruneSettings
from models.train.constraint import Constraint
from models.train.data.photographs import Photographs
from models.train.loop import Teacher, TrainStep, train
from models.train.running.checkpoint import tensors_digest
from models.train.running.log import CsvLog
from models.zoo.spec import ModelSpec


def prune(  # noqa: PLR0913  options with defaults
    network: nn.Module,
    graph: Graph,
    spec: ModelSpec,
    plan: Plan,
    settings: PruneSettings = PruneSettings(),  # noqa: B008  frozen
    *,
    inputs: np.ndarray | None = None,
    photographs: Sequence[Path] = (),
    data: Photographs | None = None,
    teacher: Teacher | None = None,
    files: PruneFiles | None = None,
    restart: bool = False,
    report: Report = no_report,
) -> None:
    """Give `network` the zeros of a plan, in place.

    Args:
        graph: traced from `network`.
        spec: the network's preprocessing, outputs and stride.
        inputs: (N, *graph.input_shape) float32 that layers are reconstructed on; None: the smallest weights go.
        photographs: to win accuracy back on, where `settings.recovery` asks for it and layers are reconstructed.
        data: photographs to train on; `settings.training` needs them.
        teacher: whom the training learns from; None: the dense network itself.
        files: where a training keeps its state and its course; None: nowhere, so it cannot be resumed.
        restart: begin anew, whatever state the files hold.
        report: called with a message, and with what is done and what there is in all.

    Raises:
        UsageError: the plan does not fit; a training without photographs; weights or photographs that are damaged.
        KeyboardInterrupt: SIGINT or SIGTERM came while training; the checkpoint was written.
    """
    plan.check(graph.layers)
    training = settings.training
    if training is not None and data is None:
        raise UsageError("a training needs photographs; give --data")
    if training is not None and teacher is None:
        teacher = Teacher(copy.deepcopy(network), spec.preprocessing, itself=True)
    if settings.method == "oneshot":
        subject = RecoverySubject(network, spec, graph, plan.sparsities, tuple(photographs))
        win_back = _recovery(subject, settings, files, restart, report)
        reconstruction = replace(EFFORTS[settings.reconstruction], seed=settings.seed)
        _make_start(
            network, plan, settings, inputs, files, restart,
            lambda: prune_at_once(network, graph, plan, inputs, reconstruction, report, win_back),
        )  # fmt: skip
    if training is None or data is None:
        return
    log = CsvLog(files.log) if files is not None else None

    def report_step(step: TrainStep) -> None:
        if log is not None:
            log.add(step)
        report(f"training, step {step.step}, loss {step.losses['loss']:.4g}", round(1e4 * step.progress), 10_000)

    train(
        network,
        spec,
        data,
        training,
        teacher=teacher,
        constraint=_constraint(network, graph, plan, settings, inputs),
        checkpoint=files.checkpoint if files is not None else None,
        report=report_step,
        device=settings.device,
        restart=restart,
    )


def _make_start(
    network: nn.Module,
    plan: Plan,
    settings: PruneSettings,
    inputs: np.ndarray | None,
    files: PruneFiles | None,
    restart: bool,
    prune_layers: Callable[[], None],
) -> None:
    """Prune `network` at once; where a training follows, only if its files do not hold the result already."""
    if settings.training is None or files is None:
        prune_layers()
        return
    if restart:
        files.start.unlink(missing_ok=True)
    texts = json.dumps(plan.to_json()).encode()
    digests = [tensors_digest(network.state_dict()), hashlib.sha256(texts).hexdigest()]
    photographs = hashlib.sha256(inputs.tobytes()).hexdigest() if inputs is not None else ""
    how = [str(settings.seed), settings.reconstruction, str(settings.recovery)]
    load_or_make_start(network, files.start, [*digests, photographs, *how], prune_layers)


def _recovery(
    subject: RecoverySubject, settings: PruneSettings, files: PruneFiles | None, restart: bool, report: Report
) -> Callable[[Callable[[], Graph]], Graph] | None:
    """What wins accuracy back after reconstruction; None where nothing is asked to, or without photographs."""
    recovery = settings.recovery
    if recovery is None or not settings.recovers(bool(subject.photographs)):
        return None
    reconstructed = {"reconstruction": settings.reconstruction, "reconstruction seed": settings.seed}
    checkpoint = files.recovery if files is not None else None

    def win_back(reconstruct: Callable[[], Graph]) -> Graph:
        return recover(subject, reconstruct, recovery, reconstructed, checkpoint, restart, report)

    return win_back


def _constraint(
    network: nn.Module, graph: Graph, plan: Plan, settings: PruneSettings, inputs: np.ndarray | None
) -> Constraint:
    """What the training holds to; `graph` is still that of `network` unless it was pruned at once."""
    from models.frontend.trace import trace

    if settings.method == "oneshot":
        graph = trace(network, graph.input_shape, graph.name)
    return constraint_for(settings.method, network, graph, plan, inputs, settings.strength)
