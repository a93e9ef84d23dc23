"""Tensors whose values stay known while a module is traced: the shapes and scales that ONNX operators read as tensors.

torch.export and fake tensors hide values. An ONNX graph computes shapes in tensors, of constants and of the input's
shape, which is fixed while it is traced. `KnownTensor` computes at once and for real, whatever mode is on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _disable_current_modes


class KnownTensor(torch.Tensor):
    """What is computed of known tensors alone is known, too; with others it is an ordinary constant."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        with torch._C.DisableTorchFunctionSubclass():
            leaves = [leaf for leaf in pytree.tree_leaves((args, kwargs or {})) if isinstance(leaf, torch.Tensor)]
            if not all(isinstance(leaf, KnownTensor) for leaf in leaves):
                plain_args, plain_named = pytree.tree_map(_plain, (args, kwargs or {}))
                return func(*plain_args, **plain_named)
            with _disable_current_modes():
                plain_args, plain_named = pytree.tree_map(_plain, (args, kwargs or {}))
                return pytree.tree_map(know, func(*plain_args, **plain_named))


def know(value: Any) -> Any:
    """A real tensor as a known one; anything else as it is."""
    if not isinstance(value, torch.Tensor) or isinstance(value, KnownTensor):
        return value
    with _disable_current_modes(), torch._C.DisableTorchFunctionSubclass():
        return value.detach().as_subclass(KnownTensor)


def _plain(value: Any) -> Any:
    if not isinstance(value, KnownTensor):
        return value
    with _disable_current_modes(), torch._C.DisableTorchFunctionSubclass():
        return value.as_subclass(torch.Tensor)


class KnownConstant(nn.Module):
    """Gives a constant that tracing does not see as a buffer."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.box = _Box(know(value))

    def forward(self) -> torch.Tensor:
        return self.box.value


class KnownShape(nn.Module):
    """Gives the shape of a tensor, or the part from `start` to `end` of it."""

    def __init__(self, start: int | None = None, end: int | None = None) -> None:
        super().__init__()
        self.start, self.end = start, end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sides = [int(side) for side in x.shape[self.start : self.end]]
        with _disable_current_modes():
            return know(torch.tensor(sides, dtype=torch.int64))


class _Box:
    """Holds a tensor where torch.export does not look for constants."""

    def __init__(self, value: torch.Tensor) -> None:
        self.value = value

    def __deepcopy__(self, memo: Any) -> _Box:
        return self
