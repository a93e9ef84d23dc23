"""Key: what of a workload decides how fast a schedule runs on it; what tuned data is stored and looked up by.

Left out are the numbers in an activation, whether there is a bias (kernels add zeros where there is none), where in a
joined buffer a tensor lies, and borders as far as they do not lengthen rows: none of them changes which schedule is
best. Some change which are legal, so legality is asked of each workload itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from codegen.kernels.workload import Workload
from fleetpose.errors import UsageError
from fleetpose.json_fields import in_json
from models.graph.layer import Layer, Shape
from models.graph.network import Widened
from models.plans.sparsity import Sparsity

#: fractions of zeros further apart than this may have different best schedules
CLOSE_ZEROS = 0.1
#: sizes further apart than this (e-fold, channels and pixels together) are not alike: a factor of 4 in one of them
FARTHEST = math.log(4)
#: what another epilogue, and other padding or pitches, count against a size that is equal
EPILOGUE_DISTANCE, PITCH_DISTANCE = 0.02, 0.01


@dataclass(frozen=True)
class Key:
    """The identity of a workload in tuned data.

    Attributes:
        op, kernel, stride, dilation, padding, groups, mode: of the layer.
        inputs: shapes of the operands; addends have the output's.
        output: shape of the result.
        epilogue: kinds of the steps, in order.
        dtype: element type of activations and weights.
        sparsity: the sparsity's text, None for dense.
        pitches: elements from row to row in the planes of the operands, then of the result.
        widened: as `Workload.widened`.
    """

    op: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    inputs: tuple[Shape, ...]
    output: Shape
    epilogue: tuple[str, ...]
    dtype: str
    sparsity: str | None
    pitches: tuple[int, ...]
    mode: str = ""
    widened: Widened = field(default="", metadata=in_json(omit=True))

    def __post_init__(self) -> None:
        if not (self.inputs and self.kind):  # the kind parses the sparsity
            raise UsageError("a workload has inputs")
        if min(side for shape in (*self.inputs, self.output) for side in shape) < 1 or self.groups < 1:
            raise UsageError("a workload has shapes and groups of 1 or more")

    @classmethod
    def of(cls, workload: Workload) -> Key:
        """The key of a workload."""
        layer = workload.layer
        return cls(
            layer.op,
            layer.kernel,
            layer.stride,
            layer.dilation,
            layer.padding,
            layer.groups,
            tuple(plane.shape for plane in workload.operands),
            layer.out_shape,
            tuple(step.kind for step in layer.epilogue),
            workload.dtype,
            None if workload.sparsity is None else str(workload.sparsity),
            tuple(plane.pitch for plane in (*workload.operands, workload.output)),
            _mode(layer),
            workload.widened,
        )

    def order(self) -> tuple:
        """What rows are sorted by: numbers as numbers, kinds of layers together."""
        return tuple(_sortable(getattr(self, entry.name)) for entry in fields(self))

    @cached_property
    def kind(self) -> tuple:
        """What has to be equal for two workloads to want alike schedules."""
        channels = self.inputs[0][0]
        grouping = "dense" if self.groups == 1 else "depthwise" if self.groups == channels else str(self.groups)
        sparsity = self._sparsity
        blocks = (sparsity.pattern, sparsity.block, sparsity.patterns, sparsity.balanced) if sparsity else None
        types = (self.dtype, self.widened)
        return (self.op, self.mode, self.kernel, self.stride, self.dilation, grouping, types, blocks)

    def distance(self, other: Key) -> float | None:
        """How unlike two workloads are: Euclidean in log(channels in, channels out, pixels); None: not comparable.

        Zeros count with their logarithmic density; another epilogue, padding or pitch counts a little.
        """
        own, others = self._sparsity, other._sparsity
        if self.kind != other.kind or (own and others and abs(own.zeros - others.zeros) > CLOSE_ZEROS):
            return None
        parts = [math.log(a / b) for a, b in zip(self._sizes, other._sizes, strict=True)]
        if own and others:
            parts.append(math.log((1 - own.zeros) / (1 - others.zeros)))
        size = math.hypot(*parts)
        if size > FARTHEST:
            return None
        same_rows = (self.pitches, self.padding) == (other.pitches, other.padding)
        return size + EPILOGUE_DISTANCE * (self.epilogue != other.epilogue) + PITCH_DISTANCE * (not same_rows)

    @cached_property
    def _sparsity(self) -> Sparsity | None:
        return None if self.sparsity is None else Sparsity.parse(self.sparsity)

    @cached_property
    def _sizes(self) -> tuple[int, int, int]:
        channels, height, width = self.output
        return (sum(shape[0] for shape in self.inputs), channels, height * width)


def _mode(layer: Layer) -> str:
    if layer.foreign is not None:
        return layer.foreign.operator
    return "transposed" if layer.transposed else layer.mode + ("_corners" if layer.align_corners else "")


def _sortable(value: Any) -> Any:
    return "" if value is None else value
