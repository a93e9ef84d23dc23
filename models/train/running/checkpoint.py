"""A training's state on disk, from which the same command resumes an interrupted training."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fleetpose.errors import UsageError, first_line, one_line
from fleetpose.files import remove_output, write_bytes
from models.zoo.stored.checkpoint import read_checkpoint

FORMAT = "fleetpose.training/1"


def save_checkpoint(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint in the last one's place: all of it or nothing. Raises UsageError where that cannot be."""
    content = io.BytesIO()  # of a full disk torch says "unexpected pos"
    torch.save({"format": FORMAT, "identity": dict(identity), "state": dict(state)}, content)
    write_bytes(path, content.getbuffer(), force=True)


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint and what a killed training wrote of the next one, where they are there."""
    remove_output(path)


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state that was saved, its tensors on the CPU, or None where there is no checkpoint.

    Args:
        identity: what tells this training from another; names to plain values.

    Raises:
        UsageError: the file is damaged, or is of another training; it stays as it is.
    """
    if not path.exists():
        return None
    try:
        content = read_checkpoint(path)
    except UsageError as error:
        raise UsageError(f"{path} is no checkpoint that can be read; --restart begins anew") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not {"identity", "state"} <= content.keys():
        raise UsageError(f"{path} is not a checkpoint of this program; move it away, or give --restart to begin anew")
    theirs = content["identity"]
    if not isinstance(theirs, dict):
        raise UsageError(f"{path} is no checkpoint that can be read; --restart begins anew")
    differing = [name for name in identity.keys() | theirs.keys() if identity.get(name) != theirs.get(name)]
    if differing:
        said = ", ".join(
            f"{one_line(n)} was {one_line(theirs.get(n))}, is {identity.get(n)}" for n in sorted(differing, key=str)[:3]
        )
        raise UsageError(f"{path} is of another training ({said}); give --restart to begin anew, or another -o")
    return content["state"]


@contextmanager
def restoring(path: Path | None) -> Iterator[None]:
    """Make one UsageError of whatever a state that is none of this training's makes fail inside."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        said = first_line(error, 100)
        raise UsageError(f"{path} holds no state of this training ({said}); --restart begins anew") from error


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hex digest of names and values."""
    state = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        state.update(name.encode())
        state.update(tensor.detach().cpu().numpy().tobytes())
    return state.hexdigest()
