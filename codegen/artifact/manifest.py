"""The manifest beside an artifact (`pose.so` + `pose.json`): all that running it takes besides the code.

Plain values only; knows neither torch nor TVM.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError
from fleetpose.files import read_json, sha256
from fleetpose.json_fields import in_json
from models.graph.answer import Cut, View
from models.pose.decoding.decoders import Decoding

FORMAT = 2


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor an entry takes or gives: (1, C, H, W), dense, row-major.

    view: how what the torch module returns comes from it, on the machine that runs the artifact.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    view: View = field(default=(), metadata=in_json(omit=True))


@dataclass(frozen=True)
class FixedTensor:
    """An output that does not depend on the input: `values` in row-major order."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class LayerCode:
    """How one layer was compiled.

    Attributes:
        layer, op: the layer's name and operation; "input" and "output N" for the copies at the network's ends.
        schedule, tile: the rule that answered, and the tile it chose ("F8V3").
        kernels: names of its OpenCL kernels in launch order; layers with equal workloads share them.
        macs: multiply-adds of the layer.
        out_shape: (C, H, W) of its result.
        variant: "dense", or the sparsity its weights have, as in a plan.
    """

    layer: str
    op: str
    schedule: str
    tile: str
    kernels: tuple[str, ...]
    macs: int
    out_shape: tuple[int, int, int]
    variant: str = "dense"


@dataclass(frozen=True)
class Entry:
    """One function of the artifact: the network at one input size.

    `layers` are in launch order; `fixed` are the outputs that no kernel computes.
    """

    name: str
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    layers: tuple[LayerCode, ...]
    fixed: tuple[FixedTensor, ...] = field(default=(), metadata=in_json(omit=True))

    @property
    def size(self) -> tuple[int, int]:
        """Input (height, width)."""
        return (self.input.shape[2], self.input.shape[3])


@dataclass(frozen=True)
class Manifest:
    """What an artifact is and what it was made from.

    Attributes:
        model: the network's name.
        sha256: of the shared object.
        entries: one per input size.
        preprocessing: mean, scale, channels (models.preprocess.Preprocessing); empty if the model has none.
        stride: input pixels per output cell.
        weights: {"file", "sha256"} of the weights it was built from; else {"seed"} of random ones, and {"own"}, the
            digest of those that the network brought, from outside the registry.
        parameters: names of the packed constants in `parameters_file`, in argument order; empty where they are inside.
        parameters_file: {"file", "sha256"} of the safetensors beside the artifact, or empty.
        device, profile, host: what it was built for: its description, the profile's name, the host.
        versions: of fleetpose, apache-tvm and apache-tvm-ffi.
        textures: names of the constants inside that are images on the device, not buffers.
        dtype: element type of activations and weights on the device; inputs and outputs are float32 whatever it is.
        plan: {"file", "sha256", "zeros": "given" or "one-shot"} of the plan it was built by; empty without one.
        elf: what the shared object is and needs (codegen.linking.elf.ElfReport); empty in manifests from before it was
            checked.
        decoding: what the outputs do not say of how people are decoded from them.
        cuts: where the network ends before its torch module does, because what follows depends on the data.
    """

    model: str
    sha256: str
    entries: tuple[Entry, ...]
    preprocessing: dict[str, Any] = field(default_factory=dict)
    stride: int = 0
    weights: dict[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    parameters_file: dict[str, str] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    profile: str = ""
    host: str = "native"
    versions: dict[str, str] = field(default_factory=dict)
    elf: dict[str, Any] = field(default_factory=dict)
    textures: tuple[str, ...] = ()
    dtype: str = "float32"
    plan: dict[str, str] = field(default_factory=dict)
    decoding: Decoding = field(default_factory=Decoding, metadata=in_json(omit=True))
    cuts: tuple[Cut, ...] = field(default=(), metadata=in_json(omit=True))
    format: int = FORMAT

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Input (height, width) of every entry."""
        return tuple(entry.size for entry in self.entries)

    def entry(self, size: tuple[int, int]) -> Entry:
        """The entry for input (height, width). Raises UsageError naming the sizes there are."""
        for entry in self.entries:
            if entry.size == tuple(size):
                return entry
        known = ", ".join(f"{height}x{width}" for height, width in self.sizes)
        raise UsageError(f"built for input {known}, not {size[0]}x{size[1]}; rebuild with --size {size[0]}x{size[1]}")

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(encode(self), indent=1) + "\n")


def manifest_path(artifact: Path) -> Path:
    """`pose.json` of `pose.so`."""
    return artifact.with_suffix(".json")


def parameters_path(artifact: Path) -> Path:
    """`pose.weights.safetensors` of `pose.so`."""
    return artifact.with_suffix(".weights.safetensors")


def read_manifest(artifact: Path) -> Manifest:
    """The manifest of the artifact at `artifact`, checked against the files it speaks of.

    Raises:
        UsageError: a file is missing or damaged, or of another format.
    """
    path = manifest_path(artifact)
    if not artifact.is_file():
        raise UsageError(f"no artifact at {artifact}; make one with python -m codegen.build -o {artifact}")
    hint = "it is written beside the artifact and moves with it; where it is lost or of another version, rebuild both"
    manifest = decode(Manifest, read_json(path, "manifest", FORMAT, hint), str(path))
    _check_digest(artifact, manifest.sha256)
    if manifest.parameters_file:
        _check_digest(artifact.parent / manifest.parameters_file["file"], manifest.parameters_file["sha256"])
    return manifest


def _check_digest(path: Path, expected: str) -> None:
    if not path.is_file():
        raise UsageError(f"{path} is missing; it belongs to the artifact and moves with it")
    if (digest := sha256(path)) != expected:
        raise UsageError(
            f"{path} is not the file its manifest describes (sha256 {digest[:12]}..., not {expected[:12]}...)"
        )
