"""Pattern: one generic way of writing something in a network, and what becomes of it when it is traced."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import nn

from tests.small_network import Fn
from tests.torch.random_weights import shake_batch_norms

SHAPE = (4, 8, 12)


@dataclass(frozen=True)
class Pattern:
    """A way of writing something.

    Attributes:
        name: what a test calls it.
        written: a function of nothing that makes the module, or a forward (s, x), where s has the parts of `make`.
        shape: of the input.
        refused: what the one line says that refuses it; "" of what is taken.
        single: it works in float32 only, as what calls .float() does, and is compared so.
    """

    name: str
    written: Callable[..., Any]
    shape: tuple[int, int, int] = SHAPE
    refused: str = ""
    single: bool = False

    def make(self) -> nn.Module:
        """The module in eval mode, its random weights the same in every process."""
        torch.manual_seed(zlib.crc32(self.name.encode()))
        if list(signature(self.written).parameters) != ["s", "x"]:
            return shake_batch_norms(self.written())
        channels = self.shape[0]
        module = Fn(
            self.written,
            c=nn.Conv2d(channels, 8, 3, padding=1),
            d=nn.Conv2d(8, 8, 3, padding=1),
            e=nn.Conv2d(8, 8, 1),
            one=nn.Conv2d(8, 1, 1),
            down=nn.Conv2d(8, 2, 1),
            widen=nn.Conv2d(2, 8, 1),
            norm=nn.BatchNorm2d(8),
            linear=nn.Linear(8, 5),
        )
        module.vector, module.number = nn.Parameter(torch.rand(8, 1, 1) + 0.5), nn.Parameter(torch.rand(1))
        module.weights = nn.Parameter(torch.rand(3))
        module.register_buffer("mean", torch.rand(channels, 1, 1))
        module.register_buffer("deviation", torch.rand(channels, 1, 1) + 0.5)
        return shake_batch_norms(module)


def patterns(area: str, table: dict[str, Any], **settings: Any) -> dict[str, Pattern]:
    """The patterns of a table by "area: name".

    A value is what Pattern.written is, or that and the input's shape.
    """
    read = {}
    for name, value in table.items():
        written, shape = value if isinstance(value, tuple) else (value, settings.get("shape", SHAPE))
        full = f"{area}: {name}"
        read[full] = Pattern(full, written, **{**settings, "shape": shape})
    return read
