"""Stages that check: both artifacts against torch, people on a photograph, and their times against each other."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codegen.artifact.breakdown import break_down
from codegen.artifact.kernel_log import keeps_kernel_log
from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import check_pose, find_people, prepare
from codegen.artifact.reading import read_manifest
from codegen.verifying.verify import verify
from devices.timers import TimedCall
from devices.timing.interleaved import Interleaved, measure_reloaded
from devices.timing.measure import measure
from devices.timing.measurement import Measurement
from devices.timing.sustained import sustain, sustained_text
from fleetpose.errors import FleetposeError, UsageError
from fleetpose.files import read_json, write_json
from fleetpose.progress import Report
from latency.optimize.job import (
    COMPARED,
    DENSE_SO,
    PEOPLE,
    PRUNED,
    RUN,
    SPARSE_SO,
    VERIFIED,
    Job,
)
from latency.profiling.network_timing import EXTEND, LOADS, SAMPLES_PER_ROUND
from latency.profiling.outcomes import conditions_of_run
from latency.profiling.reference_kernel import REFERENCE_NAME, ReferenceKernel
from latency.profiling.settling import Condition
from models.pose.decoding.decoders import NO_DECODER
from models.pose.drawing.draw import draw_people, write_picture
from models.preprocess import read_image

#: inferences that are looked into for each round of a layer's run: of few, one slow one makes the parts miss the whole
BREAKDOWN_ROUNDS = 2
#: which artifact is which
ARTIFACTS = {"dense": DENSE_SO, "sparse": SPARSE_SO}


def verify_artifacts(job: Job, report: Report) -> str:
    """Both artifacts against float64 PyTorch, each with the weights it was built from."""
    return _keep_verdicts(job, {name: _verify(job, name, report) for name in ARTIFACTS})


def verify_dense(job: Job, report: Report) -> str:
    """The dense artifact alone, whose verdict the points of a frontier share."""
    return _keep_verdicts(job, {"dense": _verify(job, "dense", report)})


def verify_planned(job: Job, report: Report) -> str:
    """The planned artifact of a point of a frontier, beside the verdict of the dense one."""
    assert job.shared is not None
    dense = read_json(job.shared / VERIFIED, "verification")["dense"]
    return _keep_verdicts(job, {"dense": dense, "sparse": _verify(job, "sparse", report)})


def _verify(job: Job, name: str, report: Report) -> dict[str, Any]:
    weights = job.request.weights if name == "dense" else job.path(PRUNED)
    return verify(job.artifact(ARTIFACTS[name]), weights, seed=job.request.seed, report=report)


def _keep_verdicts(job: Job, verdicts: dict[str, Any]) -> str:
    worst = {name: verdict["max_relative_error"] for name, verdict in verdicts.items()}
    verdicts["ok"] = all(verdict["ok"] for verdict in verdicts.values())
    write_json(job.path(VERIFIED), verdicts, force=True)
    text = ", ".join(f"{name} {'not finite' if error is None else f'{error:.1e}'}" for name, error in worst.items())
    return ("" if verdicts["ok"] else "FAILED: ") + f"largest relative error against float64 torch: {text}"


def run_photograph(job: Job, report: Report) -> str:
    """People on a photograph, drawn, by the planned network."""
    image_path = photograph(job)
    people, said = None, why_no_people(job, image_path)
    if not said:
        assert image_path is not None
        report(image_path.name)
        image = read_image(image_path)
        skeletons = find_people(job.artifact(SPARSE_SO), image, decodes=1).people
        write_picture(job.path(PEOPLE), draw_people(image, skeletons), force=True)
        count = len(skeletons)
        people = {"image": PEOPLE, "count": count}
        said = f"{count} {'person' if count == 1 else 'people'} on {image_path.name}: {job.path(PEOPLE)}"
    write_json(job.path(RUN), {"people": people}, force=True)
    return said


def photograph(job: Job) -> Path | None:
    """The photograph that was given, or the one that comes with scikit-image (NASA's, public domain), if it is here."""
    if job.request.image is not None:
        return job.request.image
    module = importlib.util.find_spec("skimage")
    path = Path(module.origin).parent / "data" / "astronaut.png" if module and module.origin else None
    return path if path is not None and path.is_file() else None


def why_no_people(job: Job, image: Path | None) -> str:
    """Why nobody is looked for; "" where somebody is."""
    try:
        check_pose(read_manifest(job.path(SPARSE_SO)))
    except UsageError:
        return f"no people: {NO_DECODER}"
    return "" if image is not None else "no people: there is no photograph; give --image"


def example(job: Job, artifact: Artifact) -> np.ndarray:
    """An input, (1, C, H, W) float32: the photograph where there is one, random where not."""
    image = photograph(job)
    if image is not None and artifact.manifest.preprocessing:
        return prepare(artifact.manifest, read_image(image))[0]
    shape = artifact.manifest.entries[0].input.shape
    return np.random.default_rng(job.request.seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def compare(job: Job, report: Report) -> str:
    """The two networks and the reference kernel timed in turn on the device, by wall clock."""
    report("dense and sparse in turn")
    artifacts = {name: job.artifact(file) for name, file in ARTIFACTS.items()}
    tensor = example(job, artifacts["dense"])
    facts = comparison_facts(*time_in_turn(job, artifacts, tensor, report), "sparse")
    if job.request.sustained is not None:
        facts["sustained"] = _sustained(job, artifacts, tensor, report)
    report("where the time goes")
    facts.update(breakdowns(job, artifacts, tensor, {name: facts[name]["ms"] for name in ARTIFACTS}))
    job.unload()
    write_json(job.path(COMPARED), facts, force=True)
    said = comparison_text(facts)
    return f"{said}; {sustained_text(facts['sustained'])}" if "sustained" in facts else said


def _sustained(job: Job, artifacts: Mapping[str, Artifact], tensor: np.ndarray, report: Report) -> dict[str, Any]:
    """Both networks in turn for the minutes that --sustained asks for."""
    assert job.request.sustained is not None
    loaded = {name: artifact.reload().call_arguments(tensor) for name, artifact in artifacts.items()}
    calls = {name: TimedCall(call["function"], (), call["entry"]) for name, call in loaded.items()}
    return sustain(job.lease.session, calls, job.request.sustained, report, job.request.cooling)


def comparison_facts(result: Interleaved, condition: Condition, planned: str) -> dict[str, Any]:
    """What compare.json says of times: the dense network's, a planned one's, and how many times as fast that is.

    Args:
        result, condition: of `time_in_turn`. planned: the planned network's name there.
    """
    ratio, dense = result.ratios[planned], _times(result.measurements["dense"])
    speedup = {"median": ratio.median, "low": ratio.low, "high": ratio.high, "rounds": list(ratio.rounds)}
    return {
        "dense": dense, "sparse": _times(result.measurements[planned]), "speedup": speedup,
        "conditions": conditions_of_run(result.measurements["dense"], condition),
        "reference_ms": dense["ms"] / result.ratios[REFERENCE_NAME].median,
    }  # fmt: skip


def comparison_text(facts: Mapping[str, Any]) -> str:
    """The same in words."""
    dense, sparse = (facts[name]["ms"] for name in ARTIFACTS)
    return f"dense {dense:.4g} ms, sparse {sparse:.4g} ms: {facts['speedup']['median']:.2f} times as fast"


def time_in_turn(
    job: Job, artifacts: Mapping[str, Artifact], tensor: np.ndarray, report: Report
) -> tuple[Interleaved, Condition]:
    """Artifacts on `tensor`, "dense" first, and the reference kernel, whose samples are as long as the dense one's.

    Returns:
        The times, and the device's state during them.
    """
    session, settings, rounds = job.lease.session, job.settings, SAMPLES_PER_ROUND * job.request.rounds
    reference = ReferenceKernel(session, settings.patience, report, host=job.host)
    reference.settling.settle()

    def load() -> dict[str, TimedCall]:
        calls = {name: artifact.reload().call_arguments(tensor) for name, artifact in artifacts.items()}
        return {name: TimedCall(call["function"], (), call["entry"]) for name, call in calls.items()}

    secs = measure(session, **artifacts["dense"].call_arguments(tensor), warmup=1, repeats=SAMPLES_PER_ROUND,
                   timeout_secs=settings.network_timeout_secs)  # fmt: skip
    result = measure_reloaded(
        session, lambda: {**load(), REFERENCE_NAME: reference.call()}, LOADS, rounds, clock="wall",
        min_repeat_secs=min(secs.wall_secs, default=settings.sample_secs),
        timeout_secs=settings.network_timeout_secs, seed=settings.seed,
        most_rounds=EXTEND * rounds, precision=settings.patience.precision,
    )  # fmt: skip
    for name, measurement in result.measurements.items():
        if not measurement.ok:
            raise FleetposeError(f"timing {ARTIFACTS.get(name, name)} failed: {measurement.error}")
    return result, reference.settling.condition(result.measurements[REFERENCE_NAME])


def breakdowns(
    job: Job, artifacts: Mapping[str, Artifact], tensor: np.ndarray, wall_ms: Mapping[str, float]
) -> dict[str, Any]:
    """Where the time of both goes, in one interleaved run: layers' kernels, and the parts of the wall times given.

    Both are empty where the device's server keeps no log of kernels.
    """
    if not keeps_kernel_log(job.lease.session):
        return {"kernels": {name: [] for name in artifacts}, "breakdown": {}}
    parts = break_down(artifacts, tensor, BREAKDOWN_ROUNDS * job.request.rounds)
    kernels = {
        name: [
            {"name": layer.code.layer, "schedule": layer.code.schedule, "ms": 1e3 * layer.secs}
            for layer in part.layers(1e-3 * wall_ms[name])
        ]
        for name, part in parts.items()
    }
    shares = {
        name: {"kernels_ms": part.kernel_share, "gaps_ms": part.gap_share, "outside_ms": part.outside_share}
        for name, part in parts.items()
    }
    breakdown = {name: {key: share * wall_ms[name] for key, share in part.items()} for name, part in shares.items()}
    return {"kernels": kernels, "breakdown": breakdown}


def _times(measurement: Measurement) -> dict[str, Any]:
    """Milliseconds of an inference: the median, and the quartiles."""
    samples = 1e3 * np.array(measurement.wall_secs)
    low, middle, high = np.quantile(samples, [0.25, 0.5, 0.75])
    return {"ms": float(middle), "iqr_ms": [float(low), float(high)], "samples": len(samples)}
