"""Stages that make: weights with the plan's zeros, and the two artifacts, dense and planned."""

from __future__ import annotations

from codegen.build import Destination, build
from devices.info import DeviceInfo
from latency.optimize.job import DENSE_SO, PLAN, PRUNED, SPARSE_SO, TUNED, Job, Report
from models.prune.pruning import LR, RECIPE, Pruning, prune
from models.train.settings import TrainSettings
from models.zoo.resolve import create_model
from models.zoo.weights import save_weights


def prune_weights(job: Job, report: Report) -> str:
    """Weights with the plan's zeros: reconstructed on photographs and then trained, or the smallest removed."""
    request, out = job.request, job.path(PRUNED)
    job.lease.give_back()  # this may take hours, and needs no device
    if not job.plan.sparsities:
        save_weights(create_model(request.model, request.weights, request.seed), out, force=True)
        return "nothing is sparse: the weights stay as they are"
    minutes = request.training_minutes if tuple(request.spec.outputs) == ("heatmaps", "pafs") else None
    wanted = Pruning(
        request.model,
        request.weights,
        job.path(PLAN),
        out,
        data=request.data,
        photographs=request.photographs,
        training=None if minutes is None else TrainSettings(minutes=minutes, recipe=RECIPE, lr=LR, seed=request.seed),
        seed=request.seed,
        force=True,
    )
    graph, plan = prune(wanted, report)
    left = graph.params - plan.removed_weights(graph.layers)
    how = "reconstructed on photographs" if request.data else "the smallest weights removed"
    trained = "" if minutes is None else f", trained for {minutes:.3g} minutes"
    return f"{graph.params / left:.2f}x fewer parameters, {how}{trained}"


def build_artifacts(job: Job, report: Report) -> str:
    """The dense and the planned network for the device, by the tuned data of the folder."""
    request, about = job.request, {name: job.device[name] for name in DeviceInfo("").to_dict()}
    destination = Destination(job.profile, about, job.host)
    for name, weights, plan in ((DENSE_SO, request.weights, None), (SPARSE_SO, job.path(PRUNED), job.path(PLAN))):
        build(
            request.model,
            job.path(name),
            destination,
            weights=weights,
            sizes=[request.input_size],
            seed=request.seed,
            force=True,
            tuned=str(job.path(TUNED)),
            plan=plan,
            progress=lambda message, name=name: report(f"{name}: {message}", 0, 0),  # type: ignore[misc]
        )
    return " and ".join(f"{name} {job.path(name).stat().st_size / 1e6:.1f} MB" for name in (DENSE_SO, SPARSE_SO))
