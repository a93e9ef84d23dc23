"""Answer: how what a torch module returns comes from a Graph's outputs; torch-free.

A Graph's outputs are maps, (1, C, H, W). A module returns tensors of any rank, nested in dictionaries, lists and
dataclasses, constants among them, or goes on with what no kernel does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from fleetpose.errors import UsageError


@dataclass(frozen=True)
class ViewStep:
    """One step from a map to the tensor that a module returns, on this machine.

    kind: "reshape" or "transpose". values: the new shape, or which axis each of the new ones is.
    """

    kind: str
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in ("reshape", "transpose"):
            raise ValueError(f"a step of a view is a reshape or a transpose, not {self.kind!r}")


View = tuple[ViewStep, ...]


def apply_view(array: np.ndarray, view: View) -> np.ndarray:
    """`array` as the steps lay it out, without a copy where NumPy needs none."""
    for step in view:
        array = array.reshape(step.values) if step.kind == "reshape" else array.transpose(step.values)
    return array


def view_shape(shape: tuple[int, ...], view: View) -> tuple[int, ...]:
    """The shape that `apply_view` gives an array of `shape`. Raises UsageError for steps that do not fit."""
    for step in view:
        reshapes = step.kind == "reshape"
        fits = (
            all(side >= 0 for side in step.values) and prod(step.values) == prod(shape)
            if reshapes
            else sorted(step.values) == list(range(len(shape)))
        )
        if not fits:
            raise UsageError(f"a view cannot {step.kind} {shape} to {step.values}")
        shape = step.values if reshapes else tuple(shape[axis] for axis in step.values)
    return shape


@dataclass(frozen=True, eq=False)
class FixedOutput:
    """An output that does not depend on the input. `name`: as in Answer.names."""

    name: str
    value: np.ndarray


@dataclass(frozen=True)
class Cut:
    """Where a network ends before its module does, because what follows depends on the data.

    Attributes:
        op: the first such operator, e.g. "topk".
        module, line: where it was called: path of the module, and line of the source as "net.py:123" or "".
        lost: names of what the module returns and the graph does not.
        given: names of the outputs that take their place.
    """

    op: str
    module: str
    line: str
    lost: tuple[str, ...]
    given: tuple[str, ...]

    def __str__(self) -> str:
        where = f" ({self.line})" if self.line else ""
        inside = f"module {self.module!r}" if self.module else "the root module"
        return (
            f"the network is cut before {self.op!r} in {inside}{where}, which depends on the data: instead of "
            f"{', '.join(self.lost)} it gives {', '.join(self.given)}"
        )


@dataclass(frozen=True)
class Answer:
    """What a module returns.

    Attributes:
        names: of each output of the graph: its place in what the module returns, "heads.0.maps", or "output_1" in a
            tuple; of an output before a cut, the layer's name.
        views: how each output becomes what the module returns.
        fixed: outputs that do not depend on the input.
        cuts: where the graph ends before the module does.
    """

    names: tuple[str, ...] = ()
    views: tuple[View, ...] = ()
    fixed: tuple[FixedOutput, ...] = ()
    cuts: tuple[Cut, ...] = ()

    def restore(self, maps: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """What the module returns by name, of a graph's outputs, each (1, C, H, W)."""
        fixed = {output.name: output.value for output in self.fixed}
        views = self.views or ((),) * len(maps)
        return {
            name: apply_view(array, view) for name, array, view in zip(self.names, maps, views, strict=True)
        } | fixed

    def with_names(self, names: dict[str, str]) -> Answer:
        """The answer with outputs called otherwise; those that `names` lacks stay."""

        def rename(old: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(names.get(name, name) for name in old)

        cuts = tuple(replace(cut, given=rename(cut.given)) for cut in self.cuts)
        return replace(self, names=rename(self.names), cuts=cuts)
