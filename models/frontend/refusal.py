"""Refusal: what no layer expresses, as an error that names the operator, its module, the line of source and the mend.

Torch-free. `models.frontend.exported` raises the first refusal of a network, or gathers all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleetpose.errors import UsageError

#: what helps against whatever no layer expresses
USUAL_MEND = "write it with operators that have layers, or end the network before it"
#: the mend for a module of several inputs
ONE_INPUT = "wrap it in a module whose forward takes the picture alone and passes the others as constants"


@dataclass(frozen=True)
class Origin:
    """Where an operator was called.

    Attributes:
        path: of the innermost module, "" for the root.
        leaf: that module is one of torch's own, such as Conv2d.
        line: of the model's source, "net.py:123"; "" where the program does not say.
    """

    path: str = ""
    leaf: bool = False
    line: str = ""

    def __str__(self) -> str:
        module = f"module {self.path!r}" if self.path else "the root module"
        return f"{module} ({self.line})" if self.line else module


class Refusal(UsageError):
    """An operator that is not supported, or not in the way it is used.

    Attributes:
        op: the operator's name, e.g. "cumsum".
        origin: where it was called.
        why: what is not supported. mend: what to do about it.
    """

    def __init__(self, op: str, origin: Origin, why: str, mend: str = USUAL_MEND) -> None:
        super().__init__(f"cannot convert torch operator {op!r} in {origin}: {why}; {mend}")
        self.op, self.origin, self.why, self.mend = op, origin, why, mend
