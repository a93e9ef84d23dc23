"""A lowered network as a straight list of calls on numbered tensors, read from its Relax function."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from tvm import relax


@dataclass(frozen=True)
class Tensor:
    """A tensor on the device while a network runs. number: in order of making, 0 is the input; bytes: its size."""

    number: int
    bytes: int


@dataclass(frozen=True)
class ConstantTensor:
    """A packed constant; name: among the network's parameters."""

    name: str


Operand = Tensor | ConstantTensor


@dataclass(frozen=True)
class FunctionCall:
    """A call of one of the module's functions.

    Attributes:
        function: its name.
        operands: in the order of its parameters, those it writes included.
        results: those it writes: for each layer its tensor, and behind it what else the layer's kernels hand on.
    """

    function: str
    operands: tuple[Operand, ...]
    results: tuple[Tensor, ...]


@dataclass(frozen=True)
class CallList:
    """A network at one input size.

    Attributes:
        tensors: all there are; several may be one buffer where a call writes in place.
        calls: in order. outputs: of the network, in order.
        spares: by the number of a call those that can be made in its place.
    """

    tensors: tuple[Tensor, ...]
    calls: tuple[FunctionCall, ...]
    outputs: tuple[Tensor, ...]
    spares: Mapping[int, tuple[FunctionCall, ...]] = field(default_factory=dict)

    def alternatives(self, number: int) -> tuple[FunctionCall, ...]:
        """A call by its number, and those that can be made in its place."""
        return (self.calls[number], *self.spares.get(number, ()))


def read_calls(function: Any, parameters: Sequence[str], spares: Collection[int] = ()) -> CallList:
    """The calls of a Relax function that `codegen.lowering.network` wrote with weights beside it.

    Args:
        function: takes the input, then one packed constant for each of `parameters`.
        spares: the numbers of calls that do again what the call before them did.
    """
    reader = _FunctionReader(function, parameters)
    for block in function.body.blocks:
        for binding in block.bindings:
            reader.bind(binding.var, binding.value)
    outputs = reader.values(function.body.body)
    calls: list[FunctionCall] = []
    alternatives: dict[int, tuple[FunctionCall, ...]] = {}
    for number, call in enumerate(reader.calls):
        if number in spares:
            last = len(calls) - 1
            alternatives[last] = (*alternatives.get(last, ()), call)
        else:
            calls.append(call)
    return CallList(tuple(reader.tensors), tuple(calls), tuple(outputs), alternatives)


class _FunctionReader:
    """What the variables of a function stand for, while it is read."""

    def __init__(self, function: Any, parameters: Sequence[str]) -> None:
        self.tensors: list[Tensor] = []
        self.calls: list[FunctionCall] = []
        source, *constants = function.params
        self.known: dict[Any, Sequence[Any]] = {source: [self._new(source.ty)]}
        for variable, name in zip(constants, parameters, strict=True):
            self.known[variable] = [ConstantTensor(name)]

    def _new(self, kind: Any) -> Tensor:
        size = prod(int(extent) for extent in kind.shape) * np.dtype(str(kind.dtype)).itemsize
        self.tensors.append(Tensor(len(self.tensors), size))
        return self.tensors[-1]

    def values(self, expression: Any) -> list[Any]:
        """The tensors of a variable or a tuple of some."""
        if isinstance(expression, relax.Tuple):
            return [value for field in expression.fields for value in self.values(field)]
        return [*self.known[expression]]

    def bind(self, variable: Any, value: Any) -> None:
        if isinstance(value, relax.TupleGetItem):
            self.known[variable] = [self.known[value.tuple_value][value.index]]
        elif isinstance(value, relax.Var | relax.Tuple):
            self.known[variable] = self.values(value)
        else:
            self.known[variable] = self._call(value)

    def _call(self, call: Any) -> list[Tensor]:
        function, operands = call.args[0], self.values(call.args[1])
        kinds = call.ty_args[0]
        kinds = [*kinds.fields] if isinstance(kinds, relax.TupleType) else [kinds]
        inplace = [int(index) for index in call.attrs.inplace_indices] if call.op.name.endswith("inplace") else []
        results, new = [], []
        for number, kind in enumerate(kinds):
            existing = inplace[number] if inplace else -1
            if existing >= 0:
                results.append(operands[existing])
            else:
                new.append(self._new(kind))
                results.append(new[-1])
        self.calls.append(FunctionCall(function.name_hint, (*operands, *new), tuple(results)))
        return results


def last_uses(listed: CallList) -> Mapping[int, int]:
    """By the number of each tensor the number of the last call that has it; outputs outlive all calls."""
    uses = {tensor.number: at for at in range(len(listed.calls)) for tensor in _tensors(listed, at)}
    return uses | {tensor.number: len(listed.calls) for tensor in listed.outputs}


def first_uses(listed: CallList) -> Mapping[int, int]:
    """By the number of each tensor the number of the first call that has it; the input is there before all."""
    uses: dict[int, int] = {0: -1}
    for at in range(len(listed.calls)):
        for tensor in _tensors(listed, at):
            uses.setdefault(tensor.number, at)
    return uses


def _tensors(listed: CallList, number: int) -> list[Tensor]:
    """All tensors that a call, or one in its place, may touch."""
    calls = listed.alternatives(number)
    return [operand for call in calls for operand in call.operands if isinstance(operand, Tensor)]
