"""Stages that model: a predictor of the device from the records, and the plan that the goal makes of it."""

from __future__ import annotations

from dataclasses import replace

from fleetpose.errors import UsageError
from fleetpose.files import write_json
from fleetpose.progress import Report
from latency.cost_model.fitting import FitOptions
from latency.cost_model.model import measured_ms
from latency.cost_model.predictor import Predictor
from latency.dataset.read import Dataset
from latency.network_model.calibrated_fit import fit_dataset
from latency.network_model.forecast import Forecaster
from latency.optimize.job import FITTED, PLAN, PREDICTOR, RECORDS, Job
from latency.optimize.loss_calibration import goal_in_divergence, loss_map_for
from latency.optimize.sensing import losses_for
from latency.planning.measure_uncertain import check_device
from latency.planning.measured_losses import MeasuredLosses
from latency.planning.planner import Measuring, decide
from latency.records.read import read_records
from models.plans.plan import Plan


def fit_model(job: Job, report: Report) -> str:
    """Fit a predictor to the records of this device; its held-out predictions are kept for the report."""
    report("trying settings on held-out shapes")
    where = [f"profile={job.device['profile']}", f"device={job.device['name']}"]
    try:
        dataset = Dataset.read([job.path(RECORDS)], where)
        result = fit_dataset(dataset, FitOptions(seed=job.request.seed), graphs=[job.graph], profile=job.profile)
    except UsageError as error:
        raise UsageError(f"{error}\ntime more layers: --budget-minutes, --around") from error
    result.fitted.predictor.save(job.path(PREDICTOR), force=True)
    validation = result.fitted.best
    pairs = [
        {"predicted_ms": float(predicted), "measured_ms": float(real)}
        for predicted, real in zip(validation.predicted, measured_ms(validation.samples), strict=True)
    ]
    metrics = result.fitted.predictor.metadata["metrics"]
    values = {"metrics": metrics, "split": validation.split, "pairs": pairs, "networks": len(result.networks)}
    write_json(job.path(FITTED), values, force=True)
    return f"{metrics['mape']:.1%} mean error on held-out {validation.split}, {len(pairs)} samples"


def decide_plan(job: Job, report: Report) -> str:
    """The plan: the one that was given, or what the goal makes of predictions, those left open measured first."""
    request = job.request
    if request.plan is not None:
        plan = Plan.load(request.plan)
        plan.check(job.graph.layers)
        plan.save(job.path(PLAN), force=True)
        return f"as given: {_count_text(plan)}"
    predictor, session = Predictor.load(job.path(PREDICTOR)), job.lease.session
    check_device(predictor, session)
    forecaster = forecaster_of(job, predictor)
    records = read_records(job.path(RECORDS))
    losses, goal = losses_for(job), request.goal
    if isinstance(losses, MeasuredLosses):
        known = loss_map_for(job, losses)
        losses, goal = replace(losses, map=known), goal_in_divergence(goal, known)
    measuring = Measuring(session, job.settings, job.secs_left(), records, job.recipe(), strict=False)
    plan = decide(
        job.graph, forecaster, losses, goal, request.sparsities, request.caution,
        measuring=measuring, report=report,
    )  # fmt: skip
    if goal != request.goal and plan.network is not None and isinstance(losses, MeasuredLosses) and losses.map:
        said = f"{request.goal.max_loss:g} {losses.map.unit} lost is a divergence of {goal.max_loss:.3g} here"
        plan = replace(plan, network=replace(plan.network, notes=(said, *plan.network.notes)))
    plan.save(job.path(PLAN), force=True)
    return f"{_count_text(plan)}, {plan.network}"


def forecaster_of(job: Job, predictor: Predictor) -> Forecaster:
    """A forecaster that knows schedules from the folder's tuned data."""
    return Forecaster(predictor, job.profile, job.recipe().choose, job.request.dtype)


def _count_text(plan: Plan) -> str:
    return f"{len(plan.sparsities)} of {len(plan.choices)} convolutions sparse"
