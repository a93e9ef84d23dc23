"""Reads a file of torch.export.save back into a torch module, with the modules, names and weights it was exported from.

torch's `unflatten` restores the hierarchy of modules, whose forwards are graphs. Convolutions and batch norms become
torch's own again, so that layers are called as in the original, and can be pruned.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram, unflatten

from fleetpose.errors import UsageError, first_line
from models.zoo.described import ATTRIBUTE, DEFAULT_SIZE


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
            network: nn.Module = unflatten(self.program)
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


def read_program(path: str) -> Program:
    """Read the file at `path`.

    Raises:
        UsageError: no exported program, or one that does not take one tensor (1, C, H, W).
    """
    extra = {f"{ATTRIBUTE}.json": ""}
    try:
        with warnings.catch_warnings(), torch.device("cpu"):
            warnings.simplefilter("ignore")
            program = torch.export.load(path, extra_files=extra)
    except Exception as error:  # torch.export documents no base class for what it raises
        raise UsageError(f"{path} is not a file of torch.export.save: {first_line(error)}") from error
    try:
        said = json.loads(extra[f"{ATTRIBUTE}.json"] or "{}")
    except ValueError as error:
        raise UsageError(f"{ATTRIBUTE}.json in {path} is not JSON: {error}") from error
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if len(inputs) != 1:
        raise UsageError(f"{path} takes {len(inputs)} inputs; exactly one tensor is supported")
    shape = tuple(inputs[0].meta["val"].shape)
    if len(shape) != 4 or shape[0] != 1 or not isinstance(shape[1], int):
        mend = "; export it for one picture, artifacts take any number" if len(shape) == 4 and shape[0] != 1 else ""
        raise UsageError(f"{path} takes {tuple(map(str, shape))}, not (1, C, H, W){mend}")
    sides = shape[2:]
    fixed = all(isinstance(side, int) for side in sides)
    return Program(program, _example_size(program, sides), fixed, said, shape[1])


def _example_size(program: ExportedProgram, sides: tuple[Any, ...]) -> tuple[int, int]:
    """Fixed sides as they are, others as in the example the program was exported with."""
    examples = program.example_inputs
    seen = tuple(examples[0][0].shape[2:]) if examples and examples[0] else DEFAULT_SIZE
    height, width = (side if isinstance(side, int) else int(example) for side, example in zip(sides, seen, strict=True))
    return height, width


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
    operator = calls[0].target.overloadpacket.__name__
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
