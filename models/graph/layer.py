"""Layer: one fused operation of a network with its shapes; torch-free, hashable, comparable.

Shapes are (channels, height, width); batch is always 1 and never written. A layer produces one tensor, which bears
the layer's name; its `inputs` name the tensors it reads (another layer's name, or the graph's input).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from models.graph.foreign.call import ForeignCall, plane_shape
from models.graph.index_map import Move
from models.graph.product import Product
from models.graph.reduction import KINDS, Reduction

Shape = tuple[int, int, int]

#: stands for an infinite bound of a step, so that steps stay finite (and JSON)
FLOAT32_MAX = 3.4028234663852886e38

#: every op a Layer may have
OPS = (
    *("conv", "max_pool", "avg_pool", "resize", "concat", "elementwise", "constant", "matmul", "rearrange", "fallback"),
    *KINDS,
)

#: steps that combine the value so far with the layer's next unread input, each broadcast where it has extent 1
BINARY = (
    *("add", "sub", "rsub", "mul", "div", "rdiv", "max", "min", "prelu"),
    *("gt", "ge", "lt", "le", "eq", "keep", "fill"),
)
#: what a binary step becomes where its two operands change places
SWAPPED = {
    "sub": "rsub",
    "rsub": "sub",
    "div": "rdiv",
    "rdiv": "div",
    "gt": "lt",
    "lt": "gt",
    "ge": "le",
    "le": "ge",
}

#: every epilogue step and its parameters' names
STEPS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BINARY, ()),
    "keep": ("value",),
    "fill": ("value",),
    "affine": ("scale", "shift"),
    "relu": (),
    "relu6": (),
    "leaky_relu": ("slope",),
    "hardtanh": ("low", "high"),
    "elu": ("alpha",),
    "silu": (),
    "hardswish": (),
    "hardsigmoid": (),
    "sigmoid": (),
    "gelu": (),
    "gelu_tanh": (),
    "mish": (),
    "tanh": (),
    "softplus": (),
    "softsign": (),
    "threshold": ("threshold", "value"),
    "pow": ("exponent",),
    **dict.fromkeys(("abs", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "atan", "erf"), ()),
    **dict.fromkeys(("floor", "ceil", "round", "trunc", "sign"), ()),
}


@dataclass(frozen=True)
class Step:
    """One step of a fused epilogue: a function of the value so far, or one of `BINARY` with the layer's next input.

    With x the value so far and y that input: "rsub" is y - x, "rdiv" y / x, "prelu" max(x, 0) + y min(x, 0); the
    comparisons "gt" (x > y) to "eq" are 1 where they hold and 0 elsewhere; "keep" is x where y is not 0 and `value`
    elsewhere, "fill" the other way round; "affine" is scale x + shift.
    """

    kind: str
    params: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in STEPS or len(self.params) != len(STEPS[self.kind]):
            raise ValueError(f"no such epilogue step: {self.kind}{self.params}")

    @property
    def reads(self) -> bool:
        """Whether the step takes the layer's next unread input."""
        return self.kind in BINARY

    def __str__(self) -> str:
        return ":".join([self.kind, *(f"{value:g}" for value in self.params)])


