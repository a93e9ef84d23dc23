"""Draft: a network between torch and Graph, its operations still unfused and mutable; torch-free.

`models.frontend.aten` writes drafts, `models.frontend.fuse` rewrites them, `models.frontend.trace` names them and
makes Layers of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from models.graph.answer import Answer
from models.graph.foreign.call import ForeignCall
from models.graph.index_map import Move
from models.graph.layer import Shape, Step
from models.graph.product import Product
from models.graph.reduction import Reduction

#: (top, bottom, left, right), in pixels
Margins = tuple[int, int, int, int]
#: the op of a draft that stands for what is refused, while all refusals of a network are gathered
UNSUPPORTED = "unsupported"


@dataclass
class Draft:
    """One operation and the one tensor it makes.

    Attributes:
        name: of the tensor; unique in the network.
        op: one of models.graph.layer.OPS, or what `models.frontend.fuse` removes: "affine" (x * weight + bias by
            channel) and "pad" (zeros around the planes).
        inputs: names of tensors, as in Layer.
        shape: (C, H, W) of the result.
        path: the module the operation came from, "" for the root.
        kind: what to call the operation where its module has more than one, e.g. "concat".
        leaf: the module is nothing but this operation.
        weight, bias: "conv": (O, I / groups, kh, kw) and (O,) or None; "affine": (C,) both; "normalise": of the
            reduction's affine_shape, or None. float64.
        parameter, original: "conv": the parameter that the weight was read from ("" where it is none, None where
            nothing is known), and the weight as it was then; see models.frontend.parameters.
        value: "constant": (C, H, W), float64.
        margins: "conv": zeros around the input; "pad": elements of value `fill`. Pools: symmetric
            padding.
    """

    name: str
    op: str
    inputs: list[str]
    shape: Shape
    path: str = ""
    kind: str = ""
    leaf: bool = False
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    parameter: str | None = None
    original: np.ndarray | None = None
    value: np.ndarray | None = None
    margins: Margins = (0, 0, 0, 0)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
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
    epilogue: list[Step] = field(default_factory=list)


@dataclass
class Network:
    """Drafts in an order in which each follows what it reads.

    Attributes:
        input, input_shape: name and (C, H, W) of the one input.
        outputs: names of the tensors returned, in order; one may come twice.
        answer: how what the module returns comes from them.
    """

    input: str
    input_shape: Shape
    outputs: list[str]
    drafts: list[Draft]
    answer: Answer = field(default_factory=Answer)

    def uses(self) -> Counter[str]:
        """How often each tensor is read, being returned included."""
        read = Counter(name for draft in self.drafts for name in draft.inputs)
        return read + Counter(self.outputs)

    def producers(self) -> dict[str, Draft]:
        """The draft that makes each tensor; the network's input is made by none."""
        return {draft.name: draft for draft in self.drafts}

    def shapes(self) -> dict[str, Shape]:
        """(C, H, W) of every tensor, the input included."""
        return {self.input: self.input_shape, **{draft.name: draft.shape for draft in self.drafts}}

    def drop_dead(self) -> None:
        """Remove what no output depends on."""
        live = set(self.outputs)
        for draft in reversed(self.drafts):
            if draft.name in live:
                live.update(draft.inputs)
        self.drafts = [draft for draft in self.drafts if draft.name in live]
