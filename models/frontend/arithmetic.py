"""The torch operators of arithmetic, elementwise between two tensors or with constants, each turned into Drafts.

A constant of one value per channel becomes an "affine" draft, which `models.frontend.rewrites.affine` folds into
convolutions where that is exact; any other one a "constant" draft that a step of an epilogue reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from models.frontend.call import Answer, Call
from models.frontend.draft import Draft
from models.graph.layer import FLOAT32_MAX, SWAPPED, Step

Value = str | float | np.ndarray


def _binary(kind: str, call: Call) -> Answer:
    """`kind` of the call's "self" and "other"; a factor alpha of the second goes first."""
    names = call["self"], call["other"]
    if call.get("rounding_mode") is not None:
        raise call.refusal(f"rounding_mode={call['rounding_mode']!r} is not supported", "divide, then round")
    scale = float(call.get("alpha", 1))
    scaled = 0 if kind == "rsub" else 1  # rsub is other - alpha self
    before: list[Draft] = []
    values = list(names)
    if scale != 1 and isinstance(values[scaled], str):
        before.append(affine(call, values[scaled], scale, 0.0, makes=f"{call.name}.alpha"))
        values[scaled] = before[0].name
    elif scale != 1:
        values[scaled] = np.asarray(values[scaled], np.float64) * scale
    known = replace(call, shapes={**call.shapes, **{draft.name: draft.shape for draft in before}})
    answer = combine(kind, known, values[0], values[1])
    return answer if isinstance(answer, str) else [*before, *answer]


def combine(kind: str, call: Call, first: Value, second: Value) -> str | list[Draft]:
    """A step of `models.graph.layer.BINARY` between two operands, at least one of them a tensor of the call's."""
    if isinstance(first, str) and isinstance(second, str):
        return [_of_tensors(kind, call, first, second)]
    if isinstance(first, str):
        return _with_constant(kind, call, first, np.asarray(second, np.float64))
    assert isinstance(second, str)  # constants of constants have been computed
    return _with_constant(SWAPPED.get(kind, kind), call, second, np.asarray(first, np.float64))


def _of_tensors(kind: str, call: Call, first: str, second: str) -> Draft:
    """The larger of the two is what the step works on; where neither has the result's shape, both are broadcast."""
    if kind == "mul" and first == second:
        return call.draft("elementwise", [first], "square", epilogue=[Step("pow", (2.0,))])
    if call.shapes[first] != call.shape == call.shapes[second]:
        first, second, kind = second, first, SWAPPED.get(kind, kind)
    return call.draft("elementwise", [first, second], kind, epilogue=[Step(kind)])


def _with_constant(kind: str, call: Call, name: str, value: np.ndarray) -> str | list[Draft]:
    """`kind` of a tensor, first, and a constant."""
    value = _per_tensor(call, value)
    if call.shapes[name] == call.shape and value.shape[1:] == (1, 1):
        with np.errstate(divide="ignore"):
            pair = _as_affine(kind, value.ravel())
        if pair is not None and all(np.isfinite(part).all() for part in pair):
            if (pair[0] == 1).all() and (pair[1] == 0).all():
                return name
            return [affine(call, name, *pair)]
        if kind in ("max", "min") and value.size == 1:
            bound = (float(value.item()), math.inf) if kind == "max" else (-math.inf, float(value.item()))
            return [call.draft("elementwise", [name], kind, epilogue=[clamp_step(*bound)])]
    return constant_operand(kind, call, name, value)


def constant_operand(kind: str, call: Call, name: str, value: np.ndarray) -> list[Draft]:
    """A step that reads a constant, (C, H, W), and the draft of that constant."""
    given = constant(call, value, f"{call.name}.value")
    return [given, call.draft("elementwise", [name, given.name], kind, epilogue=[Step(kind)])]


def constant(call: Call, value: np.ndarray, name: str) -> Draft:
    """A "constant" draft, (C, H, W)."""
    return Draft(name, "constant", [], value.shape, call.origin.path, "constant", value=np.asarray(value, np.float64))


