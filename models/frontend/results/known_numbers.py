"""Weights that Python asks for their number, `if self.alpha:` say: it is known, whatever the picture is."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from models.frontend.results.forwarding import other_forward

#: how Python asks a tensor for its number, and what it makes of it
_QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "__bool__": bool,
    "__int__": int,
    "__float__": float,
    "__index__": operator.index,
    "item": lambda number: number,
}


@contextmanager
def known_numbers(module: nn.Module) -> Iterator[None]:
    """For a while `module` answers such questions by its own weights, also where it runs without numbers."""
    known = {name: tensor.item() for name, tensor in _single_numbers(module)}
    if not known:
        yield
        return
    forward = module.forward

    def run(*args: Any, **named: Any) -> Any:
        # torch.export has put others in the weights' places, which have no numbers
        numbers = {id(tensor): known[name] for name, tensor in _single_numbers(module)}
        with _Answers(numbers):
            return forward(*args, **named)

    with other_forward(module, run):
        yield


class _Answers(TorchFunctionMode):
    """Answers questions for the numbers of tensors that are known, by their ids."""

    def __init__(self, numbers: dict[int, bool | int | float]) -> None:
        super().__init__()
        self.numbers = numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        convert = _QUESTIONS.get(getattr(func, "__name__", ""))
        if convert and args and id(args[0]) in self.numbers:
            return convert(self.numbers[id(args[0])])
        return func(*args, **(kwargs or {}))


def _single_numbers(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers of one number."""
    tensors = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    return ((name, tensor) for name, tensor in tensors if tensor.numel() == 1 and not tensor.is_meta)
