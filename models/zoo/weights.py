"""Weights by path: safetensors, and published PyTorch checkpoints. What does not fit leaves the module as it was.

A module may carry `layouts`: functions that answer a foreign file's tensors under the module's own names, or None
(see models.networks.lwop_layouts).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from fleetpose.disk.reading import why_no_file
from fleetpose.disk.refusals import text_name
from fleetpose.errors import UsageError, first_line, one_line, quoted
from fleetpose.files import write_bytes
from fleetpose.outputs import CHECKPOINTS, check_weights_name
from models.zoo.stored.checkpoint import read_checkpoint
from models.zoo.stored.safetensors_header import check_safetensors

Tensors = Mapping[str, torch.Tensor]

#: Entries that are bookkeeping, not weights: neither required nor refused.
_IGNORED = ("num_batches_tracked",)
#: what batch norms divide and subtract by
_STATISTICS = ("running_mean", "running_var")
_SHOWN = 3
#: dicts in one another that a state dict is looked for in
_MOST_WRAPPINGS = 16
#: names under which checkpoints hold the state dict of a network, the first that is there
_WRAPPINGS = (
    "state_dict",
    "model_state_dict",
    "state_dict_ema",
    "model",
    "network",
    "net",
    "model_ema",
    "ema",
    "params",
)
#: bytes that a tensor may have beyond those that are stored of it
_MOST_EXPANDED = 1 << 28


class WeightMismatch(UsageError):
    """The tensors of a file are not those of a module. `tensors`: the file's, by their names in it."""

    def __init__(self, message: str, tensors: Tensors) -> None:
        super().__init__(message)
        self.tensors = tensors


def load_weights(module: nn.Module, path: Path | str, title: str = "") -> None:
    """Load a file into `module`, all of it or nothing.

    Args:
        module: a network of this project, or any module; its own state-dict names always work.
        path: *.safetensors, or a checkpoint of plain tensors (*.pth, *.pt): a state dict, or a dict holding one under
            "state_dict" or another of the usual names. Names may carry DataParallel's "module." prefix.
        title: what an error calls the module; "" stands for its class.

    Raises:
        WeightMismatch: missing, unexpected or wrong-shaped tensors.
        UsageError: missing or unreadable file; whole-number or non-finite tensors.
    """
    path = Path(path)
    stored, wanted = read_tensors(path), _weights_of(module)
    tensors = _in_our_names(module, stored)
    problem = _mismatch(wanted, tensors)
    if problem:
        raise WeightMismatch(f"{path} does not fit {title or type(module).__name__}: {problem}", stored)
    for name in wanted:
        if wanted[name].is_floating_point() and not tensors[name].is_floating_point():
            raise UsageError(f"{path}: tensor {name} is {str(tensors[name].dtype).removeprefix('torch.')}, not floats")
        if not torch.isfinite(tensors[name]).all():
            bad = int((~torch.isfinite(tensors[name])).sum())
            raise UsageError(f"{path}: tensor {name} has {bad} NaN or infinite values of {tensors[name].numel()}")
    module.load_state_dict({name: tensors[name] for name in wanted}, strict=False)


def check_finite(module: nn.Module, title: str) -> None:
    """Raise UsageError, by the tensor's name, for a parameter, or a batch norm's statistic, that is not finite, and for
    any other buffer that has a NaN; an infinity there may be meant, as in a mask of attention.

    title: what the error calls the module.
    """
    parameters = dict(module.named_parameters())
    for name, tensor in module.state_dict().items():
        if tensor.is_meta or not tensor.is_floating_point():
            continue
        strict = name in parameters or name.endswith(_STATISTICS)
        bad = int((~torch.isfinite(tensor) if strict else torch.isnan(tensor)).sum())
        if bad:
            raise UsageError(f"{title}: tensor {name} has {bad} NaN or infinite values of {tensor.numel()}")


def fits(module: nn.Module, stored: Tensors) -> bool:
    """Whether `load_weights` would find every tensor of `module`, in its shape, in a file that holds `stored`."""
    return not _mismatch(_weights_of(module), _in_our_names(module, stored))


def weights_bytes(module: nn.Module) -> bytes:
    """The module's parameters and buffers under its own names, as a safetensors file has them."""
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in _weights_of(module).items()})


