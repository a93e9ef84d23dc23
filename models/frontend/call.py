"""Call: one operator call of an exported program, with what is needed to turn it into a Draft; torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.frontend.draft import Draft
from models.frontend.refusal import USUAL_MEND, Origin, Refusal
from models.graph.layer import Shape

#: what a call turns into: drafts, of which the last makes its tensor, or the name of a tensor that it passes on
Answer = Draft | str | list[Draft]


@dataclass(frozen=True)
class Call:
    """One operator call of an exported program, its arguments by their schema names.

    Attributes:
        name: of the tensor it makes.
        op: operator name, e.g. "conv2d".
        arguments: str for a tensor of the network, np.ndarray (float64) for a constant, else a plain value.
        shape: of the result, (C, H, W).
        sizes: of the result, whatever its rank, the batch among them.
        shapes: of every tensor of the network so far.
        origin: where it was called.
        made_by: the call that made each tensor so far, for patterns over two operators.
    """

    name: str
    op: str
    arguments: dict[str, Any]
    shape: Shape
    shapes: dict[str, Shape]
    origin: Origin
    made_by: dict[str, Call]
    sizes: tuple[int, ...] = ()

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    def get(self, argument: str, default: Any = None) -> Any:
        return self.arguments.get(argument, default)

    def refusal(self, why: str, mend: str = USUAL_MEND) -> Refusal:
        """The error for a call that no layer expresses: why, and what to do about it."""
        return Refusal(self.op, self.origin, why, mend)

    def tensor(self, argument: str) -> str:
        """The name of a tensor of the network. Raises UsageError for a constant or number."""
        value = self[argument]
        if not isinstance(value, str):
            raise self.refusal(f"its {argument!r} is a constant; only tensors that depend on the input are supported")
        return value

    def pair(self, argument: str, default: Sequence[int] = ()) -> tuple[int, int]:
        """A per-axis setting: one number for both axes, two numbers, or none for `default`."""
        values = self[argument]
        values = list(values) if isinstance(values, list | tuple) else [values]
        values = values or list(default)
        return (int(values[0]), int(values[-1]))

    def draft(self, op: str, inputs: Sequence[str], kind: str, **attributes: Any) -> Draft:
        return Draft(self.name, op, list(inputs), self.shape, self.origin.path, kind, self.origin.leaf, **attributes)
