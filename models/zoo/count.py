"""Counts of a torch module before any folding: parameters, multiply-adds, and every convolution with its shapes.

The module itself runs, but on torch's meta device, where tensors have shapes and no numbers: milliseconds for any
network, and the module's own weights are not touched. `models.frontend.trace` counts after folding, where batch norms
are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from fleetpose.errors import UsageError
from models.graph.layer import Shape
from models.zoo.spec import ModelSpec

_BATCH_NORMS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")


@dataclass(frozen=True)
class Conv:
    """One convolution as it ran; per axis values are (height, width).

    Attributes:
        module: path of the module it ran in.
        in_shape, out_shape: (C, H, W).
        bias: the convolution itself has one.
        transposed: it is a transposed one.
    """

    module: str
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    bias: bool

    transposed: bool = False

    @property
    def macs(self) -> int:
        if self.transposed:
            return self.out_shape[0] // self.groups * prod(self.kernel) * prod(self.in_shape)
        return self.in_shape[0] // self.groups * prod(self.kernel) * prod(self.out_shape)


@dataclass(frozen=True)
class Count:
    """Counts of one module at one input.

    Attributes:
        params: elements of all parameters, batch norms' included; shared ones once.
        convs: in the order they ran.
        norm_elements: output elements of all batch norms.
    """

    params: int
    convs: tuple[Conv, ...]
    norm_elements: int

    @property
    def macs(self) -> int:
        """Multiply-adds of the convolutions."""
        return sum(conv.macs for conv in self.convs)

    @property
    def macs_bn(self) -> int:
        """The paper's "FLOPs": `macs`, one per output element with a bias, two per batch-normed element."""
        return self.macs + sum(prod(conv.out_shape) for conv in self.convs if conv.bias) + 2 * self.norm_elements


class _Recorder(TorchDispatchMode):
    """Sees every ATen operator that runs; `path` is the innermost module's."""

    def __init__(self) -> None:
        super().__init__()
        self.path: list[str] = [""]
        self.convs: list[Conv] = []
        self.norm_elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "convolution":
            self.convs.append(self._conv(args, result))
        elif name in _BATCH_NORMS:
            self.norm_elements += result[0].numel()
        return result

    def _conv(self, args: Any, result: torch.Tensor) -> Conv:
        x, weight, bias, stride, padding, dilation, transposed, _, groups = args
        path = self.path[-1]
        if weight.ndim != 4 or x.shape[0] != 1:
            raise UsageError(f"module {path!r}: only 2-D convolutions on batch 1 can be counted")
        return Conv(
            path,
            _shape(x),
            _shape(result),
            kernel=_pair(weight.shape[2:]),
            stride=_pair(stride),
            padding=_pair(padding),
            dilation=_pair(dilation),
            groups=groups,
            bias=bias is not None,
            transposed=transposed,
        )


def _shape(tensor: torch.Tensor) -> Shape:
    return int(tensor.shape[1]), int(tensor.shape[2]), int(tensor.shape[3])


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return int(values[0]), int(values[-1])


@contextmanager
def _paths(module: nn.Module, path: list[str]) -> Iterator[None]:
    """Keep `path[-1]` the path of the submodule that runs."""
    with ExitStack() as hooks:
        for name, part in module.named_modules():
            hooks.enter_context(part.register_forward_pre_hook(lambda _part, _x, name=name: path.append(name)))
            hooks.enter_context(part.register_forward_hook(lambda _part, _x, _y: (path.pop(), None)[1]))
        yield


def count(module: nn.Module, input_shape: Shape) -> Count:
    """Count `module`, in the mode it is in, on an input (1, *input_shape). Its weights and device do not matter.

    Raises:
        UsageError: a convolution that is not 2-D.
    """
    params = sum(parameter.numel() for parameter in module.parameters())
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    recorder = _Recorder()
    with torch.no_grad(), _paths(module, recorder.path), recorder:
        functional_call(module, meta, (torch.empty(1, *input_shape, device="meta"),))
    return Count(params, tuple(recorder.convs), recorder.norm_elements)


def count_model(spec: ModelSpec, size: tuple[int, int] | None = None) -> Count:
    """Count a registered model, built without memory for its weights.

    Args:
        size: input (height, width) in pixels (default: the spec's own).
    """
    with torch.device("meta"):
        module = spec.build()
        module.eval()
    return count(module, spec.input_shape(size))
