"""The stage that turns divergence into what a person knows: AP lost, or agreement lost where nothing is annotated.

A few plans of the network at hand, with more and fewer zeros than the goal asks for, are pruned as the stage "prune"
will prune, but for its training, and evaluated. What they lose is kept in a journal, as points are; the map from
divergence to loss is fitted to them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose.codec import check_entries, decode, encode
from fleetpose.errors import UsageError, first_line
from fleetpose.files import read_json, write_json
from fleetpose.json_fields import NotNegative, NotNegativeInt
from fleetpose.progress import Report
from latency.optimize.job import LOSSES, Job
from latency.optimize.sensing import goals_of, known_options, losses_for
from latency.optimize.state import digest_of
from latency.planning.assignment import OutOfReach
from latency.planning.choosing import ANY_GAIN, Goal, choose_fastest, choose_options
from latency.planning.doubtful_losses import priced
from latency.planning.loss_map import LossMap, LossPoint, map_of
from latency.planning.measured_losses import MeasuredLosses
from latency.planning.options import NetworkOptions
from models.accuracy.lost import AP, LossJudge, MeasuredLoss, annotations_of
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.pruning import prune
from models.prune.reconstruction.calibration import calibration_inputs, judging_photographs
from models.prune.response.journal import ResponseJournal
from models.prune.settings import PruneSettings
from models.resolve import create_model

FORMAT = "fleetpose.losses/1"
#: photographs that plans are evaluated on
PHOTOGRAPHS = 32
#: plans that are evaluated at most, by their divergence over that of the goal's plan
PARTS = (1.0, 0.4, 2.0, 0.15)
#: divergence of the first plan where the goal says nothing of it
FIRST = 0.3
#: no plan is evaluated in less time, unless the goal is a loss
LEAST_SECS = 60.0


@dataclass(frozen=True)
class EvaluatedPlan:
    """A plan that was pruned and evaluated.

    Attributes:
        sparsities: texts, by layer.
        loss: what it lost.
    """

    sparsities: dict[str, str]
    loss: MeasuredLoss

    def point(self, losses: MeasuredLosses) -> LossPoint:
        """With its divergence by what is known of losses."""
        sparsities = {name: Sparsity.parse(text) for name, text in self.sparsities.items()}
        return LossPoint(losses.total(sparsities), self.loss.lost, self.loss.error)


def calibrate_losses(job: Job, report: Report) -> str:
    """The file of what evaluated plans lost."""
    losses, why = losses_for(job), ""
    limit, by_loss = job.request.secs("losses"), job.request.goal.max_loss is not None
    if not isinstance(losses, MeasuredLosses):
        why = "losses are not of measured divergence"
    elif limit is not None and limit < LEAST_SECS and not by_loss:
        why = f"it takes {LEAST_SECS / 60:g} minute of --sensitivity-minutes or more"
    judge = None
    if not why:
        try:
            judge = _judge_of(job, report)
        except UsageError as error:
            why = first_line(error)
    if judge is None or not isinstance(losses, MeasuredLosses):
        write_json(job.path(LOSSES), {"format": FORMAT, "unit": None, "why_none": why, "plans": []}, force=True)
        return f"losses stay in the sensitivity's unit: {why}"
    plans = _evaluate(job, losses, judge, report)
    content = {
        "format": FORMAT, "unit": judge.unit, "why_none": None, "ceiling": judge.ceiling,
        "photographs": len(judge.photographs), "plans": encode(plans),
    }  # fmt: skip
    write_json(job.path(LOSSES), content, force=True)
    points = sorted((plan.point(losses) for plan in plans), key=lambda point: point.divergence)
    lost = ", ".join(f"{point.lost:.3f} at {point.divergence:.3g}" for point in points)
    return f"{judge.unit} lost by divergence, {len(judge.photographs)} photographs: {lost or 'no plan was evaluated'}"


def loss_map_for(job: Job, losses: MeasuredLosses) -> LossMap | None:
    """The map that the stage's file makes with what is known of losses; None where there is none."""
    path = job.path(LOSSES)
    kinds = {"unit": str | None, "ceiling": NotNegative, "plans": list[EvaluatedPlan], "photographs": NotNegativeInt}
    content = check_entries(read_json(path, "losses", FORMAT), kinds, str(path), needed=("unit",))
    if content["unit"] is None:
        return None
    check_entries(content, kinds, str(path), needed=tuple(kinds))
    plans = decode(list[EvaluatedPlan], content["plans"], f"{path}: plans")
    return map_of(content["unit"], content["ceiling"], [plan.point(losses) for plan in plans], content["photographs"])


def _judge_of(job: Job, report: Report) -> LossJudge:
    """What evaluates plans: by annotated photographs of --data, else those of --val, else by agreement on --data.

    Raises UsageError where nothing can judge.
    """
    request, photographs = job.request, list[Path]()
    if request.data:
        photographs, _ = judging_photographs(request.data, request.photographs, PHOTOGRAPHS, request.seed)
    if request.val is not None and not annotations_of(photographs)[0]:
        photographs, _ = judging_photographs([request.val], 0, PHOTOGRAPHS, request.seed)
    job.lease.give_back()
    network = create_model(request.model, request.weights, request.seed)
    return LossJudge.of(network, request.spec, photographs, report)


