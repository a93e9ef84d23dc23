"""What a layer costs on a device and what to choose: collection, the latency model, decisions.

`latency.optimize` is all of it in one call; it is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency.optimize.api import optimize

__all__ = ["optimize"]


def __getattr__(name: str) -> Any:
    if name == "optimize":
        return importlib.import_module("latency.optimize")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
