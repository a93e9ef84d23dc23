"""Where this project keeps what can be made again: results of long work that another process may take."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fleetpose.disk.temporaries import temporary_folder


def cache_folder() -> Path | None:
    """The folder of this user's caches, which need not exist yet: the one that the OpenCL backend takes, too.

    FLEETPOSE_CACHE_DIR, else XDG_CACHE_HOME/fleetpose, else HOME/.cache/fleetpose; where that cannot be written to, a
    folder of this user's among the temporary ones. None with FLEETPOSE_CACHE=0, or where nothing can be written.
    """
    if os.environ.get("FLEETPOSE_CACHE") == "0":
        return None
    if given := os.environ.get("FLEETPOSE_CACHE_DIR"):
        return Path(given)
    home = os.environ.get("HOME")
    base = os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    usual = Path(base, "fleetpose") if base else None
    return usual if usual is not None and _is_writable(usual) else _temporary()


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which need not be there yet."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _temporary() -> Path | None:
    """A folder below the temporary one that nobody but this user can write to; None where there can be none."""
    folder = temporary_folder() / f"fleetpose-cache-{os.getuid()}"
    try:
        folder.mkdir(0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o022
    return folder / "fleetpose" if ours and _is_writable(folder) else None
