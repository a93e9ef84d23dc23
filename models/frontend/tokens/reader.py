"""What the operators of this folder need of the one who reads the program, and how they leave drafts with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.frontend.views.placing import Groups, Placing
from models.frontend.views.view import TensorView
from models.graph.layer import Shape


class TensorReader(Protocol):
    """Whoever reads a program: it knows the tensors so far, and reads calls of any operator."""

    placing: Placing

    def read(self, call: Call) -> Any:
        """What a call makes: a draft, a tensor's name, or a view."""
        ...


def as_view(call: Call, reader: TensorReader, argument: str) -> TensorView:
    """An argument of a call that is a tensor of the network. Raises UsageError for a constant or number."""
    value = call[argument]
    if isinstance(value, str):
        return TensorView.of(value, reader.placing.shapes[value])
    if not isinstance(value, TensorView):
        raise call.refusal(f"its {argument!r} is a constant; only tensors that depend on the input are supported")
    return value


def constant(call: Call, argument: str) -> np.ndarray | None:
    """A weight or bias, or None where there is none. Raises UsageError for a tensor of the network."""
    value = call.get(argument)
    if not isinstance(value, np.ndarray | None):
        raise call.refusal(f"its {argument!r} depends on the input; only constants are supported there")
    return value


def leave(call: Call, reader: TensorReader, op: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
    """Leave a draft among those read so far; the name of the tensor it makes."""
    placing = reader.placing
    name, count = call.name, 1
    while name in placing.shapes:
        count += 1
        name = f"{call.name}.{count}"
    draft: Draft = replace(call, name=name, shape=shape).draft(op, inputs, call.op, **attributes)
    placing.drafts.append(draft)
    placing.shapes[name] = shape
    return name


def joined_shape(sizes: Sequence[int], groups: Groups) -> Shape:
    """The (C, H, W) of a tensor of `sizes` that lies in planes by `groups`."""
    channels, height, width = (int(np.prod([sizes[axis] for axis in group], dtype=np.int64)) for group in groups)
    return channels, height, width
