"""The manifest beside an artifact (`pose.so` + `pose.json`): all that running it takes besides the code.

Plain values only; knows neither torch nor TVM.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fleetpose.codec import encode
from fleetpose.errors import UsageError, unknown_name
from fleetpose.json_fields import in_json
from models.graph.answer import Cut, View, view_shape
from models.graph.network import Widened
from models.plans.sparsity import parse_variant
from models.pose.decoding.decoders import Decoding

#: 3: the shared object bears a stamp, which ties it to its manifest (`codegen.artifact.seal`)
FORMAT = 3
#: packages whose versions a manifest has
DISTRIBUTIONS = ("fleetpose", "apache-tvm", "apache-tvm-ffi")
#: what may say which layers of a network in half precision compute in float32
WIDENED_BY = ("length", "photographs", "flag")
#: elements of a tensor, at most: what is beyond is a damaged file
MOST_ELEMENTS = 1 << 31
#: element types of outputs that no kernel computes
FIXED_DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor an entry takes or gives: (1, C, H, W), dense, row-major.

    view: how what the torch module returns comes from it, on the machine that runs the artifact.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    view: View = field(default=(), metadata=in_json(omit=True))

    def __post_init__(self) -> None:
        if len(self.shape) != 4 or self.shape[0] != 1:
            raise UsageError(f"a tensor of an entry is (1, C, H, W), not {self.shape}")
        _check_shape(self.shape)
        if self.dtype != "float32":
            raise UsageError(f"what an entry takes and gives is float32, not {self.dtype!r}")
        view_shape(self.shape, self.view)


@dataclass(frozen=True)
class FixedTensor:
    """An output that does not depend on the input: `values` in row-major order."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_shape(self.shape, least=0)
        if self.dtype not in FIXED_DTYPES:
            raise unknown_name("dtype", self.dtype, FIXED_DTYPES)
        if len(self.values) != prod(self.shape):
            raise UsageError(f"{len(self.values)} values are not of the shape {self.shape}")
        if not all(map(isfinite, self.values)):
            raise UsageError(f"the output {self.name!r} is constant and not finite, which a manifest cannot hold")


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
        with_previous: its kernels run in the launches of the layer before it in the list, and have their names.
        widened: what of its arithmetic is float32 in a float16 network: "sums", or "products" too; "" is nothing.
    """

    layer: str
    op: str
    schedule: str
    tile: str
    kernels: tuple[str, ...]
    macs: int
    out_shape: tuple[int, int, int]
    variant: str = "dense"
    with_previous: bool = field(default=False, metadata=in_json(omit=True))
    widened: Widened = field(default="", metadata=in_json(omit=True))

    def __post_init__(self) -> None:
        _check_shape(self.out_shape)
        if self.macs < 0:
            raise UsageError(f"{self.macs} multiply-adds are fewer than none")
        parse_variant(self.variant)

    @property
    def work(self) -> float:
        """By what its share of a launch goes: multiply-adds that its zeros leave, or elements of its result."""
        sparsity = parse_variant(self.variant)
        return self.macs * (1 - (sparsity.zeros if sparsity else 0.0)) if self.macs else float(prod(self.out_shape))


class LaunchedLayer(Protocol):
    """What is asked of a layer to tell launches: see `LayerCode.with_previous`."""

    @property
    def with_previous(self) -> bool: ...


Launched = TypeVar("Launched", bound=LaunchedLayer)


def launched_together(codes: Sequence[Launched]) -> list[list[Launched]]:
    """Layers in launch order, those of one launch together."""
    launches: list[list[Launched]] = []
    for code in codes:
        if not code.with_previous:
            launches.append([])
        launches[-1].append(code)
    return launches


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

    def __post_init__(self) -> None:
        if self.name != entry_name(*self.size):
            raise UsageError(f"the entry for {self.input.shape} is called {entry_name(*self.size)}, not {self.name!r}")
        if not self.output_names or not self.layers:
            raise UsageError(f"{self.name} has no {'layers' if self.output_names else 'outputs'}")
        for previous, code in zip((None, *self.layers), self.layers, strict=False):
            if code.with_previous and (previous is None or previous.kernels != code.kernels):
                raise UsageError(f"{code.layer!r} is not launched with the layer before it, whose kernels are others")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of all outputs, those that no kernel computes after the others."""
        return (*(output.name for output in self.outputs), *(output.name for output in self.fixed))

    @property
    def launches(self) -> int:
        """Kernels launched for an inference."""
        return sum(len(layers[0].kernels) for layers in launched_together(self.layers))

    @property
    def size(self) -> tuple[int, int]:
        """Input (height, width)."""
        return (self.input.shape[2], self.input.shape[3])


@dataclass(frozen=True)
class Manifest:
    """What an artifact is and what it was made from.

    A manifest that was read is whole and consistent (`codegen.artifact.reading`); one that is being made may lack what
    only linking tells.

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
        device: what it was built for, as it described itself (devices.info.DeviceInfo); empty where it was built by a
            profile alone.
        profile, gpu, host: the profile's name and kind of device ("cpu", "mali", "adreno"), and the host.
        versions: of DISTRIBUTIONS.
        textures: names of the constants inside that are images on the device, not buffers.
        dtype: element type of activations and weights on the device; inputs and outputs are float32 whatever it is.
        plan: {"file", "sha256", "zeros": "given" or "one-shot"} of the plan it was built by; empty without one.
        elf: what the shared object is and needs (codegen.linking.elf.ElfReport).
        decoding: what the outputs do not say of how people are decoded from them.
        cuts: where the network ends before its torch module does, because what follows depends on the data.
        widened: of a float16 network, what said which layers compute in float32: {"by": "length" of sums, "photographs"
            or "flag"}, with the "file" and "sha256" of a file that says it; empty in float32.
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
    gpu: str = ""
    host: str = "native"
    versions: dict[str, str] = field(default_factory=dict)
    elf: dict[str, Any] = field(default_factory=dict)
    textures: tuple[str, ...] = ()
    dtype: str = "float32"
    plan: dict[str, str] = field(default_factory=dict)
    decoding: Decoding = field(default_factory=Decoding, metadata=in_json(omit=True))
    cuts: tuple[Cut, ...] = field(default=(), metadata=in_json(omit=True))
    widened: dict[str, str] = field(default_factory=dict, metadata=in_json(omit=True))
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
        path.write_text(json.dumps(encode(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def manifest_path(artifact: Path) -> Path:
    """`pose.json` of `pose.so`."""
    return artifact.with_suffix(".json")


def parameters_path(artifact: Path) -> Path:
    """`pose.weights.safetensors` of `pose.so`."""
    return artifact.with_suffix(".weights.safetensors")


def entry_name(height: int, width: int) -> str:
    """The function of the artifact for inputs of a size."""
    return f"run_{height}x{width}"


def _check_shape(shape: tuple[int, ...], least: int = 1) -> None:
    if any(side < least for side in shape) or prod(shape) > MOST_ELEMENTS:
        raise UsageError(f"{shape} is the shape of no tensor")
