"""Pruning as one call: a network's weights with the zeros of a plan, written to a file; `python -m models.prune`.

"oneshot" reconstructs every layer on photographs, or removes the smallest weights where there are none, and may go on
to train with these zeros; the other methods find their zeros while they train. Killed at any moment, the same call goes
on: a start is kept beside the output, and so is the training's checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fleetpose.errors import UsageError
from fleetpose.files import check_writable, sha256
from models.plans.plan import Plan

if TYPE_CHECKING:
    from torch import nn

    from models.graph.network import Graph
    from models.train.settings import TrainSettings
    from models.zoo.spec import ModelSpec

#: of a training that starts from trained weights
RECIPE = "muon"
#: its highest learning rate, far below what random weights start with
LR = 3e-4
#: decay of its averaged weights
EMA = 0.999

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pruning:
    """What is pruned, by what, and how.

    Attributes:
        model: a registered network, or a replaced one's .json.
        weights: to start from; None is random ones.
        plan: file that says which layers are sparse, and how.
        out: weights to write (safetensors); a checkpoint is kept beside.
        method: how zeros are chosen and learnt, one of models.prune.methods.METHODS.
        data: folders of photographs; () prunes by magnitude.
        annotations: COCO keypoints of files in them.
        photographs: how many of them layers are reconstructed on.
        training: what follows; None: nothing.
        teacher: a registered network and its weights to learn from; None: the dense network itself.
        share, rho, lasso: see models.prune.methods.Strength.
        seed: of all that is drawn from the photographs.
        device: what trains: "auto", "cpu" or "cuda".
        restart: begin anew, whatever checkpoint there is.
        force: replace an existing file.
    """

    model: str
    weights: Path | None
    plan: Path
    out: Path
    method: str = "oneshot"
    data: tuple[Path, ...] = ()
    annotations: tuple[Path, ...] = ()
    photographs: int = 32
    training: TrainSettings | None = None
    teacher: tuple[str, Path] | None = None
    share: float = 0.5
    rho: float = 1e-4
    lasso: float = 0.1
    seed: int = 0
    device: str = "auto"
    restart: bool = False
    force: bool = False

    def check(self) -> Plan:
        """The plan. Raises UsageError for values, files and plans that make no sense, before any work."""
        check_writable(self.out, force=self.force)
        plan = Plan.load(self.plan, self.model)
        if self.photographs < 1:
            raise UsageError(f"--photographs must be 1 or more, got {self.photographs}")
        if self.method != "oneshot" and self.training is None:
            raise UsageError(f"--method {self.method} prunes while it trains; give --minutes, --steps or --epochs")
        if self.training is not None and not self.data:
            raise UsageError("a training needs photographs; give --data")
        return plan


def prune(wanted: Pruning, report: Report = lambda message, done, total: None) -> tuple[Graph, Plan]:
    """Do it, and answer the dense network with the plan.

    Raises:
        UsageError: as `Pruning.check`, and for weights or photographs that cannot be read.
        KeyboardInterrupt: SIGINT or SIGTERM came while training; the checkpoint was written.
    """
    plan = wanted.check()
    from models.frontend.trace import trace
    from models.prune.reconstruction.calibration import calibration_inputs
    from models.train.running.checkpoint import checkpoint_path, remove_checkpoint
    from models.zoo.resolve import create_model, model_spec
    from models.zoo.weights import save_weights

    spec = model_spec(wanted.model)
    network = create_model(wanted.model, wanted.weights, wanted.seed)
    graph = trace(network, (3, *spec.size), wanted.model)
    plan.check(graph.layers)
    inputs = None
    if wanted.data:
        inputs = calibration_inputs(spec, wanted.data, wanted.photographs, wanted.seed)
    start = wanted.out.with_suffix(".start")
    if wanted.method == "oneshot":
        _prune_at_once(wanted, network, graph, plan, inputs, start, report)
    if wanted.training is not None:
        _train(wanted, wanted.training, network, spec, plan, inputs, report)
    save_weights(network, wanted.out, force=wanted.force)
    remove_checkpoint(checkpoint_path(wanted.out))
    start.unlink(missing_ok=True)
    return graph, plan


def _prune_at_once(
    wanted: Pruning,
    network: nn.Module,
    graph: Graph,
    plan: Plan,
    inputs: np.ndarray | None,
    start: Path,
    report: Report,
) -> None:
    from models.prune.methods import cached_start, prune_at_once
    from models.prune.reconstruction.layerwise import ReconstructionSettings

    def make() -> None:
        prune_at_once(network, graph, plan, inputs, ReconstructionSettings(seed=wanted.seed), report)

    if wanted.training is None:
        make()
        return
    if wanted.restart:
        start.unlink(missing_ok=True)
    weights = sha256(wanted.weights) if wanted.weights else ""
    asked = (weights, sha256(wanted.plan), *map(str, wanted.data))
    cached_start(network, start, [*asked, str(wanted.photographs), str(wanted.seed)], make)


def _train(
    wanted: Pruning,
    settings: TrainSettings,
    network: nn.Module,
    spec: ModelSpec,
    plan: Plan,
    inputs: np.ndarray | None,
    report: Report,
) -> None:
    """Train `network`, in place."""
    from models.frontend.trace import trace
    from models.prune.methods import Strength, constraint_for
    from models.train.data.photographs import read_photographs
    from models.train.loop import Teacher, TrainStep, train
    from models.train.running.checkpoint import checkpoint_path
    from models.train.running.log import CsvLog

    data = read_photographs(wanted.data, wanted.annotations, unlabelled=True)
    now = trace(network, (3, *spec.size), wanted.model)
    strength = Strength(wanted.share, wanted.rho, wanted.lasso)
    constraint = constraint_for(wanted.method, network, now, plan, inputs, strength)
    log = CsvLog(wanted.out.with_suffix(".csv"))

    def told(step: TrainStep) -> None:
        log.add(step)
        report(f"training, step {step.step}, loss {step.losses['loss']:.4g}", round(1e4 * step.progress), 10_000)

    train(
        network,
        spec,
        data,
        settings,
        teacher=Teacher.named(*(wanted.teacher or (wanted.model, wanted.weights)), wanted.seed, wanted.teacher is None),
        constraint=constraint,
        checkpoint=checkpoint_path(wanted.out),
        report=told,
        device=wanted.device,
        restart=wanted.restart,
    )
