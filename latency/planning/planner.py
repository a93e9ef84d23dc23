"""Planner: the plan of a network from a predictor, a goal and what zeros cost; what predictions leave open is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

from devices.session import Session
from devices.timing.measure import device_of
from fleetpose.errors import first_line
from fleetpose.progress import Report, no_report
from latency.network_model.forecast import Forecaster
from latency.planning.assignment import OutOfReach
from latency.planning.choosing import ANY_GAIN, Goal, choose_fastest, choose_options
from latency.planning.explain_plan import make_plan
from latency.planning.gains import USUAL, Caution
from latency.planning.known_times import KnownTimes
from latency.planning.losses import LossModel
from latency.planning.measure_uncertain import describe_measured, measure_dense_network, measure_uncertain
from latency.planning.options import NetworkOptions, predict_options
from latency.planning.refine import Stand, refine_by_trials
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.prepare import Recipe
from latency.records.record import Record
from models.graph.network import Graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity


@dataclass(frozen=True)
class Measuring:
    """How what the predictor leaves open is timed before it is decided.

    Attributes:
        session: an open session of the predictor's device; see `latency.planning.measure_uncertain.check_device`.
        settings: of every run, and the processor that serves the device.
        budget_secs: no layer is begun later than this, and of planned networks only the first is timed; None: no end.
        records: of the device, such as those that the predictor was fitted to; what they tell is not timed again.
        strict: a goal out of reach is an error; else the fastest plan is taken, and its notes say so.
        recipe: of the device's kernels; networks that it has compiled are not compiled again. None: the forecaster's.
    """

    session: Session
    settings: RunSettings = field(default_factory=RunSettings)
    budget_secs: float | None = None
    records: Sequence[Record] = ()
    recipe: Recipe | None = None
    strict: bool = True


def decide(
    graph: Graph,
    forecaster: Forecaster,
    losses: LossModel,
    goal: Goal = ANY_GAIN,
    sparsities: Sequence[Sparsity] = (),
    caution: Caution = USUAL,
    measuring: Measuring | None = None,
    report: Report = no_report,
) -> Plan:
    """The plan of a network by a predictor's times, and by measured ones where those leave it open.

    Args:
        graph: the network.
        forecaster: a predictor of the device's kernels.
        losses: what zeros cost in accuracy.
        goal: what is to be reached.
        sparsities: that layers may have (default: a set of each layer's own).
        caution: how sure a gain has to be.
        measuring: how what is open is timed; None: it stays predicted.
        report: told what is being done.

    Raises:
        OutOfReach: a goal that cannot be reached, unless `measuring` says otherwise.
        DeviceUnreachable: the device is gone.
    """
    report("predicting")
    started = monotonic()
    network = predict_options(graph, forecaster, losses, sparsities, caution)
    notes: list[str] = []
    if measuring is not None:
        network, notes = _measure_options(network, forecaster, goal, measuring, report)

    def plan(network: NetworkOptions) -> Plan:
        report("choosing")
        missed = []
        try:
            chosen = choose_options(network, goal)
        except OutOfReach as error:
            if measuring is None or measuring.strict:
                raise
            chosen = choose_fastest(network)
            missed = [f"the fastest plan, since the goal is out of reach: {first_line(error)}"]
        return make_plan(
            network, chosen, goal, [losses.describe(sum(option.loss for option in chosen)), *missed, *notes]
        )

    if measuring is None or network.whole is None:
        return plan(network)
    recipe = _recipe_of(measuring, forecaster)
    stand = Stand(measuring.session, graph, recipe, measuring.settings, forecaster.dtype, report)
    budget = measuring.budget_secs
    return refine_by_trials(
        network, goal, plan, stand.time, lambda: budget is not None and monotonic() - started > budget
    )


def _measure_options(
    network: NetworkOptions, forecaster: Forecaster, goal: Goal, measuring: Measuring, report: Report
) -> tuple[NetworkOptions, list[str]]:
    """The network with what was open timed, and what the plan is to say of that."""
    session, settings = measuring.session, measuring.settings
    recipe = _recipe_of(measuring, forecaster)
    about = forecaster.predictor.metadata
    known = KnownTimes(measuring.records, about.get("clock", "auto"), about.get("reference_ms"))
    measured = measure_uncertain(network, session, recipe, settings, known, measuring.budget_secs, report)
    network = measured.network
    if session.runs_kernels and (goal.target_ms is not None or goal.speedup is not None):
        report("the whole network, dense")
        network = measure_dense_network(network, session, recipe, settings, forecaster.dtype, known)
    return network, describe_measured(measured, device_of(session))


def _recipe_of(measuring: Measuring, forecaster: Forecaster) -> Recipe:
    """How what is timed is compiled."""
    recipe = measuring.recipe or forecaster.recipe
    return replace(recipe, host=measuring.settings.host, runs_nothing=not measuring.session.runs_kernels)
