"""What a network from outside gives: seen in one run on tensors without numbers, or in its graph.

Imports torch.
"""

from __future__ import annotations

import logging
import re
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from fleetpose.errors import UsageError, first_line
from models.frontend.refusal import ONE_INPUT
from models.frontend.results.cuts import INDEXED_POOLS, picks_by_value
from models.frontend.results.failing import runs_without_numbers, silent_torch
from models.frontend.results.nesting import name_leaves
from models.frontend.results.returned import RETURNED
from models.frontend.trace import trace
from models.graph.layer import Shape
from models.zoo.described import ATTRIBUTE, Output, Outputs

log = logging.getLogger("fleetpose.models")

#: what torch says where an input's height or width is the trouble
_SIZE_TROUBLE = re.compile(
    r"sizes? of tensors|must match the size|invalid for input of size|input size|shapes cannot be multiplied"
    r"|output size is too small|input image size",
    re.IGNORECASE,
)


#: what Python says where a forward takes more than the picture
_MORE_INPUTS = re.compile(r"forward\(\) missing \d+ required")


class _DataWatch(TorchDispatchMode):
    """Notes whether an operator ran whose result depends on data."""

    seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operator = func.overloadpacket.__name__
        self.seen = self.seen or (operator not in INDEXED_POOLS and picks_by_value(operator, args, result))
        return result


def look_at_outputs(network: nn.Module, size: tuple[int, int], name: str, channels: int = 3) -> Outputs:
    """The outputs of `network` for (1, channels, *size), which are found without computing them.

    Where some are no maps, or something depends on data, the network is traced, and where it is cut is logged.

    Raises:
        UsageError: the network does not take such an input, or returns no tensor.
    """
    watch = _DataWatch()
    try:
        with silent_torch(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), watch:
            leaves = name_leaves(network(torch.zeros(1, channels, *size)))
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    except Exception as error:  # whatever a network's forward raises
        cut = _traced_outputs(network, (channels, *size), name)  # it may fail because it depends on data
        if cut is None:
            raise _failure(name, (channels, *size), error) from error
        return cut
    tensors = {key: leaf for key, leaf in leaves.items() if isinstance(leaf, torch.Tensor)}
    if not tensors:
        raise UsageError(f"{name} returns no tensor; {RETURNED}")
    seen = Outputs(tuple(Output(key, _map_shape(leaf)) for key, leaf in tensors.items()))
    if not watch.seen and all(output.shape for output in seen.entries):
        return seen
    return _traced_outputs(network, (channels, *size), name) or seen


def _traced_outputs(network: nn.Module, shape: Shape, name: str) -> Outputs | None:
    """The outputs of a network's graph; None where it has none, which is said when the network is built."""
    try:
        graph = trace(network, shape, name)
    except UsageError:
        return None
    for cut in graph.answer.cuts:
        log.warning("%s: %s", name, cut)
    views = graph.answer.views or ((),) * len(graph.outputs)
    shapes = [None if view else graph.shape(tensor) for tensor, view in zip(graph.outputs, views, strict=True)]
    outputs = (Output(key, shape) for key, shape in zip(graph.answer.names, shapes, strict=True))
    return Outputs(tuple(outputs), cut=bool(graph.answer.cuts))


def input_channels(network: nn.Module, size: tuple[int, int]) -> int:
    """Channels of the input that a network takes: 3 where it runs with them, else those of its first convolution.

    What else ails a network is told when it is run for its outputs (`_failure`).
    """
    convolution = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if convolution is None or convolution.in_channels == 3:
        return 3
    runs = (channels for channels in (3, convolution.in_channels) if runs_without_numbers(network, (channels, *size)))
    return next(runs, 3)


def _map_shape(tensor: torch.Tensor) -> tuple[int, int, int] | None:
    if tensor.ndim != 4 or tensor.shape[0] != 1 or not tensor.is_floating_point():
        return None
    return int(tensor.shape[1]), int(tensor.shape[2]), int(tensor.shape[3])


def _failure(name: str, shape: Shape, error: Exception) -> UsageError:
    """The error for a network that fails: with the line that failed, and the size only where that is the trouble."""
    others = (str(Path(torch.__file__).parent), __file__)
    lines = [
        f" ({Path(frame.filename).name}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(others)
    ]
    where = lines[-1] if lines else ""
    why = first_line(error, 200)
    if not _SIZE_TROUBLE.search(why):
        mend = f"; {ONE_INPUT}" if _MORE_INPUTS.search(why) else ""
        said = f"{type(error).__name__}: {why}{mend}"
        return UsageError(f"{name} fails on a picture of {shape[0]} channels{where}: {said}")
    hint = f"say its size by the attribute {ATTRIBUTE} = {{'size': (H, W)}}"
    return UsageError(f"{name} does not run on 1 x {shape[0]} x {shape[1]} x {shape[2]}{where}: {why}; {hint}")
