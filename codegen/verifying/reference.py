"""Reference: the network that an artifact was built from, in PyTorch and float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from codegen.artifact.manifest import Manifest
from codegen.verifying.comparison import Maps
from fleetpose.errors import UsageError
from fleetpose.files import sha256
from models.resolve import check_named_by_file, create_model, model_spec


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
