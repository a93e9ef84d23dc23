"""Files that a training keeps beside the weights that it will write. Torch-free."""

from __future__ import annotations

from pathlib import Path


def checkpoint_path(out: Path | str) -> Path:
    """Where the state of a training that will write `out` is kept, while it lasts."""
    return Path(out).with_suffix(".checkpoint")


def log_path(out: Path | str) -> Path:
    """Where the course of a training that will write `out` is kept; it stays."""
    return Path(out).with_suffix(".csv")
