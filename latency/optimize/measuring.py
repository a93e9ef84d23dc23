"""Stages that measure: tuning the network's dense kernels and families of sparse ones, collecting layers' times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.building.widened import PHOTOGRAPHS
from codegen.kernels.widening import widened_part
from codegen.precision.choice import Widening
from codegen.precision.measuring import measure_widening
from codegen.tuning.database import Tuned, read_rows, tuned_path, update
from codegen.tuning.tasks import Task, tasks_of
from codegen.tuning.tuner import TuneSettings
from codegen.tuning.tuner import tune as tune_tasks
from fleetpose.progress import Report
from latency.cost_model.fitting import LEAST_SAMPLES
from latency.optimize.job import RECORDS, TUNED, WIDENING, Job
from latency.profiling.around import sample_around
from latency.profiling.collector import Collector
from latency.profiling.collector import collect as collect_records
from latency.profiling.network_timing import network_variants
from latency.profiling.space import Group, default_sparsities, network_groups, with_plans
from latency.records.journal import Journal
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.calibration import calibration_inputs

#: times of layers that are collected whatever the budget: a little more than a predictor needs, since some are of
#: operations that it is not fitted to
ENOUGH_TIMES = 3 * LEAST_SAMPLES // 2
#: zeros that one variant of each family is tuned under; others take what is most similar
TUNED_ZEROS = 0.75


def looks_at_photographs(job: Job) -> bool:
    """Whether photographs say what is float32 in half precision; without them the length of sums does."""
    return job.request.dtype == "float16" and bool(job.request.data)


def widen(job: Job, report: Report) -> str:
    """What of the dense network's layers is float32, by photographs of --data; what is timed and built follows it."""
    request, graph = job.request, job.traced
    choice = Widening(graph.name, {})
    if looks_at_photographs(job):
        inputs = calibration_inputs(request.served, request.data, PHOTOGRAPHS, request.seed)
        choice = measure_widening(graph, inputs, seed=request.seed, report=report)
    choice.save(job.path(WIDENING), force=True)
    if request.dtype != "float16":
        return f"all in {request.dtype}"
    widened = [layer.name for layer in graph.layers if widened_part(choice.on(graph), layer, request.dtype)]
    by = f"{choice.photographs} photographs" if choice.photographs else "the length of sums"
    return f"float32 in {len(widened)} layers, by {by}"


def tune(job: Job, report: Report) -> str:
    """Extend a copy of the profile's tuned data by what of the network it lacks: dense kernels first, then sparse."""
    out, own = job.path(TUNED), tuned_path(job.profile.name)
    if not out.exists():
        update(out, read_rows(own) if own.exists() else [])
    if not job.request.tune:
        return f"{len(Tuned.load(out.absolute()).rows)} workloads known, none tuned anew"
    tasks = tasks_for(job)
    settings = TuneSettings(rounds=job.request.rounds, seed=job.request.seed, budget_secs=job.secs_left(),
                            cooling=job.request.cooling)  # fmt: skip
    tuning = tune_tasks(job.lease.session, tasks, out, settings, job.host, report)
    if tuning.stopped is not None:
        raise tuning.stopped
    known = len(tasks) - tuning.left
    return f"{known} of {len(tasks)} workloads tuned, the rest by the most similar" if tasks else "nothing to choose"


def tasks_for(job: Job) -> list[Task]:
    """The network's workloads: dense ones, those of the plan that is given, then one of each sparse family."""
    graphs, dense = [job.graph], tasks_of([job.graph], job.profile, dtype=job.request.dtype)
    if job.request.plan is not None:
        sparse: list[Sparsity] = list(dict.fromkeys(Plan.load(job.request.plan).sparsities.values()))
    else:
        sparse = _families(job)
    known = {task.key for task in dense}
    return dense + [task for task in tasks_of(graphs, job.profile, sparse, job.request.dtype) if task.key not in known]


def _families(job: Job) -> list[Sparsity]:
    """Every pattern and block that layers may have, once, with TUNED_ZEROS."""
    wanted: Sequence[Sparsity] = job.request.sparsities
    if not wanted:
        layers = [layer for layer in job.graph.layers if layer.op == "conv"]
        wanted = [sparsity for layer in layers for sparsity in default_sparsities(layer, job.profile)]
    return list(dict.fromkeys(replace(sparsity, zeros=TUNED_ZEROS) for sparsity in wanted))


def collect(job: Job, report: Report) -> str:
    """Bring the file of records up to the network, its layers under every sparsity, and layers around these."""
    session, request = job.lease.session, job.request
    groups = groups_of(job)
    plans = [Plan.load(request.plan)] if request.plan is not None else []
    networks = network_variants([job.graph], plans, [request.dtype])
    with Journal(job.path(RECORDS)) as journal:
        collector = Collector(journal, job.recipe(), job.settings, report, job.secs_left(), least=ENOUGH_TIMES)
        collection = collect_records(collector, session, groups, networks)
        if collection.stopped is not None:
            raise collection.stopped
        left = collector.count_left(groups, session)
        failed = sum(record.failure is not None for record in journal.records)
        count = len(journal.records)
    said = f"{count} records" + (f", {failed} of them failures" if failed else "")
    return said + (f"; the time was over with {left} variants left" if left else "")


def groups_of(job: Job) -> list[Group]:
    """What is to be timed: the network's layers, those of a given plan with its zeros first, then layers around."""
    request, dtypes = job.request, [job.request.dtype]
    own = network_groups([job.graph], job.profile, request.sparsities, dtypes)
    if request.plan is not None:
        own = with_plans(own, [job.graph], [Plan.load(request.plan)], job.profile, dtypes)
    return own + sample_around(own, request.around, job.profile, dtypes, request.seed)
