"""Constants of an exported program: parameters, buffers, and all that is computed from them alone, by running it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.utils import _pytree as pytree

from fleetpose.errors import first_line
from models.frontend.origin import origin_of
from models.frontend.refusal import Refusal
from models.frontend.results.views import operator_of

#: operators that read no more of a tensor than its shape
FILLING = frozenset(("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"))


class Constants:
    """The values of a program's nodes that do not depend on its input; floating-point ones in float64.

    So weight norms, spectral norms, standardised weights, pruning masks and parametrised weights are what they come to.
    """

    def __init__(self) -> None:
        self.values: dict[fx.Node, Any] = {}

    def give(self, node: fx.Node, value: torch.Tensor) -> None:
        """Note the value of a parameter, buffer or tensor constant."""
        self.values[node] = _exact(value.detach().cpu())

    def covers(self, node: fx.Node) -> bool:
        """Whether a call depends on constants only."""
        return operator_of(node) in FILLING or all(source in self.values for source in node.all_input_nodes)

    def evaluate(self, node: fx.Node) -> Any:
        """The result of a call that `covers` says is one; noted too. Raises Refusal where it cannot be computed."""
        target: Any = node.target
        if _is_random(node):
            raise _refusal(node, "it draws random numbers")
        arguments = fx.node.map_arg((node.args, dict(node.kwargs)), self._value)
        try:
            with torch.no_grad():
                result = target(*arguments[0], **_on_cpu(arguments[1]))
        except Exception as error:  # operators document no base class
            raise _refusal(node, f"its value cannot be computed: {first_line(error, 200)}") from error
        self.values[node] = pytree.tree_map(_exact, result)
        return self.values[node]

    def _value(self, node: fx.Node) -> Any:
        """A node's value, or of what only its shape is read, zeros."""
        return self.values[node] if node in self.values else torch.zeros(node.meta["val"].shape)


def _is_random(node: fx.Node) -> bool:
    """Whether a call draws random numbers; one that drops out nothing does not."""
    target: Any = node.target
    if torch.Tag.nondeterministic_seeded not in getattr(target, "tags", ()):
        return False
    given = dict(zip((argument.name for argument in target._schema.arguments), node.args, strict=False))
    given.update(node.kwargs)
    drops = {argument.name: given.get(argument.name, argument.default_value) for argument in target._schema.arguments}
    return bool(drops.get("dropout_p", drops.get("train", True)))


def as_arrays(value: Any) -> Any:
    """A constant as calls are given it: tensors as float64 arrays, masks as arrays of bool."""
    return pytree.tree_map(lambda part: _array(part) if isinstance(part, torch.Tensor) else part, value)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return (tensor if tensor.dtype == torch.bool else tensor.double()).numpy()


def _exact(value: Any) -> Any:
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _refusal(node: fx.Node, why: str) -> Refusal:
    return Refusal(operator_of(node) or str(node.target), origin_of(node), why)


def _on_cpu(keywords: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "cpu" if name == "device" and value is not None else value for name, value in keywords.items()}
