"""Stages that make: weights with the plan's zeros, and the two artifacts, dense and planned."""

from __future__ import annotations

from codegen.build import Destination, build
from devices.info import DeviceInfo
from latency.optimize.job import DENSE_SO, PLAN, PRUNED, SPARSE_SO, TUNED, Job, Report
from models.frontend.trace import trace
from models.prune.pruning import prune
from models.prune.reconstruction.calibration import calibration_inputs
from models.prune.settings import LR, RECIPE, PruneFiles, PruneSettings
from models.train.data.photographs import read_photographs
from models.train.settings import TrainSettings
from models.zoo.resolve import create_model
from models.zoo.weights import save_weights


def prune_weights(job: Job, report: Report) -> str:
    """Weights with the plan's zeros: reconstructed on photographs and then trained, or the smallest removed."""
    request, spec, plan, files = job.request, job.request.spec, job.plan, PruneFiles.beside(job.path(PRUNED))
    job.lease.give_back()  # this may take hours, and needs no device
    network = create_model(request.model, request.weights, request.seed)
    if not plan.sparsities:
        save_weights(network, job.path(PRUNED), force=True)
        return "nothing is sparse: the weights stay as they are"
    graph = job.graph if request.input_size == spec.size else trace(network, (3, *spec.size), request.model)
    inputs = calibration_inputs(spec, request.data, request.photographs, request.seed) if request.data else None
    minutes = request.training_minutes if tuple(spec.outputs) == ("heatmaps", "pafs") else None
    training = None if minutes is None else TrainSettings(minutes=minutes, recipe=RECIPE, lr=LR, seed=request.seed)
    data = read_photographs(request.data, unlabelled=True) if training is not None else None
    settings = PruneSettings(training=training, seed=request.seed)
    prune(network, graph, spec, plan, settings, inputs=inputs, data=data, files=files, report=report)
    save_weights(network, job.path(PRUNED), force=True)
    files.remove()
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
