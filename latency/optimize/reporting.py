"""The last stage: everything that is known of an optimization as one JSON object, `result.json`, and its report."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from devices.timing.measurement import versions
from fleetpose.files import read_json, write_json
from fleetpose.progress import Report
from latency.cost_model.predictor import Predictor
from latency.network_model.forecast import Forecaster
from latency.optimize.job import (
    ACCURACY,
    COMPARED,
    DENSE_SO,
    FITTED,
    PLAN,
    PREDICTOR,
    PRUNED,
    RESULT,
    RUN,
    SENSITIVITY,
    SPARSE_SO,
    VERIFIED,
    Job,
)
from latency.optimize.layers import Layers
from latency.optimize.loss_calibration import loss_facts
from latency.optimize.modelling import forecaster_of
from latency.planning.choosing import Goal
from latency.report.result import FORMAT
from models.plans.plan import Plan
from models.plans.time_estimate import TimeEstimate


def write_result(job: Job, report: Report) -> str:
    """Gather the result, write it, and turn it into the report for people."""
    report("gathering the result")
    result = gather_result(job)
    write_json(job.path(RESULT), result, force=True)
    from latency.report import write_report

    write_report(result, job.request.folder)
    return f"{job.path(RESULT)} and the report beside it"


def gather_result(job: Job) -> dict[str, Any]:
    """The JSON object of the format FORMAT."""
    request, plan = job.request, job.plan
    forecaster = forecaster_of(job, Predictor.load(job.path(PREDICTOR)))
    layers = Layers(job, forecaster, plan)
    fitted, ran, timed = (read_json(job.path(name)) for name in (FITTED, RUN, COMPARED))
    sensitivity = read_json(job.path(SENSITIVITY), "sensitivity")
    return {
        "format": FORMAT,
        "model": request.model,
        "weights": None if request.weights is None else str(request.weights),
        "own_weights": request.weights is None and request.spec.own_weights,
        "size": list(request.input_size),
        "dtype": request.dtype,
        "device": device_facts(job),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "goal": goal_facts(request.goal),
        "headline": headline(job, plan, forecaster),
        "layers": layers.rows(),
        "curves": layers.curves(),
        "sensitivity": sensitivity,
        "kernels": timed["kernels"],
        "breakdown": timed["breakdown"],
        "predictor": {"metrics": fitted["metrics"], "split": fitted["split"], "pairs": fitted["pairs"]},
        "people": ran["people"],
        "verify": read_json(job.path(VERIFIED)),
        "commands": commands(job),
        "environment": environment(job),
        "stages": [{"name": name, "secs": secs, "said": said} for name, said, secs in job.stages],
    }


def headline(job: Job, plan: Plan, forecaster: Forecaster) -> dict[str, Any]:
    """Dense against planned: measured, predicted, accuracy, size.

    Predicted times are at the pace of the measured ones, that of the reference kernel beside them: its time there over
    its usual one is "pace".
    """
    timed, accuracy, graph = read_json(job.path(COMPARED)), read_json(job.path(ACCURACY)), job.graph
    totals = predict_totals(job, plan, forecaster)
    predicted = totals[1].speedup_over(totals[0])
    usual_ms = forecaster.predictor.metadata.get("reference_ms")
    pace = timed["reference_ms"] / usual_ms if usual_ms else 1.0
    return {
        "dense_ms": timed["dense"]["ms"],
        "dense_iqr_ms": timed["dense"]["iqr_ms"],
        "sparse_ms": timed["sparse"]["ms"],
        "sparse_iqr_ms": timed["sparse"]["iqr_ms"],
        "speedup": timed["speedup"]["median"],
        "speedup_interval": [timed["speedup"]["low"], timed["speedup"]["high"]],
        "pace": pace,
        "predicted_dense_ms": pace * totals[0].ms,
        "predicted_sparse_ms": pace * totals[1].ms,
        "predicted_speedup": predicted.times,
        "predicted_interval": predicted.interval,
        **{name: accuracy[name] for name in ("ap_dense", "ap_sparse", "ap_change_interval", "agreement")},
        **loss_facts(job, plan, accuracy),
        "params_dense": graph.params,
        "params_kept": graph.params - plan.removed_weights(graph.layers),
        "macs_dense": graph.macs,
        "macs_kept": graph.macs - plan.removed_macs(graph.layers),
        "sparse_layers": len(plan.sparsities),
        "convolutions": len(plan.choices),
        "conditions": timed["conditions"],
        "sustained": timed.get("sustained"),
    }


def predict_totals(job: Job, plan: Plan, forecaster: Forecaster) -> Sequence[TimeEstimate]:
    """The dense and the planned network's time as known before the plan was measured, of a plan decided here.

    Of a plan that was given, as predicted.
    """
    outlook = plan.network
    if outlook is None or job.request.plan is not None:
        return [forecaster.total(forecaster.network(job.graph, zeros)) for zeros in ({}, plan.sparsities)]
    return outlook.dense, outlook.predicted or outlook.planned


def device_facts(job: Job) -> dict[str, Any]:
    """What the result says of the device."""
    device, spec = job.device, job.lease.session.spec
    driver = device.get("driver") or None
    return {
        "name": device.get("name", ""), "profile": device["profile"], "driver": driver, "host": spec == "host",
        "spec": spec, "platform": device.get("platform_version") or device.get("platform") or None,
    }  # fmt: skip


def goal_facts(goal: Goal) -> dict[str, Any] | None:
    """The goal by its kind; None where every layer was decided for itself."""
    set_ = [{"kind": kind, "value": value} for kind, value in vars(goal).items() if value is not None]
    return set_[0] if set_ else None


def environment(job: Job) -> dict[str, str]:
    """What measured and built."""
    named = versions()
    opencl = job.device.get("platform_version") or job.device.get("platform") or ""
    packages = {"tvm": "apache-tvm", "torch": "torch", "fleetpose": "fleetpose"}
    installed = {name: importlib.metadata.version(package) for name, package in packages.items()}
    return {**named, "python": platform.python_version(), **installed, "opencl": str(opencl), "cpu": _cpu()}


def _cpu() -> str:
    """This machine's processor as it calls itself, as far as it does."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def commands(job: Job) -> list[str]:
    """What to type to use, check or repeat what was made."""
    request, device = job.request, f"--device {shlex.quote(job.lease.session.spec)}"
    artifact, pruned, plan, dense = (shlex.quote(str(job.path(name))) for name in (SPARSE_SO, PRUNED, PLAN, DENSE_SO))
    height, width = request.input_size
    return [
        f"python -m codegen.run --artifact {artifact} {device} --image photo.jpg -o people.png --layers",
        f"python -m codegen.verify --artifact {artifact} {device} --weights {pruned}",
        f"python -m codegen.build --model {shlex.quote(request.model)} --weights {pruned} --plan {plan} {device} "
        f"--target-host {job.host} --size {height}x{width} -o other{job.path(SPARSE_SO).suffix}",
        f"python -m codegen.run --artifact {dense} {device} --image photo.jpg --no-people --layers",
    ]  # fmt: skip
