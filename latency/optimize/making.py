"""Stages that make: weights with the plan's zeros, and the two artifacts, dense and planned."""

from __future__ import annotations

from codegen.building.build import build
from codegen.building.checking import can_check, check_network
from codegen.building.target import BuildTarget
from codegen.building.traced import TracedNetwork, trace_network, weights_facts
from codegen.building.widened import widen_by_photographs
from codegen.lowering.compile import CompiledNetwork
from codegen.tuning.database import Tuned
from devices.info import DeviceInfo
from fleetpose.codec import encode
from fleetpose.progress import Report
from latency.optimize.job import DENSE_SO, PLAN, PRUNED, SPARSE_SO, TUNED, WIDENING, Job
from latency.optimize.measuring import looks_at_photographs
from latency.profiling.network_timing import NetworkVariant, compile_variant
from models.prune.pruning import prune
from models.prune.reconstruction.calibration import calibration_inputs, learning_photographs
from models.prune.settings import PruneFiles, PruneSettings
from models.resolve import create_model
from models.train.data.photographs import read_photographs
from models.zoo.weights import save_weights


def prune_weights(job: Job, report: Report) -> str:
    """Weights with the plan's zeros: reconstructed on photographs and taught by them, or the smallest removed."""
    request, spec, plan, files = job.request, job.request.served, job.plan, PruneFiles.beside(job.path(PRUNED))
    job.lease.give_back()  # this may take hours, and needs no device
    network = create_model(request.model, request.weights, request.seed)
    if not plan.sparsities:
        save_weights(network, job.path(PRUNED), force=True)
        return "nothing is sparse: the weights stay as they are"
    inputs = calibration_inputs(spec, request.data, request.photographs, request.seed) if request.data else None
    learning, seed = request.learning, request.seed
    photographs = learning_photographs(request.data, request.photographs, seed) if request.data else []
    data = read_photographs(request.data, unlabelled=True) if learning.training is not None else None
    settings = PruneSettings(
        training=learning.training, seed=seed, reconstruction=request.reconstruction, recovery=learning.recovery
    )
    prune(
        network, job.graph, spec, plan, settings, inputs=inputs, photographs=photographs, data=data, files=files,
        report=report,
    )  # fmt: skip
    save_weights(network, job.path(PRUNED), force=True)
    files.remove()  # the folder is its own: what a pruning for another goal left there goes, too
    graph = job.graph
    left = graph.params - plan.removed_weights(graph.layers)
    how = "reconstructed on photographs" if request.data else "the smallest weights removed"
    learnt = f", then {learning.minutes:.3g} minutes of learning" if learning.minutes else ""
    return f"{graph.params / left:.2f}x fewer parameters, {how}{learnt}"


def build_artifacts(job: Job, report: Report) -> str:
    """The dense and the planned network for the device, by the tuned data of the folder."""
    return f"{build_dense(job, report)} and {build_planned(job, report)}"


def build_dense(job: Job, report: Report) -> str:
    """The dense network for the device."""
    request = job.request
    facts = weights_facts(request.spec, request.weights, request.seed)
    report("dense: compiling, unless a trial of the plan has done so")
    compiled = compile_variant(NetworkVariant(job.graph, dtype=request.dtype), job.recipe())
    network = TracedNetwork(request.spec, [job.graph], facts)
    if job.graph.widened is not None:
        network = network.with_widened(job.graph.widened, "photographs", job.path(WIDENING))
    return _build(job, DENSE_SO, network, report, compiled)


def build_planned(job: Job, report: Report) -> str:
    """The planned network for the device."""
    request = job.request
    pruned = trace_network(request.model, job.path(PRUNED), request.seed, [request.input_size])
    network = pruned.under(job.plan, file=job.path(PLAN))
    if looks_at_photographs(job):
        network = widen_by_photographs(network, request.data, seed=request.seed, report=report)
    return _build(job, SPARSE_SO, network, report)


def _build(job: Job, name: str, network: TracedNetwork, report: Report, compiled: CompiledNetwork | None = None) -> str:
    about = {name: job.device[name] for name in encode(DeviceInfo("")) if name in job.device}
    tuned = Tuned.load(job.path(TUNED).absolute())
    built = build(
        network,
        BuildTarget(job.profile, about, job.host, dtype=job.request.dtype),
        tuned,
        report=report,
        compiled=compiled,
    )
    session = job.lease.session
    if can_check(built, session):
        check_network(built, network, session, job.request.seed, lambda what, *_: report(f"{name}: {what}"))
    report(f"{name}: linking")
    built.write(job.path(name), force=True)
    return f"{job.file_name(name)} {job.path(name).stat().st_size / 1e6:.1f} MB"
