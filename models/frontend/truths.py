"""The torch operators that make truths of maps, and those that choose by them, each turned into Drafts.

A truth is the number 1 or 0 in a map like any other. `models.frontend.results.cuts` says where these operators are
layers and where they belong to post-processing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from models.frontend.arithmetic import affine, combine, constant, held_finite
from models.frontend.call import Answer, Call
from models.frontend.draft import Draft
from models.graph.layer import Step

#: what the operators of this module call the tensors they read
TRUTH_OPERANDS = ("condition", "mask", "value")


def _comparison(kind: str) -> Callable[[Call], Answer]:
    return lambda call: combine(kind, call, call["self"], call["other"])


def _unequal(call: Call) -> Answer:
    return _chain(call, _comparison("eq"), _negate)


def _negate(call: Call) -> Answer:
    return affine(call, call.tensor("self"), -1.0, 1.0)


def _of_truths(kind: str) -> Callable[[Call], Answer]:
    return lambda call: combine(kind, call, _truth(call["self"]), _truth(call["other"]))


def _either(call: Call) -> Answer:
    """Exclusive or of two truths: they are unequal."""
    return _unequal(call)


def _truth(value: Any) -> Any:
    """A truth as an operand: those that are constants as numbers."""
    return value if isinstance(value, str) else np.asarray(value, np.float64)


def _chain(call: Call, first: Callable[[Call], Answer], then: Callable[[Call], Answer]) -> Answer:
    """The drafts of `first`, and those of `then` on its result as "self"."""
    name = f"{call.name}.first"
    before = first(replace(call, name=name))
    drafts = _drafts(before)
    made = before if isinstance(before, str) else name
    shapes = {**call.shapes, **{draft.name: draft.shape for draft in drafts}}
    after = then(replace(call, arguments={"self": made}, shapes=shapes))
    return after if isinstance(after, str) else [*drafts, *_drafts(after)]


def _drafts(answer: Answer) -> list[Draft]:
    if isinstance(answer, str):
        return []
    return answer if isinstance(answer, list) else [answer]


def _where(call: Call) -> Answer:
    return _choose(call, call["condition"], call["self"], call["other"])


def _masked_fill(call: Call) -> Answer:
    return _choose(call, call["mask"], call["value"], call["self"])


def _choose(call: Call, condition: Any, chosen: Any, other: Any) -> Answer:
    """`chosen` where the condition holds, `other` elsewhere. What is not chosen may be anything, also not finite."""
    drafts: list[Draft] = []

    def tensor(value: Any, what: str) -> str:
        if isinstance(value, str):
            return value
        array = held_finite(np.asarray(value, np.float64))
        drafts.append(constant(call, _as_map(call, array), f"{call.name}.{what}"))
        return drafts[-1].name

    truth = tensor(condition, "condition")
    if _number(other) is not None:
        chosen = tensor(chosen, "chosen")
        return [*drafts, _step(call, "keep", chosen, truth, other)]
    if _number(chosen) is not None:
        other = tensor(other, "other")
        return [*drafts, _step(call, "fill", other, truth, chosen)]
    first, second = tensor(chosen, "chosen"), tensor(other, "other")
    kept = _step(replace(call, name=f"{call.name}.kept"), "keep", first, truth, 0.0)
    left = _step(replace(call, name=f"{call.name}.left"), "fill", second, truth, 0.0)
    both = call.draft("elementwise", [kept.name, left.name], "where", epilogue=[Step("add")])
    return [*drafts, kept, left, both]


def _number(value: Any) -> float | None:
    """What is the same everywhere, as a number."""
    if isinstance(value, str) or np.size(value) != 1:
        return None
    return float(np.asarray(value).item())


def _step(call: Call, kind: str, name: str, truth: str, value: Any) -> Draft:
    step = Step(kind, (float(held_finite(np.asarray(_number(value)))),))
    return call.draft("elementwise", [name, truth], "where", epilogue=[step])


def _as_map(call: Call, value: np.ndarray) -> np.ndarray:
    if value.ndim > 4 or (value.ndim == 4 and value.shape[0] != 1):
        raise call.refusal(f"a constant of shape {value.shape} makes more than one picture")
    return value.reshape((1,) * (4 - value.ndim) + value.shape)[0]


#: operator name -> the function that turns its call into drafts
TRUTHS: dict[str, Callable[[Call], Answer]] = {
    "gt": _comparison("gt"),
    "greater": _comparison("gt"),
    "ge": _comparison("ge"),
    "greater_equal": _comparison("ge"),
    "lt": _comparison("lt"),
    "less": _comparison("lt"),
    "le": _comparison("le"),
    "less_equal": _comparison("le"),
    "eq": _comparison("eq"),
    "ne": _unequal,
    "not_equal": _unequal,
    "logical_and": _of_truths("mul"),
    "logical_or": _of_truths("max"),
    "logical_xor": _either,
    "logical_not": _negate,
    **dict.fromkeys(("bitwise_and", "__and__"), _of_truths("mul")),
    **dict.fromkeys(("bitwise_or", "__or__"), _of_truths("max")),
    **dict.fromkeys(("bitwise_xor", "__xor__"), _either),
    "bitwise_not": _negate,
    "where": _where,
    "masked_fill": _masked_fill,
}
