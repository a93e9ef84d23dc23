"""What every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of development data: $FLEETPOSE_SHARED, or ../shared beside the repository. Skips where absent."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FLEETPOSE_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(f"development data not found: no {folder / 'data'} (set FLEETPOSE_SHARED to its folder)")
    return folder