def _evaluate(job: Job, losses: MeasuredLosses, judge: LossJudge, report: Report) -> list[EvaluatedPlan]:
    """Plans with more and fewer zeros than the goal's, evaluated while there is time."""
    request = job.request
    network = priced(known_options(job), losses.of)
    job.lease.give_back()
    names = [digest_of({"name": path.name, "size": path.stat().st_size}) for path in judge.photographs]
    identity = {"weights": job.weights_identity, "structure": job.graph.structure, "photographs": names,
                "unit": judge.unit, "reconstruction": request.reconstruction, "inputs": request.photographs,
                "seed": request.seed, "data": [str(folder) for folder in request.data]}  # fmt: skip
    path = job.path(f"losses-{digest_of(identity)[:12]}.journal")
    plans: list[EvaluatedPlan] = []
    with ResponseJournal(path, identity) as journal:
        maker, slowest = _PlanMaker(job), 0.0
        for number, part in enumerate(PARTS):
            budget = part * _reference(network, goals_of(job, network), plans, losses, judge)
            sparsities = _sparsities(network, Goal(max_loss=budget))
            key = digest_of(sparsities)
            if not sparsities or any(plan.sparsities == sparsities for plan in plans):
                continue
            left = job.secs_left()
            if key not in journal.values:
                if plans and left is not None and left < slowest:
                    break
                report(f"what a plan of divergence {budget:.3g} loses", number, len(PARTS))
                started = time.monotonic()
                measured = judge.judge(maker.prune(sparsities), request.seed, report)
                slowest = max(slowest, time.monotonic() - started)
                journal.add(key, None if measured is None else encode(measured))
            if (loss := journal.read(key, MeasuredLoss | None)) is not None:
                plans.append(EvaluatedPlan(sparsities, loss))
    return plans


def _reference(
    network: NetworkOptions,
    goals: tuple[Goal, ...],
    plans: list[EvaluatedPlan],
    losses: MeasuredLosses,
    judge: LossJudge,
) -> float:
    """The divergence that plans are evaluated around: that of the goal's plan; of several goals, the middle one's."""
    divergences = []
    for goal in goals:
        if goal.max_loss is not None:
            points = [plan.point(losses) for plan in plans]
            known = map_of(judge.unit, judge.ceiling, points, len(judge.photographs))
            divergences.append(FIRST if known is None else known.divergence_of(goal.max_loss))
        else:
            divergences.append(_divergence(network, goal))
    return float(np.median(divergences)) or FIRST


def _divergence(network: NetworkOptions, goal: Goal) -> float:
    return sum(option.loss for option in _chosen(network, goal))


def _chosen(network: NetworkOptions, goal: Goal) -> list[Any]:
    try:
        return choose_options(network, goal)
    except OutOfReach:
        return choose_fastest(network) if goal != ANY_GAIN else network.dense


def _sparsities(network: NetworkOptions, goal: Goal) -> dict[str, str]:
    chosen = zip(network.layers, _chosen(network, goal), strict=True)
    return {layer.layer: str(option.sparsity) for layer, option in chosen if option.sparsity is not None}


class _PlanMaker:
    """Prunes the network under one plan after another, as the stage "prune" will, without training."""

    def __init__(self, job: Job) -> None:
        self.request, self.graph, self.inputs = job.request, job.graph, None
        if (request := self.request).data:
            self.inputs = calibration_inputs(request.served, request.data, request.photographs, request.seed)

    def prune(self, sparsities: Mapping[str, str]) -> Any:
        """A network with these zeros, in eval mode."""
        request = self.request
        network = create_model(request.model, request.weights, request.seed)
        wanted = {name: Sparsity.parse(text) for name, text in sparsities.items()}
        plan = Plan.of(self.graph.name, self.graph.layers, wanted)
        settings = PruneSettings(seed=request.seed, reconstruction=request.reconstruction)
        prune(network, self.graph, request.served, plan, settings, inputs=self.inputs)
        return network.eval()


def loss_facts(job: Job, plan: Plan, accuracy: Mapping[str, Any]) -> dict[str, Any]:
    """For the result: what the plan was predicted to lose, and what it lost in the same unit; None where not known."""
    losses, nothing = losses_for(job), {"predicted_loss": None, "measured_loss": None}
    if not isinstance(losses, MeasuredLosses):
        return nothing
    known = loss_map_for(job, losses)
    if known is None:
        return nothing
    divergence = losses.total(plan.sparsities)
    predicted = encode(known.predict(divergence))
    about = {"unit": known.unit, "divergence": divergence, "plans": len(known.points),
             "photographs": known.photographs,
             "before_training": job.request.training_minutes is not None}  # fmt: skip
    return {"predicted_loss": {**predicted, **about}, "measured_loss": _measured_loss(known.unit, accuracy)}


def _measured_loss(unit: str, accuracy: Mapping[str, Any]) -> float | None:
    if unit == AP:
        dense, sparse = accuracy["ap_dense"], accuracy["ap_sparse"]
        return None if dense is None or sparse is None else dense - sparse
    agreement = accuracy["agreement"].get("agreement")
    return None if agreement is None else 1 - agreement


def goal_in_divergence(goal: Goal, known: LossMap | None) -> Goal:
    """A goal of AP or agreement lost as one of divergence; others, and without a map, as they are."""
    if goal.max_loss is None or known is None:
        return goal
    return replace(goal, max_loss=known.divergence_of(goal.max_loss))
