"""Reads an .onnx file as a torch module, with its weights, through onnx2torch (the optional extra "onnx").

What the file's metadata says under "fleetpose" (models.zoo.described) is read as of an exported program. Imports torch.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from fleetpose.codec import parse_json
from fleetpose.disk.reading import check_file
from fleetpose.errors import UsageError, first_line
from models.zoo.described import ATTRIBUTE, DEFAULT_SIZE, check_description, complete, described_size
from models.zoo.input_sizes import with_sides
from models.zoo.known_values import KnownConstant, KnownShape
from models.zoo.outputs import look_at_outputs
from models.zoo.spec import ModelSpec

#: what onnx2torch takes of torchvision, for NonMaxSuppression and RoiAlign only
_OF_TORCHVISION = ("nms", "box_convert", "roi_align")
#: in the names of onnx2torch's modules whose constants of floats are scales and the like
_SIZING = ("Resize", "Upsample", "Pad")


def onnx_spec(path: str) -> ModelSpec:
    """The spec of an .onnx file.

    Raises:
        UsageError: no such file, one that onnx2torch cannot convert, or no onnx2torch.
    """
    try:
        check_file(path)
        changed = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return _onnx_spec(path, changed)


@lru_cache
def _onnx_spec(path: str, _changed: int) -> ModelSpec:
    network, model = _convert(path)
    said = check_description(_description(model, path), path)
    channels, sides = _input_of(model, path)
    size = described_size(said, path) or sides or DEFAULT_SIZE
    if sides and size != sides:
        raise UsageError(f"{path} says another size than the {sides[0]}x{sides[1]} it was exported for")
    outputs = look_at_outputs(network, size, path, channels)
    names = [output.name for output in model.graph.output]
    if not outputs.cut and len(names) == len(outputs.entries):
        said = {"outputs": names, **said}

    def make(**_parameters: Any) -> nn.Module:
        return _convert(path)[0]

    spec = complete(path, make, said, size, outputs, own_weights=True, fixed_size=bool(sides), channels=channels)
    return with_sides(spec, network)


def _convert(path: str) -> tuple[nn.Module, Any]:
    """The network in a file, in eval mode, and the ONNX model that it was."""
    onnx, onnx2torch = _import_onnx2torch(path)
    try:
        model = onnx.load(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = onnx2torch.convert(model)
    except NotImplementedError as error:
        raise UsageError(
            f"onnx2torch cannot convert {path}: {first_line(error, 200)}; "
            f"give the network as a PyTorch module or program (.pt2), or simplify the file (onnxsim)"
        ) from error
    except Exception as error:  # protobuf's and onnx2torch's own have no common base
        raise UsageError(
            f"{path} is not a file that onnx2torch can read: {first_line(error, 200)}; export it anew"
        ) from error
    if isinstance(network, fx.GraphModule):
        _know_shapes(network)
        _name_by_path(network)
    return network.eval(), model


def _import_onnx2torch(path: str) -> tuple[Any, Any]:
    try:
        import onnx

        with _without_torchvision():
            import onnx2torch
    except ImportError as error:
        raise UsageError(
            f"{path} is read by onnx2torch, which is missing ({error}): pip install 'fleetpose[onnx]'"
        ) from None
    return onnx, onnx2torch


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Where torchvision does not go with this torch (the CPU builds of both are rare), onnx2torch is imported with a
    stand-in, whose functions refuse; they are those that depend on data."""
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError):
        pass
    else:
        yield
        return
    stand_in, operators = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
    for name in _OF_TORCHVISION:
        setattr(operators, name, _refuse)
    stand_in.ops = operators  # type: ignore[attr-defined]
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchvision"}
    for name in before:
        del sys.modules[name]
    sys.modules |= {"torchvision": stand_in, "torchvision.ops": operators}
    try:
        yield
    finally:
        del sys.modules["torchvision"], sys.modules["torchvision.ops"]


def _refuse(*_arguments: Any, **_named: Any) -> Any:
    raise UsageError("NonMaxSuppression and RoiAlign need a torchvision that goes with this torch")


def _know_shapes(network: fx.GraphModule) -> None:
    """Let shapes, axes and scales, which are tensors in ONNX, be known while the network is traced."""
    for node in list(network.graph.nodes):
        if node.op == "get_attr":
            value, place = _attribute(network, str(node.target)), f"known_{node.name}"
        elif node.op == "call_module":
            part = network.get_submodule(str(node.target))
            value, place = getattr(part, "value", None), str(node.target)
            if type(part).__name__ == "OnnxShape":
                network.add_submodule(place, KnownShape(vars(part)["_start"], vars(part)["_end"]))
        else:
            continue
        if isinstance(value, torch.Tensor) and (not value.is_floating_point() or _sets_a_size(node, network)):
            network.add_submodule(place, KnownConstant(value))
            with network.graph.inserting_before(node):
                known = network.graph.call_module(place)
            node.replace_all_uses_with(known)
            network.graph.erase_node(node)
    network.recompile()


def _sets_a_size(node: fx.Node, network: fx.GraphModule) -> bool:
    """Whether all that read a constant are operators that resize or pad."""
    readers = [network.get_submodule(str(user.target)) for user in node.users if user.op == "call_module"]
    names = [type(reader).__name__ for reader in readers]
    return len(names) == len(node.users) > 0 and all(any(op in name for op in _SIZING) for name in names)


def _attribute(network: nn.Module, path: str) -> Any:
    place: Any = network
    for name in path.split("."):
        place = getattr(place, name)
    return place


def _name_by_path(network: fx.GraphModule) -> None:
    """Call modules "stem.conv1.Conv" that onnx2torch calls "stem/conv1/Conv", where that is no other module's name."""
    names = {
        node.target: str(node.target).strip("/").replace("/", ".")
        for node in network.graph.nodes
        if node.op == "call_module"
    }
    prefixes = {name[:index] for name in names.values() for index, letter in enumerate(name) if letter == "."}
    for node in network.graph.nodes:
        name = names.get(node.target, "") if node.op == "call_module" else ""
        if name and name != node.target and name not in prefixes:
            network.add_submodule(name, network.get_submodule(str(node.target)))
            node.target = name
    network.delete_all_unused_submodules()
    network.recompile()


def _input_of(model: Any, path: str) -> tuple[int, tuple[int, int] | None]:
    """Channels of the one input, and (height, width) where they are fixed."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise UsageError(f"{path} takes {len(inputs)} inputs; exactly one tensor is supported")
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim]  # 0 where it is a symbol
    if len(sides) != 4 or sides[0] > 1 or sides[1] < 1:
        raise UsageError(f"{path} takes {sides}, not (1, channels, H, W)")
    return int(sides[1]), (int(sides[2]), int(sides[3])) if min(sides[2:]) > 0 else None


def _description(model: Any, path: str) -> Any:
    texts = [entry.value for entry in model.metadata_props if entry.key == ATTRIBUTE]
    return parse_json(texts[0], subject=f"{ATTRIBUTE} in the metadata of {path}") if texts else {}
