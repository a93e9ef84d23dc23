"""State: which stages are done, from which inputs, with which outputs; `state.json` in the folder of an optimization.

A stage is done where the digest of its inputs is what it was and its outputs are there, with the content they had. The
file is written whole after each change, so that whatever kills the process, the next one knows what there is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetpose.codec import decode, encode
from fleetpose.disk.locks import FileLock
from fleetpose.errors import DataError, UsageError, one_line, quoted
from fleetpose.files import json_bytes, make_folder, read_json, sha256, write_json
from fleetpose.json_fields import NotNegative

FORMAT = "fleetpose.optimize/1"
NAME = "state.json"


@dataclass
class StageEntry:
    """What is known of one stage.

    Attributes:
        digest: of its inputs.
        outputs: file name in the folder -> SHA-256; {} while it is not done.
        said: the result in words; "" while the stage is not done.
        secs: spent on these inputs, over all runs.
    """

    digest: str
    outputs: dict[str, str] = field(default_factory=dict)
    said: str = ""
    secs: NotNegative = 0.0


class State:
    """The state of one folder.

    Args:
        folder: made where it is not there.
        about: what the folder is of, such as the model's name; a folder of another is refused.
        force: take over a folder of something else, or with other files; those in the way are replaced.

    Raises:
        UsageError: the folder is of something else, holds other files, or its state is damaged.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], force: bool = False) -> None:
        self.folder, self.path, self.about = folder, folder / NAME, dict(about)
        self.entries: dict[str, StageEntry] = {}
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; give a folder")
        if not self.path.exists():
            if folder.exists() and any(folder.iterdir()) and not force:
                raise UsageError(f"{folder} has files of something else; give another -o, or --force to write there")
            return
        owner, entries = _read(self.path)
        if owner == json.loads(json_bytes(self.about)):
            self.entries = entries
        elif not force:
            said = ", ".join(f"{one_line(name)} {quoted(value)}" for name, value in list(owner.items())[:4])
            raise UsageError(f"{folder} is of {said}; give another -o, or --force to begin anew there")

    def done(self, stage: str, digest: str) -> StageEntry | None:
        """The entry of a stage that need not be done again; None of one that must."""
        entry = self.entries.get(stage)
        if entry is None or not entry.said or entry.digest != digest:
            return None
        whole = all(_digest_of(self.folder / name) == wanted for name, wanted in entry.outputs.items())
        return entry if whole else None

    def secs_spent(self, stage: str, digest: str) -> float:
        """Seconds that runs which were interrupted spent on a stage with these inputs."""
        entry = self.entries.get(stage)
        return entry.secs if entry is not None and entry.digest == digest and not entry.said else 0.0

    def secs_before(self, stage: str) -> float | None:
        """Seconds that a stage took when it was last done, with whatever inputs; None where it never was."""
        entry = self.entries.get(stage)
        return entry.secs if entry is not None and entry.said else None

    def keep(self, stage: str, digest: str, secs: float, said: str = "", outputs: Sequence[str] = ()) -> None:
        """Note what a stage took, and, where it is done, what came of it."""
        files = {name: sha256(self.folder / name) for name in outputs}
        self.entries[stage] = StageEntry(digest, files, said, round(secs, 3))
        make_folder(self.folder)
        values = {"format": FORMAT, **self.about, "stages": encode(self.entries)}
        write_json(self.path, values, force=True)


def digest_of(values: Mapping[str, Any]) -> str:
    """Hex digest of JSON values; equal for equal ones."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def folder_digest(folder: Path) -> str:
    """Hex digest of the names and sizes of all files below a folder, which tells data from other data quickly."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of({str(path.relative_to(folder)): path.stat().st_size for path in files})


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made, for this process alone. Raises UsageError where another one has it."""
    handle = os.open(make_folder(folder), os.O_RDONLY)
    try:
        held = FileLock(handle, folder)
    except BlockingIOError as error:
        os.close(handle)
        raise UsageError(f"{folder} is being worked on by another latency.optimize; give another -o") from error
    try:
        yield
    finally:
        os.close(handle)
        held.release()


def _digest_of(path: Path) -> str | None:
    try:
        return sha256(path) if path.is_file() else None
    except OSError:  # a name that no file can have
        return None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, StageEntry]]:
    """What a state is of, and its entries. Raises UsageError for what is no state."""
    hint = "give another -o, or remove it"
    values = read_json(path, "state of latency.optimize", FORMAT, hint)
    del values["format"]
    try:
        return values, decode(dict[str, StageEntry], values.pop("stages", None), "stages")
    except DataError as error:
        raise UsageError(f"{path} is no state of latency.optimize ({error}); {hint}") from error
