"""The machine that runs what a phone would be given."""

from __future__ import annotations

import pytest

from codegen.inspection.packages import SetupError
from fleetpose.errors import UsageError
from tests.arm64.machine import EmulatedMachine, default_folder, set_up


@pytest.fixture(scope="module")
def emulated() -> EmulatedMachine:
    try:
        return set_up(default_folder())
    except (SetupError, UsageError) as error:
        pytest.skip(f"no emulated arm64 machine: {error}")
