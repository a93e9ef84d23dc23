"""Reads the calls of a program of which some tensors are TensorViews: follows them, or lays them in planes.

Four kinds of operators are told apart. Those of `VIEWS` make new views. Those of `TOKENS` combine elements along axes
of tensors of any rank, and lay them in planes as suits them. Pointwise ones treat every element alike, so
that they work on any rank: they read the planes of the tensor behind the view where they can. All others are those of
`models.frontend.aten`, whose tensors are (1, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from models.frontend.activations import ACTIVATIONS
from models.frontend.arithmetic import ARITHMETIC
from models.frontend.call import Answer, Call
from models.frontend.tokens.arranging import natural_groups
from models.frontend.tokens.operators import TOKENS
from models.frontend.truths import TRUTH_OPERANDS, TRUTHS
from models.frontend.views.operators import VIEWS
from models.frontend.views.placing import (
    STANDARD,
    Groups,
    Placing,
    place_constant,
    source_groups,
)
from models.frontend.views.view import TensorView, placed
from models.frontend.windows.pads import PADS

#: operators that compute each element of the result of the elements at its place
POINTWISE = frozenset({*ARITHMETIC, *ACTIVATIONS, *TRUTHS} - {"prelu", "_prelu_kernel"})
#: operators that give on the tensor they read
PASSING = frozenset(
    ("clone", "contiguous", "alias", "detach", "lift_fresh_copy", "to", "_to_copy", "dropout", "feature_dropout")
)
#: what the tensors are called that views and pointwise operators read
OPERANDS = ("self", "other", "input", *TRUTH_OPERANDS)

Convert = Callable[[Call], Answer]


class ViewReader:
    """Turns calls into drafts or views.

    Args:
        placing: the drafts and shapes of the network that is read.
        convert: makes a draft of a call all of whose tensors are (1, C, H, W).
    """

    def __init__(self, placing: Placing, convert: Convert) -> None:
        self.placing, self._convert = placing, convert

    def takes(self, call: Call) -> bool:
        """Whether a call's result may have any shape."""
        if call.op in VIEWS or _combines(call):
            return True
        return call.op in POINTWISE | PASSING and self._is_view_call(call)

    def read(self, call: Call) -> str | TensorView | list[TensorView | str]:
        """What a call makes: a tensor, by name, or one or several views."""
        if call.op in VIEWS and isinstance(call.get("self"), TensorView | str):
            views = {name: self._as_view(value) for name, value in call.arguments.items() if name == "self"}
            answer = VIEWS[call.op](replace(call, arguments={**call.arguments, **views}), self.placing)
            return [simplify(part) for part in answer] if isinstance(answer, list) else simplify(answer)
        if _combines(call):
            answer = TOKENS[call.op](call, self)
            return simplify(answer) if isinstance(answer, TensorView) else answer
        if call.op in POINTWISE and self._is_view_call(call):
            return self._read_pointwise(call)
        if call.op in PASSING and self._is_view_call(call):
            ((name, view),) = ((name, call[name]) for name in OPERANDS if isinstance(call.get(name), TensorView))
            self._convert(replace(call, arguments={**call.arguments, name: view.source}))  # may refuse
            return view
        return self._make(replace(call, arguments=self.place_all(call)))

    def place_all(self, call: Call) -> dict[str, Any]:
        """A call's arguments with the names of (1, C, H, W) tensors for views."""
        return {name: self._placed(value, call) for name, value in call.arguments.items()}

    def _placed(self, value: Any, call: Call) -> Any:
        if isinstance(value, list):
            return [self._placed(part, call) for part in value]
        if not isinstance(value, TensorView):
            return value
        if value.rank != 4 or value.sizes[0] != 1:
            raise call.refusal(f"it reads a tensor of shape {value.sizes}; only (1, C, H, W) is supported")
        return self.placing.place(value, STANDARD, call)

    def _is_view_call(self, call: Call) -> bool:
        return any(isinstance(call.get(name), TensorView) for name in OPERANDS)

    def _as_view(self, value: Any) -> Any:
        return TensorView.of(value, self.placing.shapes[value]) if isinstance(value, str) else value

    def _read_pointwise(self, call: Call) -> str | TensorView:
        """The call on planes, and the view of its result that has the sizes torch gives it."""
        operands = {name: self._as_view(call[name]) for name in OPERANDS if name in call.arguments}
        views = {name: value for name, value in operands.items() if isinstance(value, TensorView)}
        if alike := _alike(operands, call.sizes):
            return self._read_behind(call, views, alike)
        groups = _common_groups(call.sizes, list(views.values()))
        arguments = dict(call.arguments)
        for name, value in operands.items():
            if isinstance(value, TensorView):
                arguments[name] = self._place_operand(value, call, groups)
            elif isinstance(value, np.ndarray):
                arguments[name] = place_constant(value, call.sizes, groups)
        channels, height, width = (int(np.prod([call.sizes[axis] for axis in group])) for group in groups)
        name = self._make(replace(call, arguments=arguments, shape=(channels, height, width)))
        return simplify(placed(name, call.sizes, groups))

    def _read_behind(self, call: Call, views: dict[str, TensorView], alike: TensorView) -> TensorView:
        """The call on the tensors behind its views, which are alike; the result is such a view as well."""
        sources = {name: view.source for name, view in views.items()}
        name = self._make(replace(call, arguments={**call.arguments, **sources}, shape=alike.source_shape))
        return replace(alike, source=name)

    def _make(self, call: Call) -> str:
        """Convert a call on planes; the name of the tensor it makes, or that it merely passes on."""
        answer = self._convert(call)
        if isinstance(answer, str):
            return answer
        for draft in answer if isinstance(answer, list) else [answer]:
            self.placing.drafts.append(draft)
            self.placing.shapes[draft.name] = draft.shape
        call.made_by[call.name] = call
        return call.name

    def _place_operand(self, view: TensorView, call: Call, groups: Groups) -> str:
        """An operand in planes: of whole groups of axes that it repeats along, one element only."""
        while view.rank < len(call.sizes):
            view = view.insert(0)
        view = view.without_repeats()
        sizes = list(view.sizes)
        for group in groups:
            if any(view.sizes[axis] != 1 for axis in group):
                for axis in group:
                    sizes[axis] = call.sizes[axis]
        return self.placing.place(view.expand(sizes), groups, call)


