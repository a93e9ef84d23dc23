"""Why a layer stays dense: kinds of reasons, each with a detail, and how they stand in a plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from models.plans import eligible


class DenseKind(Enum):
    """Why a layer is dense. The values stand in plans, before the detail."""

    FIRST = eligible.FIRST
    HEAD = eligible.HEAD
    COMPUTED = eligible.COMPUTED
    TIED = eligible.TIED
    UNFIT = "no sparsity fits"
    NO_KERNEL = "no variant runs"
    NOT_NEEDED = "the goal is reached without"
    SLOWER = "no variant is faster"
    DOUBTED = "the predictions are in doubt"
    UNSURE = "no gain is sure enough"

    @property
    def of_time(self) -> bool:
        """Whether the layer is dense for its times' sake, as opposed to accuracy's."""
        return self in (DenseKind.SLOWER, DenseKind.DOUBTED, DenseKind.UNSURE)


#: what stands before the margin in a reason
MARGIN = " by a margin of "
#: the same of plans that knew of intervals only
FORMER, FORMER_MARGIN = {DenseKind.UNSURE: "no gain survives its interval"}, " and the margin of "


@dataclass(frozen=True)
class Reason:
    """Why one layer is dense.

    Attributes:
        kind: what plans group layers by.
        detail: the rest of the sentence.
        margin: that gains had to exceed; it is named where no gain survives.
    """

    kind: DenseKind
    detail: str
    margin: float = 0.0

    def __str__(self) -> str:
        margin = f"{MARGIN}{self.margin:g}" if self.margin else ""
        return f"{self.kind.value}{margin}: {self.detail}"


def read_kind(text: str) -> DenseKind | None:
    """The kind of a reason as a plan has it; None for a plan whose reasons are not of `latency.decide`."""
    head = text.partition(":")[0].partition(MARGIN)[0].partition(FORMER_MARGIN)[0]
    return next((kind for kind in DenseKind if head in (kind.value, FORMER.get(kind))), None)
