"""Outputs against inputs: nothing that a command reads is among what it writes, and nothing that exists is lost.

A command names all its outputs, side files included, and all files that it reads. An output that is also an input is
refused with --force, too: replacing it would lose the very thing that the output is made from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from fleetpose.errors import UsageError
from fleetpose.files import check_writable

#: names that are read as PyTorch's checkpoints, which nothing here writes
CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin")
#: a file, several, or none, by the flag that names them or in words
Named = Mapping[str, "Path | str | Iterable[Path | str] | None"]


def check_outputs(outputs: Named, inputs: Named, *, force: bool = False, kept: Named = {}) -> None:  # noqa: B006
    """Refuse outputs that would replace what is read, each other, or, without `force`, what exists.

    Args:
        outputs: each output, by the flag that names it ("-o") or in words ("the log"), for errors.
        inputs: files that are read, by their flags.
        force: replace what exists.
        kept: outputs that an earlier run of the same command may have left to go on from, such as a checkpoint; whoever
            reads them checks whose they are.

    Raises:
        UsageError: naming both paths and what mends it.
    """
    written = [*_each(outputs), *_each(kept)]
    for number, (name, path) in enumerate(written):
        for flag, source in _each(inputs):
            if same_file(path, source):
                raise UsageError(f"{_called(name, path)} would replace {_called(flag, source)}; give another -o")
        for other, earlier in written[:number]:
            if same_file(path, earlier):
                raise UsageError(f"{_called(other, earlier)} and {_called(name, path)} are one file; give another name")
    check_writable(*(path for _, path in _each(outputs)), force=force)
    check_writable(*(path for _, path in _each(kept)), force=True)


def check_weights_name(path: Path | str) -> None:
    """Raise UsageError for a name of weights that no command would read back: they are written as safetensors."""
    path = Path(path)
    if path.suffix.lower() in CHECKPOINTS:
        raise UsageError(
            f"{path.name} is the name of a PyTorch checkpoint, and weights are written as safetensors; "
            f"give -o {path.with_suffix('.safetensors').name}"
        )


def same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, or would if it were there."""
    try:
        if path.samefile(other):
            return True
    except OSError:  # one is not there, so that names alone tell
        pass
    return os.path.realpath(path) == os.path.realpath(other)


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, now or when it is made."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _each(named: Named) -> list[tuple[str, Path]]:
    pairs = []
    for name, given in named.items():
        paths = [given] if isinstance(given, str | Path) else given or ()
        pairs += [(name, Path(path)) for path in paths]
    return pairs


def _called(name: str, path: Path) -> str:
    return f"{name} {str(path)[-80:]}"