def _combines(call: Call) -> bool:
    """Whether a call is one of `TOKENS`; the extremes of two tensors are pointwise, and maps are joined by channels and
    padded as maps."""
    is_map = len(call.sizes) == 4 and call.sizes[0] == 1
    if is_map and (call.op in PADS or (call.op == "cat" and call["dim"] in (1, -3))):
        return False
    return call.op in TOKENS and "other" not in (call.arguments if call.op in ("max", "min") else ())


def simplify(view: TensorView) -> TensorView | str:
    """The name of the tensor that a view is, where it is no other."""
    return view.source if view.is_source else view


def _alike(operands: dict[str, Any], sizes: tuple[int, ...]) -> TensorView | None:
    """The view that all operands are, each of another source, if it has all elements of its source once."""
    views = [value for value in operands.values() if isinstance(value, TensorView)]
    first, *others = views
    if any(isinstance(value, np.ndarray) and value.size > 1 for value in operands.values()) or first.sizes != sizes:
        return None
    for other in others:
        same = (other.source_shape, other.sizes, other.offset) == (first.source_shape, first.sizes, first.offset)
        if not same or not all(map(np.array_equal, first.tables, other.tables)):
            return None
    elements = int(np.prod(first.source_shape))
    every = tuple((axis,) for axis in range(first.rank))
    return first if first.index_map(every).is_bijective(elements) else None


def _common_groups(sizes: tuple[int, ...], views: list[TensorView]) -> Groups:
    """In which order, and how joined, the axes of a pointwise call lie in planes: as in an operand, if possible."""
    for view in views:
        if view.sizes == sizes and (groups := source_groups(view)) is not None:
            return groups
    if len(sizes) == 4 and sizes[0] == 1 and all(view.source_shape == sizes[1:] for view in views):
        return STANDARD
    whole = max(views, key=lambda view: prod(view.sizes))
    missing = len(sizes) - whole.rank
    groups = natural_groups(whole)
    channels, rows, columns = (tuple(axis + missing for axis in group) for group in groups)
    return (*range(missing), *channels), rows, columns
