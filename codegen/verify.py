"""Compare an artifact with its network in float64 PyTorch, in error and in accuracy: `python -m codegen.verify`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codegen.artifact.device_fit import add_artifact
from codegen.artifact.loaded import Artifact
from codegen.artifact.manifest import Manifest
from codegen.artifact.pose import check_pose, decode_maps, prepare
from devices import open_device
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.files import sha256
from fleetpose.options import SEED, real
from fleetpose.progress import Report, no_report, status
from fleetpose.trust import add_trust_flag
from models.accuracy.oks import evaluate_keypoints
from models.accuracy.protocol import evaluate_network
from models.annotations.reading import ANNOTATIONS
from models.pose.person import Person
from models.resolve import check_named_by_file, create_model, model_spec

Maps = dict[str, np.ndarray]

#: differences that are put down to rounding, over an output's largest magnitude, by the artifact's type
MAX_ERRORS = {"float32": 1e-3, "float16": 5e-2}


@dataclass
class Comparison:
    """Largest differences seen between artifact and reference.

    Attributes:
        max_abs: the largest difference, per output name.
        magnitudes: the largest magnitude of the reference, per output name, over all inputs.
        sizes: how many inputs of each "HxW" were compared.
        not_finite: names of outputs in which the artifact gave a NaN or an infinity; their differences do not count.
    """

    max_abs: dict[str, float] = field(default_factory=dict)
    magnitudes: dict[str, float] = field(default_factory=dict)
    sizes: Counter = field(default_factory=Counter)
    not_finite: set[str] = field(default_factory=set)

    def add(self, ours: Maps, reference: Maps, size: tuple[int, int]) -> None:
        """Take one input's outputs into account."""
        self.sizes[f"{size[0]}x{size[1]}"] += 1
        for name, expected in reference.items():
            if not np.isfinite(ours[name]).all():
                self.not_finite.add(name)
                continue
            self.max_abs[name] = max(float(np.abs(ours[name] - expected).max()), self.max_abs.get(name, 0.0))
            self.magnitudes[name] = max(float(np.abs(expected).max()), self.magnitudes.get(name, 0.0))

    def relative(self) -> dict[str, float]:
        """The largest difference of each output over its largest magnitude; of an output that is zero, the difference.

        Outputs differ in their units: a heatmap is at most 1, an offset is hundreds of pixels, and maps of random
        weights are often below 1e-3. Only what is relative to an output's own magnitude judges all of them alike. The
        magnitude is that over all inputs, as a map may be empty for one of them.
        """
        return {name: difference / (self.magnitudes[name] or 1.0) for name, difference in self.max_abs.items()}


class Reference:
    """The artifact's network in PyTorch, float64.

    Args:
        manifest: of the artifact.
        weights: the file it was built from; None for an artifact of random weights.

    Raises:
        UsageError: the weights are not those of the artifact.
    """

    def __init__(self, manifest: Manifest, weights: Path | None) -> None:
        from models.frontend.results.eager import output_runner
        from models.zoo.weights import weights_digest

        wanted = manifest.weights
        if "file" in wanted and weights is None:
            raise UsageError(f"the artifact was built from {wanted['file']}; give it with --weights")
        if weights is not None and (digest := sha256_of(weights)) != wanted.get("sha256"):
            raise UsageError(f"{weights} (sha256 {digest[:12]}...) is not what the artifact was built from: {wanted}")
        check_named_by_file(manifest.model, "the artifact")
        self.network = create_model(manifest.model, weights, seed=wanted.get("seed", 0))
        if "own" in wanted and weights_digest(self.network) != wanted["own"]:
            raise UsageError(f"the weights that {manifest.model} brings are not those of the artifact; build it again")
        self.spec = model_spec(manifest.model)
        self.run_torch = output_runner(self.network, self.spec.returned, self.spec.cut)

    def run(self, tensor: np.ndarray) -> Maps:
        """(1, C, H, W) -> outputs, in float64."""
        import torch

        self.network.double()
        with torch.inference_mode():
            outputs = self.run_torch(torch.from_numpy(tensor).double())
        return {name: output.numpy() for name, output in zip(self.spec.outputs, outputs, strict=True)}


