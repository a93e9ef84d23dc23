"""Compare an artifact with its network in float64 PyTorch, in errors of outputs and in people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import check_pose, decode_maps, prepare
from codegen.verifying.comparison import Comparison
from codegen.verifying.keypoints import KeypointShifts
from codegen.verifying.reference import Reference
from codegen.verifying.verdict import Allowed
from fleetpose.codec import encode
from fleetpose.progress import Report, no_report
from models.accuracy.oks import evaluate_keypoints
from models.accuracy.protocol import evaluate_network
from models.annotations.reading import ANNOTATIONS
from models.pose.person import Person


def verify_random(artifact: Artifact, reference: Reference, seed: int, report: Report) -> Comparison:
    """One random input for every size the artifact was built for."""
    comparison, random = Comparison(), np.random.default_rng(seed)
    for done, entry in enumerate(artifact.manifest.entries):
        report(f"input {entry.size[0]}x{entry.size[1]}", done, len(artifact.manifest.entries))
        tensor = random.uniform(-0.5, 0.5, entry.input.shape).astype(np.float32)
        comparison.add(artifact.run(tensor), reference.run(tensor), entry.size)
    return comparison


def verify_photographs(
    artifact: Artifact, reference: Reference, data: Path, report: Report
) -> tuple[Comparison, dict[str, float | None]]:
    """Errors, OKS AP and shifts of keypoints over a COCO folder (person_keypoints.json, images/).

    Returns:
        The comparison, and average precision of the artifact ("ap_artifact"), of the reference on the same inputs
        ("ap_reference"), and of the network in float32 on LWOP's own protocol ("ap_free_width": height 368, the
        photograph's own width); then what `KeypointShifts.to_dict` says of the people of the first two.

    Raises:
        UsageError: annotations or photographs are missing, or the network is not one that gives people.
    """
    check_pose(artifact.manifest)
    comparison, shifts = Comparison(), KeypointShifts()
    expected: list[list[Person]] = []
    annotations, images = data / ANNOTATIONS, data / "images"

    def ours(image: np.ndarray) -> list[Person]:
        tensor, placement = prepare(artifact.manifest, image)
        maps, truth = artifact.run(tensor), reference.run(tensor)
        comparison.add(maps, truth, placement.input_size)
        expected.append(decode_maps(artifact.manifest, truth, placement))
        people = [] if comparison.not_finite else decode_maps(artifact.manifest, maps, placement)
        shifts.add(people, expected[-1])
        return people

    def step(name: str) -> Callable[[int, int], None]:
        return lambda done, total: report(name, done, total)

    accuracy = evaluate_keypoints(annotations, images, ours, step("artifact and float64 reference"))
    replay = iter(expected)
    same = evaluate_keypoints(annotations, images, lambda _: next(replay))
    free = evaluate_network(reference.network.float(), reference.spec, data, step("free width"))
    aps = {"ap_artifact": accuracy.ap, "ap_reference": same.ap, "ap_free_width": free.ap}
    return comparison, {**aps, **shifts.to_dict()}


def verify(
    artifact: Artifact,
    weights: Path | None,
    data: Path | None = None,
    seed: int = 0,
    max_error: float | None = None,
    max_ap_loss: float | None = None,
    report: Report = no_report,
) -> dict[str, Any]:
    """Compare an artifact with float64 PyTorch; the JSON object the command prints, its verdict under "ok".

    Args:
        artifact: loaded on a device.
        weights: the file it was built from, None if built from random weights.
        data: COCO folder; None: random inputs and no AP.
        seed: of the random inputs.
        max_error: difference allowed in any output, over the output's largest magnitude; None: by the artifact's type
            (`codegen.verifying.verdict`).
        max_ap_loss: difference allowed between the two APs on the same inputs; None likewise.
        report: told what is being done.

    Raises:
        UsageError: weights that are not the artifact's; annotations or photographs that are missing; photographs for a
            network that gives no people.
    """
    reference = Reference(artifact.manifest, weights)
    people: dict[str, float | None] = {}
    if data is None:
        comparison = verify_random(artifact, reference, seed, report)
    else:
        comparison, people = verify_photographs(artifact, reference, data, report)
    relative, mean = comparison.relative(), comparison.mean_relative()
    result = {
        "max_relative_error": max(relative.values(), default=None),
        "mean_relative_error": max(mean.values(), default=None),
        "max_abs_error": max(comparison.max_abs.values(), default=None),
        "not_finite": sorted(comparison.not_finite),
        **{f"max_abs_error_{name}": value for name, value in comparison.max_abs.items()},
        **{f"max_relative_error_{name}": value for name, value in relative.items()},
        **{f"mean_relative_error_{name}": value for name, value in mean.items()},
        **people,
        "inputs": sum(comparison.sizes.values()),
        "input_sizes": dict(sorted(comparison.sizes.items())),
        "device": encode(artifact.session.info),
        "model": artifact.manifest.model,
        "dtype": artifact.manifest.dtype,
    }
    allowed = Allowed.of(artifact.manifest.dtype, data is not None).changed(max_error, max_ap_loss)
    faults = list(allowed.faults(result))
    return {"ok": not faults, "faults": faults, **result}
