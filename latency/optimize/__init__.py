"""The whole way, from a network and a device to a pruned, built, checked and measured artifact.

    python -m latency.optimize --model resnet50_3 --weights w.safetensors --device rpc:pixel --speedup 2 -o build/pixel

or, from Python, where the package itself is what is called (`latency.optimize.api.optimize`):

    from latency import optimize
    result = optimize(model, phone, speedup=2.0, out="build/pixel")

`request` is what is asked for, `job` what every stage works on, `state` what is kept of finished stages, `flow` runs
them; the stages are `measuring`, `modelling`, `making`, `checking` and `reporting`. Importing the package imports none.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """The package as a function, so that `from latency import optimize` gives what `python -m` runs."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """See `latency.optimize.api.optimize`."""
        from latency.optimize.api import optimize

        return optimize(*args, **options)


sys.modules[__name__].__class__ = _Callable