@dataclass(frozen=True)
class Layer:
    """One fused op.

    `inputs[0]` is the main operand (for "concat": all inputs are, in channel order). Inputs after the operands are
    what the epilogue's `BINARY` steps read, in order; each has the output's shape, or extent 1 along some axes. The
    epilogue runs in order after the op and its bias. For "elementwise" the op is the identity on inputs[0], broadcast
    to the output's shape where it is smaller, and the epilogue does the work. A "constant" has no inputs; its value,
    (C, H, W), is "<layer>.value" of the graph's weights.
    `transposed`: the "conv" is a transposed convolution. Its stride, padding and dilation are those of the convolution
    it transposes, its output padding is what `out_shape` says, and its weight is stored as that of any convolution.
    `padding` is symmetric (height, width). A pool's windows may reach beyond it, as torch's ceil_mode has it: positions
    there count for nothing. Average pooling does not count padding in its divisor iff `count_include_pad` is false, and
    divides by `divisor` where that is not 0. A pool of `mode` "adaptive" has windows of its own size for each output
    position, `kernel` being the largest; see models.graph.pooling. "resize" maps in_shapes[0] to out_shape by a `mode`
    of models.graph.resizing.MODES, with `align_corners` and, where that is not 0, `scale` input positions from one
    output position to the next instead of what the extents say. "normalise", "softmax" and "reduce" combine elements
    as `reduction` says; "matmul" multiplies its two operands as `product` says; "rearrange" fills boxes of its result
    with elements of its operands, as `moves` says, and the rest with `fill`. "fallback" is what `foreign` calls, by
    kernels that are not ours; it has no epilogue.
    `parameter` names the parameter of the module that a "conv" has its weight from, as it is or scaled by channel: ""
    where the weight is computed in another way, None where nothing is known. Layers of one parameter are tied (see
    models.graph.tied).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = False
    epilogue: tuple[Step, ...] = ()
    mode: str = ""
    align_corners: bool = False
    count_include_pad: bool = True
    reduction: Reduction | None = None
    transposed: bool = False
    product: Product | None = None
    divisor: int = 0
    scale: tuple[float, float] = (0.0, 0.0)
    moves: tuple[Move, ...] = ()
    fill: float = 0.0
    foreign: ForeignCall | None = None
    module: str = field(default="", compare=False)
    parameter: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise ValueError(f"layer {self.name}: unknown op {self.op!r}")
        if len(self.inputs) != len(self.in_shapes):
            raise ValueError(f"layer {self.name}: {len(self.inputs)} inputs but {len(self.in_shapes)} shapes")
        if self.op in KINDS and (self.reduction is None or self.reduction.kind not in KINDS[self.op]):
            raise ValueError(f"layer {self.name}: {self.op!r} with {self.reduction}")
        if (self.op == "matmul") != (self.product is not None):
            raise ValueError(f"layer {self.name}: {self.op!r} with {self.product}")
        if (self.op == "fallback") != (self.foreign is not None):
            raise ValueError(f"layer {self.name}: {self.op!r} with {self.foreign}")
        if self.foreign is not None:
            self._check_foreign(self.foreign)

    def _check_foreign(self, foreign: ForeignCall) -> None:
        shapes = (*(plane_shape(operand.sizes) for operand in foreign.operands), plane_shape(foreign.sizes))
        if shapes != (*self.in_shapes, self.out_shape) or self.epilogue:
            raise ValueError(f"layer {self.name}: {foreign} in planes {self.in_shapes} and {self.out_shape}")

    @property
    def operands(self) -> int:
        """How many of the inputs are operands of the op; the epilogue reads the rest."""
        return len(self.inputs) - sum(step.reads for step in self.epilogue)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(out channels, in channels / groups, kernel height, kernel width) of a "conv"."""
        return (self.out_shape[0], self.in_shapes[0][0] // self.groups, *self.kernel)

    @property
    def blank(self) -> Layer:
        """The layer without its names, so that equal work compares equal."""
        return replace(self, name="", inputs=("",) * len(self.inputs), module="", parameter=None)

    @property
    def winograd_legal(self) -> bool:
        """Whether a Winograd transform can compute it."""
        return self.convolves and winograd_legal(self.kernel, self.stride, self.dilation, self.groups)

    @property
    def convolves(self) -> bool:
        """Whether it multiplies windows of its input by its weights: a "conv" that is not transposed."""
        return self.op == "conv" and not self.transposed

    @property
    def macs(self) -> int:
        """Multiply-adds of a "conv", "matmul" or "fallback"; 0 for every other op. What a transposed "conv" crops
        counts too."""
        if self.product is not None:
            return self.product.macs
        if self.foreign is not None:
            return self.foreign.macs
        pixels = self.in_shapes[0][1:] if self.transposed else self.out_shape[1:]
        return prod(self.weight_shape) * prod(pixels) if self.op == "conv" else 0

    @property
    def params(self) -> int:
        """Weights and biases stored for this layer after folding."""
        if self.reduction is not None and self.reduction.affine:
            return 2 * prod(self.reduction.affine_shape(self.out_shape))
        return prod(self.weight_shape) + self.bias * self.out_shape[0] if self.op == "conv" else 0


def winograd_legal(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], groups: int) -> bool:
    """Whether a Winograd transform can compute a convolution: 3x3, stride 1, undilated, in one group."""
    return tuple(kernel) == (3, 3) and tuple(stride) == tuple(dilation) == (1, 1) and groups == 1
