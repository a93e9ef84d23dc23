"""ForeignCall: one call of a torch operator as data, what a layer of op "fallback" computes; torch-free.

It names an operator of `models.graph.foreign.operators` and holds its arguments as JSON, so that a record or a manifest
that is read back runs nothing but torch's and TVM's own code. Its tensors lie in planes in the order of their elements:
the last axis is a row, the one before it the rows, and all that is in front of these are channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from fleetpose.codec import decode, parse_json
from fleetpose.codec.text import TextLimits
from fleetpose.errors import quoted
from models.graph.foreign.operators import OPERATORS

#: what the arguments' text may be; of a norm's they may be infinite
ARGUMENTS = TextLimits(size=1 << 20, depth=8, nan=True)
#: the types of elements that an operand or an argument may name
DTYPES = ("float32", "float16", "float64", "bfloat16", "int8", "uint8", "int16", "int32", "int64", "bool")
#: the key of an argument that is an operand, by its number, and of one that is a type of elements
OPERAND, DTYPE = "operand", "dtype"


@dataclass(frozen=True)
class ForeignTensor:
    """A tensor as the operator sees it.

    Attributes:
        sizes: of every axis, the batch of one picture among them where the network has it.
        dtype: "float32", which stands for the network's own type, or "int64" or "bool"; in planes numbers are floats.
    """

    sizes: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class ForeignCall:
    """A call of a torch operator.

    Attributes:
        operator: name and overload, "cumsum.default"; a key of OPERATORS.
        arguments: a JSON list of all arguments in the order of the operator's schema: null, truths, numbers, texts,
            lists of them, {"operand": 0} for the layer's input 0, and {"dtype": "float32"}.
        operands: the layer's inputs as the operator sees them.
        sizes: of its result.
        macs: its multiply-adds, 0 where torch counts none.
    """

    operator: str
    arguments: str
    operands: tuple[ForeignTensor, ...]
    sizes: tuple[int, ...]
    macs: int = 0

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise ValueError(f"no operator that may fall back is called {quoted(self.operator)}")
        for part in self._parts:
            self._check(part)
        for operand in self.operands:
            if operand.dtype not in DTYPES or min(operand.sizes, default=1) < 1:
                raise ValueError(f"an operand is {quoted(operand)}")

    @property
    def name(self) -> str:
        """The operator without its overload: "cumsum"."""
        return self.operator.partition(".")[0]

    @cached_property
    def _parts(self) -> list[Any]:
        return decode(list[Any], parse_json(self.arguments, ARGUMENTS, "its text of arguments"), "arguments")

    def _check(self, part: Any) -> None:
        """Raise ValueError for an argument that names an operand or a type of elements that there is not."""
        for inner in part if isinstance(part, list) else ():
            self._check(inner)
        if isinstance(part, dict):
            (key, value) = next(iter(part.items())) if len(part) == 1 else ("", None)
            if key == OPERAND and type(value) is int and 0 <= value < len(self.operands):
                return
            if key != DTYPE or value not in DTYPES:
                raise ValueError(f"an argument is {quoted(part)}, neither an operand nor a type of elements")

    def values(self, operands: Sequence[Any], dtype_of: Any = None) -> list[Any]:
        """The arguments in their order, `operands` in theirs; `dtype_of` makes a type of elements of its name."""

        def value(part: Any) -> Any:
            if isinstance(part, list):
                return [value(inner) for inner in part]
            if not isinstance(part, dict):
                return part
            return operands[part[OPERAND]] if OPERAND in part else dtype_of(part[DTYPE])

        return [value(part) for part in self._parts]

    def __str__(self) -> str:
        return f"{self.name}_{'x'.join(map(str, self.operands[0].sizes))}"


def plane_shape(sizes: Sequence[int]) -> tuple[int, int, int]:
    """The (C, H, W) of a tensor that lies in planes in its elements' order."""
    if len(sizes) <= 2:
        return prod(sizes), 1, 1
    return prod(sizes[:-2]), sizes[-2], sizes[-1]
