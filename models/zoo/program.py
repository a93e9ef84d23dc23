"""Reads a file of torch.export.save back into a torch module, with the modules, names and weights it was exported from.

torch's `unflatten` restores the hierarchy of modules, whose forwards are graphs. Convolutions and batch norms become
torch's own again, so that layers are called as in the original, and can be pruned.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram, unflatten

from fleetpose.codec import parse_json
from fleetpose.codec.text import FILE
from fleetpose.errors import DataError, UsageError, first_line
from fleetpose.trust import trusted, untrusted
from models.zoo.described import ATTRIBUTE, DEFAULT_SIZE, MOST_PIXELS
from models.zoo.stored.exported import checked_archive
from models.zoo.stored.pickles import MayRunCode


@dataclass(frozen=True)
class Program:
    """An exported program.

    Attributes:
        size: the input (height, width) it was exported for, or an example of them.
        channels: of the input.
        fixed: it takes no other size.
        said: what its extra file fleetpose.json says of it, see models.zoo.described.
    """

    program: ExportedProgram
    size: tuple[int, int]
    fixed: bool
    said: Any
    channels: int = 3

    def network(self) -> nn.Module:
        """The program as a module, in eval mode; it shares its weights with the program."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = _unflattened(self.program)
        for part in network.modules():  # what tracing noted of values cannot be copied where their sides are symbols
            graph = getattr(part, "graph", None)
            for node in graph.nodes if isinstance(graph, fx.Graph) else ():
                node.meta.pop("val", None)
        for path, part in list(network.named_modules()):
            own = _own_module(part)
            if own is not None and path:
                network.set_submodule(path, own)
        network.register_forward_pre_hook(_refuse_batches, prepend=True)
        return network.eval()


def _unflattened(program: ExportedProgram) -> nn.Module:
    try:
        return unflatten(program)
    except Exception as error:  # it documents no base class for what it raises
        raise UsageError(f"the exported program cannot be made a module: {first_line(error)}") from error


def read_program(path: str) -> Program:
    """Read the file at `path`. No code that it holds is run, unless files are trusted.

    Raises:
        UsageError: no exported program, one that may run code, or one that does not take one tensor (1, C, H, W).
    """
    program, text = _load(path)
    said = parse_json(text or b"{}", FILE, f"{ATTRIBUTE}.json in {path}")
    try:
        return _described(program, said, path)
    except (AttributeError, LookupError, TypeError) as error:
        raise UsageError(f"{path} is damaged: its inputs are not described ({first_line(error)})") from error


def _load(path: str) -> tuple[ExportedProgram, str | bytes]:
    """The program in a file, and the text of its extra file."""
    extra, text = {f"{ATTRIBUTE}.json": ""}, b""
    source: Any = path
    try:
        if not trusted():
            source, text = checked_archive(Path(path), f"{ATTRIBUTE}.json")
        with warnings.catch_warnings(), torch.device("cpu"), _quiet("torch.export", "torch._export"):
            warnings.simplefilter("ignore")
            return torch.export.load(source, extra_files=extra), text or extra[f"{ATTRIBUTE}.json"]
    except MayRunCode as error:
        raise untrusted(f"{path} {error}, so that loading it may run code") from error
    except DataError as error:
        raise DataError(f"{path} is not a file of torch.export.save: it {error}") from error
    except Exception as error:  # torch.export.load documents no base class for what it raises
        raise UsageError(f"{path} is not a file of torch.export.save: {first_line(error)}") from error


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Drop what torch logs of a damaged file, with a stack, before it raises."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _described(program: ExportedProgram, said: Any, path: str) -> Program:
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if len(inputs) != 1:
        raise UsageError(f"{path} takes {len(inputs)} inputs; exactly one tensor is supported")
    shape = tuple(inputs[0].meta["val"].shape)
    if len(shape) != 4 or shape[0] != 1 or not isinstance(shape[1], int):
        mend = "; export it for one picture, artifacts take any number" if len(shape) == 4 and shape[0] != 1 else ""
        raise UsageError(f"{path} takes {tuple(map(str, shape))}, not (1, C, H, W){mend}")
    sides = shape[2:]
    fixed = all(isinstance(side, int) for side in sides)
    if fixed and max(sides) > MOST_PIXELS:
        raise UsageError(f"{path} takes {sides[0]}x{sides[1]} pixels; {MOST_PIXELS} are the most of a side")
    return Program(program, _example_size(program, sides, path), fixed, said, shape[1])


