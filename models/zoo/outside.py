"""Networks from outside the registry: "package.module:factory", "file.py:factory", or torch.export.save's "net.pt2".

What a ModelSpec says of them is what they say themselves (models.zoo.described) and what one run on tensors without
numbers shows. Imports torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fleetpose.disk.reading import check_file
from fleetpose.errors import UsageError, unknown_name
from models.zoo.described import ATTRIBUTE, DEFAULT_SIZE, check_description, complete, described_size
from models.zoo.input_sizes import with_sides
from models.zoo.outputs import input_channels, look_at_outputs
from models.zoo.spec import ModelSpec
from models.zoo.user_modules import as_its_own_program, import_user_module


@lru_cache
def factory_spec(name: str) -> ModelSpec:
    """The spec of "package.module:factory" or "file.py:factory", as models.zoo.user_modules finds the module.

    The factory is a callable without required arguments (a function, or the module's class) that returns a
    torch.nn.Module taking (1, C, H, W); or it is a ModelSpec, which is taken as it is under its own name.

    Raises:
        UsageError: a module that is not there or fails, a name it has not, something that makes no Module.
    """
    module_name, _, attribute = name.rpartition(":")
    module = import_user_module(module_name, name)
    target: Any = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            known = [key for key, value in vars(target).items() if callable(value) and not key.startswith("_")]
            raise unknown_name(f"factory in {module_name}:", part, known)
        target = getattr(target, part)
    if isinstance(target, ModelSpec):
        return target
    factory = _factory(target, name)
    network = factory()
    network.eval()  # which answers nothing where a module has a train() of its own that answers nothing
    said = check_description(getattr(target, ATTRIBUTE, None) or getattr(network, ATTRIBUTE, {}), name)
    size = described_size(said, name) or DEFAULT_SIZE
    channels = said.get("channels") or input_channels(network, size)
    outputs = look_at_outputs(network, size, name, channels)
    spec = complete(name, factory, said, size, outputs, own_weights=True, channels=channels)
    return with_sides(spec, network)


def _factory(target: Any, name: str) -> Callable[..., nn.Module]:
    """`target` with its result checked, on the CPU. Raises UsageError where it cannot be called without arguments."""
    if isinstance(target, nn.Module) or not callable(target):
        raise UsageError(f"{name} is a {type(target).__name__}; name a function that returns a torch.nn.Module")
    try:
        inspect.signature(target).bind()
    except TypeError as error:
        raise UsageError(f"{name} cannot be called without arguments: {error}") from None

    def make(**_parameters: Any) -> nn.Module:
        try:
            with torch.device("cpu"), as_its_own_program(name.rpartition(":")[0], f"{name}()"):
                network = target()
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"{name}() failed: {type(error).__name__}: {error}") from error
        if not isinstance(network, nn.Module):
            raise UsageError(f"{name}() returned a {type(network).__name__}, not a torch.nn.Module")
        return network

    return make


def program_spec(path: str) -> ModelSpec:
    """The spec of an exported program. Raises UsageError for a file that holds none, or one of another form."""
    try:
        check_file(path)
        changed = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise UsageError(f"cannot read the exported program {path}: {error.strerror}") from error
    return _program_spec(path, changed)


@lru_cache
def _program_spec(path: str, _changed: int) -> ModelSpec:
    from models.zoo.program import read_program

    program = read_program(path)
    said = check_description(program.said, path)
    size = described_size(said, path) or program.size
    if program.fixed and size != program.size:
        height, width = program.size
        raise UsageError(f"{path} says another size than the {height}x{width} it was exported for")
    network = program.network()
    outputs = look_at_outputs(network, size, path, program.channels)

    def make(**_parameters: Any) -> nn.Module:
        return read_program(path).network()

    spec = complete(
        path, make, said, size, outputs, own_weights=True, fixed_size=program.fixed, channels=program.channels
    )
    return with_sides(spec, network)