def sha256_of(path: Path) -> str:
    """Digest of a weights file. Raises UsageError if it is not there."""
    if not path.is_file():
        raise UsageError(f"no weights at {path}")
    return sha256(path)


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
    """Errors and OKS AP over a COCO folder (person_keypoints.json, images/).

    Returns:
        The comparison, and average precision of the artifact ("ap_artifact"), of the reference on the same inputs
        ("ap_reference"), and of the network in float32 on LWOP's own protocol ("ap_free_width": height 368, the
        photograph's own width).

    Raises:
        UsageError: annotations or photographs are missing, or the network is not one that gives people.
    """
    check_pose(artifact.manifest)
    comparison = Comparison()
    expected: list[list[Person]] = []
    annotations, images = data / ANNOTATIONS, data / "images"

    def ours(image: np.ndarray) -> list[Person]:
        tensor, placement = prepare(artifact.manifest, image)
        maps, truth = artifact.run(tensor), reference.run(tensor)
        comparison.add(maps, truth, placement.input_size)
        expected.append(decode_maps(artifact.manifest, truth, placement))
        return [] if comparison.not_finite else decode_maps(artifact.manifest, maps, placement)

    def step(name: str) -> Callable[[int, int], None]:
        return lambda done, total: report(name, done, total)

    accuracy = evaluate_keypoints(annotations, images, ours, step("artifact and float64 reference"))
    replay = iter(expected)
    same = evaluate_keypoints(annotations, images, lambda _: next(replay))
    free = evaluate_network(reference.network.float(), reference.spec, data, step("free width"))
    return comparison, {"ap_artifact": accuracy.ap, "ap_reference": same.ap, "ap_free_width": free.ap}


def verify(
    artifact: Artifact,
    weights: Path | None,
    data: Path | None = None,
    seed: int = 0,
    max_error: float | None = None,
    max_ap_loss: float = 0.002,
    report: Report = no_report,
) -> dict[str, Any]:
    """Compare an artifact with float64 PyTorch; the JSON object the command prints, its verdict under "ok".

    Args:
        artifact: loaded on a device.
        weights: the file it was built from, None if built from random weights.
        data: COCO folder; None: random inputs and no AP.
        seed: of the random inputs.
        max_error: difference allowed in any output, over the output's largest magnitude; None: MAX_ERRORS.
        max_ap_loss: difference allowed between the two APs on the same inputs.
        report: told what is being done.
    """
    max_error = MAX_ERRORS[artifact.manifest.dtype] if max_error is None else max_error
    reference = Reference(artifact.manifest, weights)
    aps: dict[str, float | None] = {}
    if data is None:
        comparison = verify_random(artifact, reference, seed, report)
    else:
        comparison, aps = verify_photographs(artifact, reference, data, report)
    relative = comparison.relative()
    worst = max(relative.values(), default=None)
    ok = not comparison.not_finite and worst is not None and worst <= max_error
    if aps.get("ap_artifact") is not None and aps.get("ap_reference") is not None:
        ok = ok and abs(aps["ap_artifact"] - aps["ap_reference"]) <= max_ap_loss  # type: ignore[operator]
    return {
        "ok": ok,
        "max_relative_error": worst,
        "max_abs_error": max(comparison.max_abs.values(), default=None),
        "not_finite": sorted(comparison.not_finite),
        **{f"max_abs_error_{name}": value for name, value in comparison.max_abs.items()},
        **{f"max_relative_error_{name}": value for name, value in relative.items()},
        **aps,
        "inputs": sum(comparison.sizes.values()),
        "input_sizes": dict(sorted(comparison.sizes.items())),
        "device": encode(artifact.session.info),
        "model": artifact.manifest.model,
    }


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.verify", "Compare an artifact with its network in float64 PyTorch.")
    add_artifact(parser)
    parser.add_argument("--weights", type=Path, help="the file the artifact was built from")
    parser.add_argument("--data", type=Path, help="COCO folder (default: random inputs)")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the random inputs")
    parser.add_argument(
        "--max-error",
        type=real(),
        help="largest difference of any output from float64 PyTorch, over the largest magnitude of that output "
        f"(default: {', '.join(f'{error:g} of {dtype}' for dtype, error in MAX_ERRORS.items())})",
    )
    parser.add_argument("--max-ap-loss", type=real(), default=0.002, help="largest difference in AP")
    add_trust_flag(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    with status("verifying") as progress, open_device(arguments.device) as session:
        result = verify(
            Artifact(arguments.artifact, session, arguments.force_device),
            arguments.weights,
            arguments.data,
            arguments.seed,
            arguments.max_error,
            arguments.max_ap_loss,
            progress,
        )
    if arguments.json:
        cli.print_json(result)
    else:
        values = {key: _shown(value) for key, value in result.items() if key != "device"}
        verdicts = [result["ok"] if key == "ok" else None for key in values]
        cli.print_table(("what", "value"), list(values.items()), verdicts)
    return 0 if result["ok"] else 1


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
