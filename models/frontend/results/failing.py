"""Why a module cannot be exported, in a line: where, whether PyTorch itself runs it, and on which input it would.

A module that was made for other channels or another size fails inside, in words that speak of one operator. It is run
once more, to know the part that fails, and on inputs of other shapes, without numbers, to know whether the shape is the
trouble at all.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fleetpose.errors import UsageError, first_line
from models.frontend.origin import failing_line
from models.frontend.refusal import ONE_INPUT
from models.graph.layer import Shape

#: inputs (height, width) that networks are often made for
_USUAL_SIZES = ((224, 224), (256, 192), (256, 256), (384, 288), (512, 512), (368, 368), (640, 640))
_MULTIPLES = (32, 64, 128)
#: what Python says where a forward takes more than the picture
_MORE_INPUTS = re.compile(r"forward\(\) missing \d+ required")


def export_failure(module: nn.Module, example: torch.Tensor, error: Exception) -> UsageError:
    """The error for a module, in eval mode, that torch.export failed on with `error`."""
    shape: Shape = tuple(example.shape[1:])  # type: ignore[assignment]
    own = None if "data-dependent" in str(error) else _own_error(module, example)
    if own is None:
        what = f"torch.export cannot trace {type(module).__name__} at {shape}"
        return UsageError(f"{what}{_place(error, module)}: {_why(error)}")
    what = f"{type(module).__name__} does not run on an input {(1, *shape)}"
    mend = ONE_INPUT if _MORE_INPUTS.search(str(own)) else _mend(module, shape)
    return UsageError(f"{what}{_place(own, module)}: {_why(own)}; {mend}")


def runs_without_numbers(network: nn.Module, shape: Sequence[int]) -> bool:
    """Whether a network takes a picture of `shape`, (C, H, W); no numbers are computed."""
    try:
        with silent_torch(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            network(torch.zeros(1, *shape))
    except Exception:  # whatever a network's forward raises
        return False
    return True


@contextmanager
def silent_torch() -> Iterator[None]:
    """torch prints what does not run; here that is an answer."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def _own_error(module: nn.Module, example: torch.Tensor) -> Exception | None:
    """What PyTorch itself raises; None where it runs the module."""
    try:
        with torch.no_grad():
            module(example)
    except Exception as error:  # whatever a network's forward raises
        return error
    return None


def _mend(module: nn.Module, shape: Shape) -> str:
    channels, *size = shape
    rounded = [tuple(-(-side // multiple) * multiple for side in size) for multiple in _MULTIPLES]
    shapes = [(other, *size) for other in (1, 3)] + [(channels, *sides) for sides in (*rounded, *_USUAL_SIZES)]
    for other in dict.fromkeys(shapes):
        if other != shape and runs_without_numbers(module, other):
            return f"it runs on {(1, *other)}: give it an input of that shape"
    return "it runs on no usual size either: mend the module, or give the size that it was made for"


def _place(error: Exception, module: nn.Module) -> str:
    """Where an error came from, " in module 'a.b' (net.py:12)", of what is known of that."""
    paths = {id(part): path for path, part in module.named_modules()}
    parts = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    path = next((paths[id(part)] for part in reversed(parts) if id(part) in paths), "")
    line = failing_line(error)
    return (f" in module {path!r}" if path else "") + (f" ({line})" if line else "")


def _why(error: Exception) -> str:
    """What is the matter, in a line, with the mend where a branch depends on numbers of the input."""
    why = first_line(error, 200)
    if "data-dependent" in why:
        return "Python here depends on the data (a branch, a size or a loop); end the network before it"
    return why
