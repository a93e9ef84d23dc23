"""Workload: the computation of one layer on given planes. Kernel: the function a schedule makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from codegen.layout.plane import Plane
from models.graph.layer import Layer
from models.graph.network import Widened
from models.plans.sparsity import Sparsity
from models.prune.masks.build import mask

if TYPE_CHECKING:
    from codegen.kernels.choice import ScheduleChoice

#: the memory of constants that are images, as TVM calls it
TEXTURE_SCOPE = "global.texture-weight"


@dataclass(frozen=True)
class Workload:
    """A layer (its names blanked, so that equal work compares equal) on the planes of its tensors.

    Attributes:
        layer: the fused layer; `name`, `inputs` and `module` are blank.
        inputs: the plane of each input, operands first, then the epilogue's addends.
        output: the plane of the result.
        dtype: element type of activations and weights.
        sparsity: the pattern the layer's zeros follow; None is dense.
        widened: what of the arithmetic is float32 although `dtype` is float16: its sums, or its products too; results
            are rounded at the end.
    """

    layer: Layer
    inputs: tuple[Plane, ...]
    output: Plane
    dtype: str = "float32"
    sparsity: Sparsity | None = None
    widened: Widened = ""

    def __post_init__(self) -> None:
        if self.widened and self.dtype != "float16":
            raise ValueError(f"the {self.widened} of a layer in {self.dtype} cannot be wider than it")

    @classmethod
    def of(
        cls,
        layer: Layer,
        planes: Mapping[str, Plane],
        dtype: str = "float32",
        sparsity: Sparsity | None = None,
        widened: Widened = "",
    ) -> Workload:
        """The workload of `layer` in a graph whose tensors lie in `planes`."""
        inputs = tuple(planes[name] for name in layer.inputs)
        return cls(layer.blank, inputs, planes[layer.name], dtype, sparsity, widened)

    @property
    def sum_dtype(self) -> str:
        """The type that sums of products have."""
        return "float32" if self.widened else self.dtype

    @property
    def product_dtype(self) -> str:
        """The type that products have."""
        return "float32" if self.widened == "products" else self.dtype

    @property
    def operands(self) -> tuple[Plane, ...]:
        return self.inputs[: self.layer.operands]

    @property
    def addends(self) -> tuple[Plane, ...]:
        return self.inputs[self.layer.operands :]

    def arguments(self, **constants: int | tuple) -> dict[str, tuple]:
        """Arguments of the workload's kernel, name -> (elements, dtype): in0, in1, ..., `constants`, out.

        A constant is its number of elements, of the workload's dtype, or what `codegen.kernels.builder.Arguments`
        takes.
        """
        inputs = {f"in{number}": (plane.size, self.dtype) for number, plane in enumerate(self.inputs)}
        packed = {
            name: (extent, self.dtype) if isinstance(extent, int) else extent for name, extent in constants.items()
        }
        return {**inputs, **packed, "out": (self.output.size, self.dtype)}

    @property
    def label(self) -> str:
        """A readable identifier, unique only together with the schedule and a counter: conv3x3_s1_d2_128_128_46x46."""
        layer = self.layer
        (cin, *_), (cout, height, width) = layer.in_shapes[0], layer.out_shape
        parts = [f"{cin}", f"{cout}", f"{height}x{width}"]
        if layer.op in ("conv", "max_pool", "avg_pool"):
            details = f"{layer.kernel[0]}x{layer.kernel[1]}"
            details += f"_s{layer.stride[0]}" if layer.stride != (1, 1) else ""
            details += f"_d{layer.dilation[0]}" if layer.dilation != (1, 1) else ""
            details += f"_g{layer.groups}" if layer.groups != 1 else ""
            parts.insert(0, details)
        if layer.reduction is not None:
            parts.insert(0, str(layer.reduction))
        if layer.product is not None:
            parts = [str(layer.product)]
        if layer.foreign is not None:
            parts = [str(layer.foreign)]
        sparse = [] if self.sparsity is None else [re.sub(r"\W", "_", str(self.sparsity))]
        half = (["half"] if self.dtype == "float16" else []) + ([f"wide_{self.widened}"] if self.widened else [])
        op = "deconv" if layer.transposed else layer.op
        return "_".join([op, *parts, *(step.kind for step in layer.epilogue), *sparse, *half])


@dataclass(frozen=True)
class Kernel:
    """What a schedule made: one TIR function that computes a workload on flat buffers.

    Attributes:
        func: PrimFunc; arguments are the workload's inputs, then `constants`, then the output, all flat.
        constants: packed weights and the like, by argument name, in argument order.
        grids: OpenCL kernels the function launches, one after the other.
        borders: how many of the first and of the last of these only bring tensors out of planes, and back.
        textures: constants that are images, not buffers: (rows, columns, 4), a texel being the last axis.
        channels: of a convolution in one group whose constant "weight" is a buffer of rows of equal length, the input
            channel that each row multiplies, int32; None where weights lie otherwise.
        choice: the schedule and its configuration; None for the copies at a network's ends.
    """

    func: object
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    grids: int = 1
    borders: tuple[int, int] = (0, 0)
    textures: frozenset[str] = frozenset()
    channels: np.ndarray | None = None
    choice: ScheduleChoice | None = None

    @property
    def schedule(self) -> str:
        return self.choice.schedule if self.choice else ""

    @property
    def note(self) -> str:
        """The configuration, for people: "F8V3"."""
        return str(self.choice.config) if self.choice else ""


@dataclass(frozen=True)
class Weights:
    """A layer's own parameters, as in models.graph.network.Graph.weights; both None for layers without."""

    weight: np.ndarray | None = None
    bias: np.ndarray | None = None

    def pruned(self, sparsity: Sparsity | None) -> Weights:
        """With the zeros of a sparsity, the smallest weights going; as they are where there is none, or no weight."""
        if sparsity is None or self.weight is None:
            return self
        return replace(self, weight=self.weight * mask(self.weight, sparsity))

    def bias_or_zero(self, channels: int) -> np.ndarray:
        return np.zeros(channels, np.float32) if self.bias is None else self.bias
