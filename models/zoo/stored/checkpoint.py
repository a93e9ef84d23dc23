"""Checkpoints of torch.save, plain tensors and values only: what would run code, or is not all there, is refused."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from fleetpose.disk.reading import only_files
from fleetpose.errors import DataError, first_line, quoted
from models.zoo.stored.archive import beginning, is_archive, make_archive, read_members
from models.zoo.stored.pickles import MOST_BYTES, check_storages, contents_of

#: what torch.save wrote before it wrote archives: five pickles, then the storages
_OLD_PICKLES = 5


def read_checkpoint(path: Path) -> Any:
    """What a file of torch.save holds, tensors on the CPU.

    Raises:
        UsageError: it cannot be read; DataError, in one line: it is no checkpoint, damaged, or holds other things.
    """
    start = beginning(path, 256)
    try:
        if not start:
            raise DataError("is empty")
        if _is_text(start):
            raise DataError(f"is text that begins with {quoted(start.decode(), 40)}")
        source = _checked_archive(path) if is_archive(path) else _checked_pickles(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(source, map_location="cpu", weights_only=True)
    except DataError as error:
        raise DataError(f"{path} is not a PyTorch checkpoint of plain tensors: it {error}") from error
    except Exception as error:  # torch's loader raises what its pickle makes it raise
        said = f"torch says {first_line(error, 100)!r}"
        raise DataError(f"{path} is not a PyTorch checkpoint of plain tensors: {said}") from error


def _is_text(start: bytes) -> bool:
    try:
        return start.decode("ascii").isprintable() or (b"\n" in start and b"\0" not in start)
    except UnicodeDecodeError:
        return False


def _checked_archive(path: Path) -> Any:
    members = read_members(path)
    if "data.pkl" not in members:
        what = "TorchScript, which is code" if "constants.pkl" in members else "an archive of something else"
        raise DataError(f"is {what}; save the state dict of the network alone")
    if len(members["data.pkl"]) > MOST_BYTES:
        raise DataError(f"has more than {MOST_BYTES >> 20} MiB besides its tensors")
    contents = contents_of(members["data.pkl"])
    sizes = {name: len(content) for name, content in members.items()}
    check_storages(contents, lambda key: sizes.get(f"data/{key}"))
    return make_archive(members)


def _checked_pickles(path: Path) -> Path:
    """A file as torch before 1.6 wrote it, which torch reads from the file itself."""
    size = path.stat().st_size
    with open(path, "rb", opener=only_files) as stream:
        contents = contents_of(io.BytesIO(stream.read(MOST_BYTES)), _OLD_PICKLES)
    check_storages(contents, lambda _key: size)
    return path
