"""The stage that judges what was lost: agreement of the planned network with the dense one, and AP with --val."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetpose.files import write_json
from fleetpose.progress import Report
from latency.optimize.checking import photograph
from latency.optimize.job import ACCURACY, PRUNED, Job
from models.accuracy.agreement import agreement_facts
from models.accuracy.bootstrap import bootstrap_ap
from models.accuracy.grade import PHOTOGRAPHS, agreement_text
from models.accuracy.oks import Evaluation
from models.accuracy.protocol import evaluate_network
from models.prune.reconstruction.calibration import judging_photographs, learning_photographs
from models.resolve import create_model

if TYPE_CHECKING:
    from torch import nn


def judge_accuracy(job: Job, report: Report) -> str:
    """Agreement of the two networks, and AP of both with the paired interval of its change; all in torch."""
    job.lease.give_back()
    request = job.request
    networks = {
        name: create_model(request.model, weights, request.seed)
        for name, weights in (("dense", request.weights), ("sparse", job.path(PRUNED)))
    }
    photographs, held_out = judged_photographs(job)
    agreement = agreement_facts(
        networks["dense"], networks["sparse"], request.spec, photographs, request.seed, report
    ) | {"held_out": held_out}
    aps = {"ap_dense": None, "ap_sparse": None, "ap_change_interval": None, "images": 0}
    said = "AP not judged: no --val"
    if request.val is not None:
        aps, said = _judge_ap(job, networks, request.val, report)
    write_json(job.path(ACCURACY), {**aps, "agreement": agreement}, force=True)
    return f"{agreement_text(agreement)}; {said}"


def judged_photographs(job: Job) -> tuple[list[Path], bool]:
    """Photographs that agreement is measured on, and whether the planned network has seen none of them.

    Those of --val; else of --data, left by reconstruction and recovery where enough are, and --image; else the
    photograph that the stage "run" takes.
    """
    request = job.request
    if request.val is not None:
        return judging_photographs([request.val], 0, PHOTOGRAPHS, request.seed)[0], True
    if not request.data:
        image = photograph(job)
        return [] if image is None else [image], True
    learning = request.learning
    used: int | None = request.photographs
    if learning.training is not None:
        used = None
    elif learning.recovery is not None:
        used = len(learning_photographs(request.data, request.photographs, request.seed))
    photographs, held_out = judging_photographs(request.data, used, PHOTOGRAPHS, request.seed)
    return photographs + ([request.image] if request.image is not None else []), held_out


def _judge_ap(job: Job, networks: dict[str, nn.Module], val: Path, report: Report) -> tuple[dict[str, Any], str]:
    """AP of both networks by Lightweight OpenPose's protocol, for the file and in words."""
    evaluations: dict[str, Evaluation] = {}
    for number, (name, network) in enumerate(networks.items()):

        def step(done: int, total: int, name: str = name, number: int = number) -> None:
            report(f"{name}, photograph {done} of {total}", number * total + done, 2 * total)

        known = job.dense_evaluations.get(val) if name == "dense" else None
        evaluations[name] = known or evaluate_network(network, job.request.spec, val, step)
    job.dense_evaluations[val] = evaluations["dense"]
    dense, sparse = evaluations["dense"], evaluations["sparse"]
    counted = any(image.truths for image in sparse.per_image)
    interval = list(bootstrap_ap(sparse, dense, seed=job.request.seed)) if counted else None
    values = {"ap_dense": dense.ap, "ap_sparse": sparse.ap, "ap_change_interval": interval, "images": sparse.images}
    if dense.ap is None or sparse.ap is None:
        return values, f"nobody is annotated in {val}"
    change = f"{sparse.ap - dense.ap:+.3f}"
    return values, f"AP {dense.ap:.3f} dense, {sparse.ap:.3f} sparse ({change}), {sparse.images} photographs"
