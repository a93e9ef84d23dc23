"""Fused epilogues: activations and residual adds as expressions on vectors (or scalars) of TIR.

Formulas are those of torch.nn.functional; every one is branch-free. Each takes the value and a `number` function that
makes a constant of the value's type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, when
from models.graph.layer import Layer, Step

Number = Callable[[float], object]


def _clamp(value, low, high):
    return T.min(T.max(value, low), high)


def _sigmoid(value, number: Number):
    return number(1) / (number(1) + T.exp(number(0) - value))


def apply_step(step: Step, value, number: Number):  # noqa: C901  a branch for each operation
    """`value` after the activation `step` (not "add").

    Args:
        value: a TIR expression; cheap to repeat (a local buffer element).
        number: constant of the value's type from a Python float, e.g. Vector.splat.
    """
    kind, params = step.kind, step.params
    if kind == "relu":
        return T.max(value, number(0))
    if kind == "relu6":
        return _clamp(value, number(0), number(6))
    if kind == "hardtanh":
        return _clamp(value, number(params[0]), number(params[1]))
    if kind == "leaky_relu":
        return T.max(value, number(0)) + number(params[0]) * T.min(value, number(0))
    if kind == "elu":
        return T.max(value, number(0)) + number(params[0]) * (T.exp(T.min(value, number(0))) - number(1))
    if kind == "sigmoid":
        return _sigmoid(value, number)
    if kind == "silu":
        return value * _sigmoid(value, number)
    if kind == "hardsigmoid":
        return _clamp(value + number(3), number(0), number(6)) * number(1 / 6)
    if kind == "hardswish":
        return value * _clamp(value + number(3), number(0), number(6)) * number(1 / 6)
    if kind == "gelu":
        return value * number(0.5) * (number(1) + T.erf(value * number(math.sqrt(0.5))))
    raise ValueError(f"{step} is not an activation")


def steps_with_addends(layer: Layer) -> Iterator[tuple[Step, int | None]]:
    """Each epilogue step with the position of its addend among the layer's addends (None for activations)."""
    adds = 0
    for step in layer.epilogue:
        if step.kind == "add":
            yield step, adds
            adds += 1
        else:
            yield step, None


def initial_addend(frame, workload, vector, channel, row, column):
    """The addend an accumulator may start from, if the epilogue begins with "add"; else None."""
    if not workload.layer.epilogue or workload.layer.epilogue[0].kind != "add":
        return None
    return _load_addend(frame, workload, vector, 0, channel, row, column)


def _load_addend(frame, workload, vector, number: int, channel, row, column):
    plane = workload.addends[number]
    return vector.load(frame[f"in{workload.layer.operands + number}"], plane.index(channel, row, column))


def finish(frame, workload, vector, rows, owned: Sequence, sums, row, across, started: bool = True) -> None:
    """Run the epilogue on accumulators [filter][vector] and store them.

    Args:
        owned: (output channel, whether it exists) of each filter.
        started: the accumulators already hold a leading addend (`initial_addend`).
    """
    for f, (channel, exists) in enumerate(owned):
        with when(exists):
            for v in range(rows.width):
                at = f * rows.width + v
                for position, (step, number) in enumerate(steps_with_addends(workload.layer)):
                    if number is None:
                        put(sums, at, apply_step(step, sums[at], vector.splat))
                    elif not (started and position == 0):
                        column = rows.column(across, v)
                        addend = _load_addend(frame, workload, vector, number, channel, row, column)
                        put(sums, at, sums[at] + addend)
            rows.store(sums, f * rows.width, frame["out"], channel, row, across)
