"""How long each step of a conversation with a device may take: one table, and the environment variable that changes it.

    FLEETPOSE_RPC_LIMITS=answer=5,call=1800 python -m codegen.run ...

What has a limit of its own elsewhere keeps it: a kernel that is measured (`timeout_secs`), the opening of a device.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, fields, replace

from fleetpose.errors import UsageError

VARIABLE = "FLEETPOSE_RPC_LIMITS"


@dataclass(frozen=True)
class Limits:
    """Seconds a client waits for each step; what sends or fetches much may take longer by size / `rate`.

    Attributes:
        connect: for the tracker, or the server that it named, to take a connection.
        handshake: for either to greet.
        answer: for an answer that waits for no kernel (looking up a function, allocating), and for the next byte of
            what is being sent or fetched.
        load: for a shared object to be loaded.
        call: for a call, which may compile all kernels of a network and wait for them.
        close: for a goodbye.
        rate: the fewest bytes a second that sending or fetching may have.
    """

    connect: float = 10.0
    handshake: float = 10.0
    answer: float = 60.0
    load: float = 180.0
    call: float = 900.0
    close: float = 2.0
    rate: float = 100_000.0

    @classmethod
    def from_environment(cls) -> Limits:
        """The table, with what FLEETPOSE_RPC_LIMITS says otherwise. Raises UsageError for what it cannot say."""
        known = {field.name for field in fields(cls)}
        changed: dict[str, float] = {}
        for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
            name, _, text = part.partition("=")
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if name.strip() not in known or not 0 < value < math.inf:
                example = ",".join(f"{key}={number:g}" for key, number in asdict(cls()).items())
                raise UsageError(f"{VARIABLE}: {part[:80]!r} is no limit in seconds; for example {example}")
            changed[name.strip()] = value
        return replace(cls(), **changed)