def _per_tensor(call: Call, value: np.ndarray) -> np.ndarray:
    """A constant that is broadcast against a (1, C, H, W) tensor, as (c, h, w) with extents 1 where it is constant."""
    if value.ndim > 4 or (value.ndim == 4 and value.shape[0] != 1):
        raise call.refusal(f"a constant of shape {value.shape} makes more than one picture")
    value = value.reshape((1,) * (4 - value.ndim) + value.shape)[0]
    for axis in range(3):
        first = value.take([0], axis=axis)
        value = first if (value == first).all() else value
    return value


def _as_affine(kind: str, value: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(scale, shift) of what is one with a constant on the right, by channel; None where it is none."""
    unit, zero = np.ones_like(value), np.zeros_like(value)
    return {
        "add": (unit, value),
        "sub": (unit, -value),
        "rsub": (-unit, value),
        "mul": (value, zero),
        "div": (1 / value, zero),
    }.get(kind)


def affine(call: Call, name: str, scale: Any, shift: Any, makes: str = "") -> Draft:
    """`scale` x the tensor `name` + `shift`, each a number or one for each channel.

    It makes the call's tensor, or one called `makes`, of which the call's is made.
    """
    shape = call.shapes[name]
    weight, bias = (np.broadcast_to(np.asarray(part, np.float64), shape[:1]) for part in (scale, shift))
    leaf = call.origin.leaf and not makes
    return Draft(makes or call.name, "affine", [name], shape, call.origin.path, "scale", leaf, weight=weight, bias=bias)


def clamp_step(low: float, high: float) -> Step:
    """The step that holds a value between two bounds, either of which may be infinite."""
    if low == 0 and high == math.inf:
        return Step("relu")
    if (low, high) == (0, 6):
        return Step("relu6")
    return Step("hardtanh", (float(held_finite(low)), float(held_finite(high))))


def held_finite(value: Any) -> np.ndarray:
    """Numbers within float32's own bounds, so that steps and weights of infinite ones stay finite (and JSON)."""
    return np.clip(np.asarray(value, np.float64), -FLOAT32_MAX, FLOAT32_MAX)


def _scaled(scale: float) -> Callable[[Call], Answer]:
    return lambda call: affine(call, call.tensor("self"), scale, 0.0)


def _pow(call: Call) -> Answer:
    """A tensor to a constant power, or a positive number to a tensor's."""
    base, exponent = call["self"], call["exponent"]
    if isinstance(base, str) and isinstance(exponent, int | float):
        return base if exponent == 1 else _step(call, "pow", float(exponent))
    if isinstance(exponent, str) and isinstance(base, int | float) and base > 0:
        return call.draft(
            "elementwise", [exponent], "pow", epilogue=[Step("affine", (math.log(base), 0.0)), Step("exp")]
        )
    raise call.refusal("only a tensor to the power of a number, or a positive number to that of a tensor, is supported")


def _step(call: Call, kind: str, *params: float) -> Draft:
    return call.draft("elementwise", [call.tensor("self")], kind, epilogue=[Step(kind, params)])


def _to_power(exponent: float) -> Callable[[Call], Answer]:
    return lambda call: _step(call, "pow", exponent)


def _named(kind: str) -> Callable[[Call], Answer]:
    return lambda call: _binary(kind, call)


#: operator name -> the function that turns its call into drafts
ARITHMETIC: dict[str, Callable[[Call], Answer]] = {
    "add": _named("add"),
    "sub": _named("sub"),
    "subtract": _named("sub"),
    "rsub": _named("rsub"),
    "mul": _named("mul"),
    "multiply": _named("mul"),
    "div": _named("div"),
    "divide": _named("div"),
    "true_divide": _named("div"),
    "maximum": _named("max"),
    "minimum": _named("min"),
    "neg": _scaled(-1.0),
    "pow": _pow,
    "square": _to_power(2.0),
    "sqrt": _to_power(0.5),
    "rsqrt": _to_power(-0.5),
    "reciprocal": _to_power(-1.0),
}