def save_weights(module: nn.Module, path: Path | str, *, force: bool = False) -> None:
    """Write the module's parameters and buffers to a safetensors file, atomically.

    Raises:
        UsageError: `path` exists and `force` is false, has the name of another kind of file, or cannot be written.
    """
    check_weights_name(path)
    write_bytes(path, weights_bytes(module), force=force)


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def read_tensors(path: Path | str) -> dict[str, torch.Tensor]:
    """Every tensor of a weight file by its name in the file. Raises UsageError if there is none to read."""
    path = Path(path)
    if reason := why_no_file(path):
        raise UsageError(f"cannot read weights {path}: {reason}")
    is_checkpoint = path.suffix.lower() in CHECKPOINTS
    tensors = _read_checkpoint(path) if is_checkpoint else _read_safetensors(path)
    if not tensors:
        raise UsageError(f"{path} holds no tensors")
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _check_plain(path: Path, name: str, tensor: torch.Tensor) -> None:
    """Raise UsageError for a tensor that is not of numbers which weights may be, all of them there."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_nested:
        raise UsageError(f"{path}: tensor {quoted(name)} is sparse, quantised or without numbers; save it dense")
    if kind.startswith("float8") or tensor.itemsize * 8 not in (8, 16, 32, 64) or tensor.is_complex():
        raise UsageError(f"{path}: tensor {quoted(name)} is {kind}, which no network here has; save it as float32")
    if tensor.numel() * tensor.itemsize > max(tensor.untyped_storage().nbytes(), _MOST_EXPANDED):
        raise UsageError(
            f"{path}: tensor {quoted(name)} repeats few numbers {tensor.numel()} times; save it contiguous"
        )


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        check_safetensors(path)
        with text_name(path) as name:
            return load_file(name)
    except (SafetensorError, OSError, ValueError, RuntimeError, AttributeError, KeyError) as error:
        known = ", ".join(("*.safetensors", *(f"*{suffix}" for suffix in CHECKPOINTS)))
        raise UsageError(f"{path} is not a safetensors file ({first_line(error, 200)}); weights are {known}") from error


def _read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    content = read_checkpoint(path)
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} holds a {type(content).__name__}, not a state dict")
    state = _state_dict(content, path)
    return {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _state_dict(content: Mapping[Any, Any], path: Path) -> Mapping[Any, Any]:
    """The state dict in a checkpoint: itself, or what it has under one of the usual names, or under the only one."""
    for _ in range(_MOST_WRAPPINGS):
        if _has_tensors(content):
            return content
        held = {name: value for name, value in content.items() if isinstance(value, Mapping)}
        usual = next((name for name in _WRAPPINGS if name in held), None)
        if usual is None:
            return _only_state_dict(content, held, path)
        content = held[usual]
    raise UsageError(f"{path} holds more than {_MOST_WRAPPINGS} dicts in one another; save the state dict alone")


def _only_state_dict(
    content: Mapping[Any, Any], held: Mapping[Any, Mapping[Any, Any]], path: Path
) -> Mapping[Any, Any]:
    """The one mapping in `content` that has tensors; `content` where none has. Raises UsageError for several."""
    states = [name for name, value in held.items() if _has_tensors(value)]
    if len(states) > 1:
        raise UsageError(f"{path} holds several state dicts ({_some([str(name)[:40] for name in states])}); save one")
    return held[states[0]] if states else content


def _has_tensors(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, torch.Tensor) for value in content.values())


def _weights_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if not name.endswith(_IGNORED)}


def _in_our_names(module: nn.Module, stored: Tensors) -> dict[str, torch.Tensor]:
    """`stored` under the names of `module`: as they are, or through the layout that leaves the least amiss."""
    wanted = _weights_of(module)
    layouts: Iterable[Callable[[Tensors], dict[str, torch.Tensor] | None]] = getattr(module, "layouts", ())
    candidates = [dict(stored), *(renamed for layout in layouts if (renamed := layout(stored)) is not None)]
    return min(candidates, key=lambda tensors: len(wanted.keys() ^ _without_ignored(tensors).keys()))


def _without_ignored(tensors: Tensors) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(_IGNORED)}


def _mismatch(wanted: Tensors, tensors: Tensors) -> str:
    """What keeps `tensors` from being `wanted`, in words; empty if nothing does. Values are not looked at."""
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in _without_ignored(tensors) if name not in wanted]
    problems = []
    if missing:
        problems.append(f"{_count_names(missing)} missing of {len(wanted)} ({_some(missing)})")
    if unexpected:
        problems.append(f"{_count_names(unexpected)} unexpected ({_some(unexpected)})")
    if not problems:
        shapes = [
            f"{name}: expected {tuple(tensor.shape)}, found {tuple(tensors[name].shape)}"
            for name, tensor in wanted.items()
            if tensors[name].shape != tensor.shape
        ]
        if shapes:
            problems.append(f"{_count_names(shapes)} of the wrong shape ({_some(shapes, '; ')})")
    return ", ".join(problems)


def _count_names(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' * (len(names) != 1)}"


def _some(names: list[str], separator: str = ", ") -> str:
    return separator.join([*map(one_line, names[:_SHOWN]), *(["..."] if len(names) > _SHOWN else [])])
