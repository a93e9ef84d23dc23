"""The stage that measures sensitivity: what zeros in each layer do to the outputs, as far as the decision hangs on it.

First every layer that may be pruned is measured under one sparsity, the finest at about two thirds of zeros; then those
variants on which the decision hangs (`latency.planning.doubtful_losses`), until it hangs on none or the time is over.
What is measured is kept in a journal whose name is of the network, its weights and the photographs, so that another
goal, or a call after an interruption, goes on from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from fleetpose.files import sha256, write_json
from fleetpose.progress import Report
from latency.cost_model.predictor import Predictor
from latency.network_model.forecast import Forecaster
from latency.optimize.frontier.speedups import speedups_of
from latency.optimize.job import PREDICTOR, RECORDS, SENSITIVITY, Job
from latency.optimize.state import digest_of, folder_digest
from latency.planning.choosing import Goal
from latency.planning.doubtful_losses import doubtful_points, priced
from latency.planning.known_times import KnownTimes
from latency.planning.losses import LossModel, coarseness, losses_of, read_losses
from latency.planning.measure_uncertain import with_recorded_times
from latency.planning.measured_losses import MeasuredLosses
from latency.planning.options import NetworkOptions, predict_options
from latency.records.read import read_records
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity
from models.prune.masks.families import family_text
from models.prune.reconstruction.calibration import calibration_inputs
from models.prune.response.curves import FORMAT, read_sensitivity
from models.prune.response.journal import ResponseJournal
from models.prune.response.points import PointMeter, Points
from models.prune.response.shipped import WORTH, shipped_inputs, shipped_photographs

#: photographs that responses are measured on; a quarter of them judges. Of large inputs fewer, for memory
PHOTOGRAPHS, LEAST_PHOTOGRAPHS, PIXELS = 32, 4, 16 * 512 * 512
#: zeros that every layer is measured under first, or the nearest there are
COARSE_ZEROS = 0.67
#: rounds of measuring what the decision hangs on
ROUNDS = 4
#: what a sensitivity is in
DIVERGENCE, HAND_RULE = "output divergence", "hand rule"


@dataclass(frozen=True, eq=False)
class Pictures:
    """What responses are measured on.

    Attributes:
        inputs: (N, C, H, W) float32.
        digest: of what they were made of.
        about: how many of what, in words.
        worth: what is to be said of them; "" of photographs that were given.
    """

    inputs: np.ndarray
    digest: str
    about: str
    worth: str = ""


def measure_sensitivity(job: Job, report: Report) -> str:
    """The file of what zeros cost: measured, as given, or empty where the rule is to decide."""
    request, path = job.request, job.path(SENSITIVITY)
    content: dict[str, Any] = {"format": FORMAT, "model": job.graph.name}
    if request.plan is not None:
        write_json(path, {**content, "measure": HAND_RULE}, force=True)
        return "not needed: the plan is given"
    if request.sensitivity_file is not None:
        write_json(path, read_sensitivity(request.sensitivity_file, job.graph.name), force=True)
        return f"as {request.sensitivity_file.name} says"
    why, pictures = why_by_rule(job), None
    if not why:
        pictures = pictures_of(job)
        why = "" if pictures is not None else "there are no photographs: give --data, or install scikit-image"
    if pictures is None:
        write_json(path, {**content, "measure": HAND_RULE}, force=True)
        return f"a hand rule decides, the last resort: {why}"
    if pictures.worth:
        report(pictures.worth)
    points, said = _measure(job, pictures, report)
    losses = MeasuredLosses(_convolutions(job), request.spec.blocks, points, f"on {pictures.about}")
    write_json(path, {**content, **_content(losses, pictures)}, force=True)
    return f"{said} on {pictures.about}" + (f"; {pictures.worth}" if pictures.worth else "")


def losses_for(job: Job) -> LossModel:
    """What the stage has left for the decision."""
    path, table = job.path(SENSITIVITY), job.request.spec.blocks
    content = read_sensitivity(path, job.graph.name)
    if content.get("measure") == HAND_RULE:
        return losses_of(job.graph, table, None)
    if "points" not in content:
        losses = read_losses(path, job.graph.name, _convolutions(job), table)
        given = job.request.sensitivity_file
        return losses if given is None else replace(losses, source=given.name)
    about = content.get("measured", {}).get("about", "photographs")
    return MeasuredLosses(_convolutions(job), table, _parsed(content["points"]), f"on {about}")


def why_by_rule(job: Job) -> str:
    """Why nothing is measured; "" where it is."""
    request = job.request
    if request.by_rule:
        return "as was asked"
    if request.weights is None and not request.spec.own_weights:
        return "the weights are random, and so is what they lose"
    if request.spec.channels != request.spec.preprocessing.count:
        return "the network's input is no photograph"
    return ""


def pictures_of(job: Job) -> Pictures | None:
    """Photographs of --data, else those that come with packages; None where there are none."""
    request = job.request
    spec, seed = request.served, request.seed
    height, width = request.input_size
    count = min(PHOTOGRAPHS, max(LEAST_PHOTOGRAPHS, PIXELS // (height * width)))
    if request.data:
        inputs = calibration_inputs(spec, request.data, count, seed)
        digest = digest_of({"folders": [folder_digest(folder) for folder in request.data]})
        return Pictures(inputs, digest, f"{len(inputs)} photographs")
    paths = shipped_photographs()
    if not paths:
        return None
    inputs = shipped_inputs(spec, request.input_size, count, seed)
    digest = digest_of({"shipped": [sha256(path) for path in paths]})
    return Pictures(inputs, digest, f"{len(inputs)} parts of {len(paths)} pictures", WORTH)


def _measure(job: Job, pictures: Pictures, report: Report) -> tuple[Points, str]:
    """All points that are known after it, and what was done in words."""
    request = job.request
    left = job.secs_left()
    report("what is to be decided" if left is None else f"what is to be decided; {left / 60:.3g} minutes at most")
    network = known_options(job)
    job.lease.give_back()  # what follows is torch on this machine
    identity = {"weights": job.weights_identity, "structure": job.graph.structure, "pictures": pictures.digest,
                "count": len(pictures.inputs), "size": list(request.input_size), "seed": request.seed}  # fmt: skip
    path = job.path(f"sensitivity-{digest_of(identity)[:12]}.journal")
    judges = max(1, len(pictures.inputs) // 4)
    fitted = pictures.inputs[judges:] if len(pictures.inputs) > 1 else pictures.inputs
    coarse = coarse_points(network)
    with ResponseJournal(path, identity) as journal:
        meter = PointMeter(job.graph, fitted, pictures.inputs[:judges], journal, job.deadline)
        before = sum(map(len, meter.points.values()))
        all_layers = meter.measure(coarse, report)
        settled = _refine(job, network, meter, report) if all_layers else False
        count = sum(map(len, meter.points.values()))
    layers = sum(name in meter.points for name in coarse)
    said = f"{layers} of {len(coarse)} layers measured, {count} points"
    said += f" ({before} known before)" if before else ""
    if not all_layers:
        return meter.points, f"{said}; the time was over, the others are taken to be like their blocks"
    return meter.points, said + ("; the decision hangs on no other" if settled else "; the time was over")


def _refine(job: Job, network: NetworkOptions, meter: PointMeter, report: Report) -> bool:
    """Measure what the decision hangs on; whether it hangs on nothing that was not measured."""
    request = job.request
    for _ in range(ROUNDS):
        losses = MeasuredLosses(_convolutions(job), request.spec.blocks, meter.points, "")
        wanted = doubtful_points(priced(network, losses.of), goals_of(job, network), losses, request.seed)
        if not wanted:
            return True
        if meter.over or not meter.measure(wanted, report):
            return False
    return True


def goals_of(job: Job, network: NetworkOptions) -> tuple[Goal, ...]:
    """The goals that plans are made for: one, or the speed-ups of a frontier."""
    if not job.request.frontier:
        return (job.request.goal,)
    return tuple(Goal(speedup=speedup) for speedup in speedups_of(network, job.request.frontier))


def coarse_points(network: NetworkOptions) -> dict[str, list[Sparsity]]:
    """One sparsity of each layer that may be pruned, of tied ones the first: the finest near COARSE_ZEROS."""
    later = {name for names in network.tied.values() for name in names[1:]}
    wanted = {}
    for options in network.layers:
        layer = network.graph.layer(options.layer)
        possible = [option.sparsity for option in (*options.variants, *options.others) if option.sparsity is not None]
        if possible and options.fixed is None and layer.name not in later:
            wanted[layer.name] = [min(possible, key=lambda sparsity: _coarse_order(layer, sparsity))]
    return wanted


def _coarse_order(layer: Layer, sparsity: Sparsity) -> tuple[float, float]:
    zeros = 1 - sparsity.kept_fraction(layer.weight_shape)
    return round(coarseness(sparsity, layer), 6), abs(zeros - COARSE_ZEROS)


def known_options(job: Job) -> NetworkOptions:
    """What may be chosen, with the times that are known so far."""
    predictor, recipe = Predictor.load(job.path(PREDICTOR)), job.recipe()
    nothing = MeasuredLosses(_convolutions(job), job.request.spec.blocks, {}, "")
    forecaster = Forecaster(predictor, job.profile, recipe.choose, job.request.dtype)
    network = predict_options(job.graph, forecaster, nothing, job.request.sparsities, job.request.caution)
    about = predictor.metadata
    known = KnownTimes(read_records(job.path(RECORDS)), about.get("clock", "auto"), about.get("reference_ms"))
    return with_recorded_times(network, known, recipe, job.lease.session)


def _convolutions(job: Job) -> list[Layer]:
    return [layer for layer in job.graph.layers if layer.op == "conv"]


def _content(losses: MeasuredLosses, pictures: Pictures) -> dict[str, Any]:
    """The file's content: what `models.allocate` reads of it, and every point."""
    families: dict[str, dict[str, dict[str, float]]] = {}
    for layer in losses.layers:
        for sparsity, loss in losses.points.get(layer.name, {}).items():
            if not math.isfinite(loss):
                raise UsageError(
                    f"zeros in {layer.name} make the outputs infinite; --sensitivity rule measures nothing"
                )
            curves = families.setdefault(family_text(sparsity), {})
            curves.setdefault(layer.name, {})[f"{sparsity.zeros:g}"] = loss
    most = sorted(families, key=lambda family: -len(families[family]))
    return {
        "measure": DIVERGENCE,
        "blocks": {},
        "layers": families[most[0]] if most else {},
        "divergence": {family: {"blocks": {}, "layers": families[family]} for family in most},
        "points": {name: {str(s): loss for s, loss in points.items()} for name, points in losses.points.items()},
        "measured": {"photographs": len(pictures.inputs), "about": pictures.about, "shipped": bool(pictures.worth)},
    }


def _parsed(points: dict[str, dict[str, float]]) -> Points:
    return {name: {Sparsity.parse(text): loss for text, loss in of.items()} for name, of in points.items()}