def _example_size(program: ExportedProgram, sides: tuple[Any, ...], path: str) -> tuple[int, int]:
    """Fixed sides as they are, others as in the example the program was exported with, DEFAULT_SIZE without one."""
    seen = _example_sides(program.example_inputs)
    if seen is None:
        raise UsageError(f"{path} has an example that is no input of its network; the file is damaged")
    height, width = (side if isinstance(side, int) else example for side, example in zip(sides, seen, strict=True))
    return height, width


def _example_sides(examples: Any) -> tuple[int, int] | None:
    """Height and width of the first of the arguments ((tensor, ...), keywords) of a file; None where they are none."""
    arguments = examples[0] if isinstance(examples, tuple | list) and examples else ()
    if not isinstance(arguments, tuple | list):
        return None
    if not arguments:
        return DEFAULT_SIZE
    first = arguments[0]
    if not isinstance(first, torch.Tensor) or first.ndim != 4:
        return None
    return int(first.shape[2]), int(first.shape[3])


def _refuse_batches(_network: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Training's batches end here, in words: the program was exported for one picture at a time."""
    if inputs[0].shape[0] != 1:
        raise UsageError(
            f"an exported program takes one picture at a time, not {inputs[0].shape[0]}; to train, give its module as "
            f"package.module:factory"
        )


def _own_module(part: nn.Module) -> nn.Module | None:
    """torch's own module that computes what `part`, one of `unflatten`'s, does; None where it is not one operator."""
    graph = getattr(part, "graph", None)
    calls = [node for node in graph.nodes if node.op.startswith("call")] if isinstance(graph, fx.Graph) else []
    if len(calls) != 1 or calls[0].op != "call_function":
        return None
    arguments = _arguments(calls[0])
    if not _reads_own(arguments, part):
        return None
    operator = getattr(getattr(calls[0].target, "overloadpacket", None), "__name__", "")
    if operator == "conv2d":
        return _convolution(part, arguments)
    if operator == "conv_transpose2d":
        return _transposed_convolution(part, arguments)
    return _batch_norm(part, arguments) if operator == "batch_norm" and not arguments["training"] else None


def _arguments(node: fx.Node) -> dict[str, Any]:
    """The arguments of an operator's call by their names, defaults included."""
    schema = getattr(node.target, "_schema", None)
    named = schema.arguments if schema else ()
    given = {argument.name: argument.default_value for argument in named}
    return {**given, **dict(zip(given, node.args, strict=False)), **node.kwargs}


def _reads_own(arguments: dict[str, Any], part: nn.Module) -> bool:
    """Whether the weights among the arguments are `part`'s own, under their usual names, and its only ones."""
    usual = ("weight", "bias", "running_mean", "running_var")
    for name in usual:
        node = arguments.get(name)
        if node is not None and not (isinstance(node, fx.Node) and node.op == "get_attr" and node.target == name):
            return False
    held = {*part._parameters, *part._buffers} - {"num_batches_tracked"}
    return held == {name for name in usual if arguments.get(name) is not None}


def _convolution(part: nn.Module, arguments: dict[str, Any]) -> nn.Conv2d:
    weight, groups = part.get_parameter("weight"), arguments["groups"]
    with torch.device("meta"):
        layer = nn.Conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            (weight.shape[2], weight.shape[3]),
            stride=arguments["stride"],
            padding=arguments["padding"],
            dilation=arguments["dilation"],
            groups=groups,
            bias=arguments["bias"] is not None,
        )
    layer._parameters.update(part._parameters)
    return layer


def _transposed_convolution(part: nn.Module, arguments: dict[str, Any]) -> nn.ConvTranspose2d:
    weight, groups = part.get_parameter("weight"), arguments["groups"]
    with torch.device("meta"):
        layer = nn.ConvTranspose2d(
            weight.shape[0],
            weight.shape[1] * groups,
            (weight.shape[2], weight.shape[3]),
            stride=arguments["stride"],
            padding=arguments["padding"],
            output_padding=arguments["output_padding"],
            groups=groups,
            bias=arguments["bias"] is not None,
            dilation=arguments["dilation"],
        )
    layer._parameters.update(part._parameters)
    return layer


def _batch_norm(part: nn.Module, arguments: dict[str, Any]) -> nn.BatchNorm2d | None:
    if arguments["running_mean"] is None or arguments["running_var"] is None:
        return None
    channels = part.get_buffer("running_mean").numel()
    with torch.device("meta"):
        norm = nn.BatchNorm2d(channels, arguments["eps"], arguments["momentum"], affine=arguments["weight"] is not None)
    norm._parameters.update(part._parameters)
    norm._buffers.update({"num_batches_tracked": torch.tensor(0)}, **part._buffers)
    return norm
