"""Gains: how likely it is that a variant is faster than dense, what a wrong decision costs, and which ones may be had.

A variant is better than dense where the expected logarithm of dense time / its time is above 0. Decided so, the time
lost on average is the least. With p the probability that it is faster, G what is then saved and C what is else lost on
average, that is p G >= (1 - p) C, or p >= C / (G + C); errors of log ratios are as likely to either side, so that this
is p >= 0.5. `Caution` asks for more than that, since zeros cost accuracy whether they save time or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fleetpose.options import check_numbers, option, real
from models.plans.log_spread import LogSpread
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import CONFIDENCE, TimeEstimate, log_ratio

#: what is as likely as this, or more so, is no longer open
SETTLED = 0.95


@dataclass(frozen=True)
class KernelOption(TimeEstimate):
    """One way to run a layer, with its time, predicted or measured.

    Attributes:
        sparsity: None is dense.
        kept: kept weights / weights.
        loss: accuracy it is thought to cost, in the unit of the sensitivity; 0 of dense.
        measured: the time was measured on the device.
        doubt: why the prediction is not to be relied on, such as an input outside the fitted range; None where it is.
        kernel: what runs, for people.
        launches: kernels it launches.
        beside_dense: what the logarithm of its predicted time over dense's may be off by; None: what both intervals
            say, as of dense itself.
    """

    sparsity: Sparsity | None
    kept: float = 1.0
    loss: float = 0.0
    measured: bool = False
    doubt: str | None = None
    kernel: str = ""
    launches: int = 1
    beside_dense: LogSpread | None = None


@dataclass(frozen=True)
class Caution:
    """How sure a gain has to be before a layer is pruned.

    Attributes:
        margin: share of the dense time.
        confidence: probability; 0 where the expected time alone decides.
    """

    margin: float = option(
        0.0, "share of the dense time that a gain must exceed, e.g. 0.05", type=real(0, below=1), metavar="SHARE"
    )
    confidence: float = option(
        CONFIDENCE, "probability of being faster than dense that zeros must have, e.g. 0.95 to be sure",
        type=real(0, below=1), metavar="P",
    )  # fmt: skip

    def check(self) -> None:
        """Raise UsageError for values that are none, by the flags they come from."""
        check_numbers(self)

    def __str__(self) -> str:
        share = f" by {self.margin:g} of the dense time or more" if self.margin else ""
        return f"faster than dense{share} with a probability of {self.confidence:.0%} or more"


#: what is asked for where nobody says
USUAL = Caution()


def spread_beside(option: KernelOption, dense: KernelOption) -> LogSpread | None:
    """What the predicted log ratio of both may be off by; None where one is measured, or where their pairs say nothing:
    then the errors of both are independent."""
    return None if option.measured or dense.measured else option.beside_dense


def probability(option: KernelOption, dense: KernelOption, margin: float = 0.0) -> float:
    """Probability that a variant is faster than dense, by `margin` of the dense time or more."""
    return option.probability_faster(dense, margin, spread_beside(option, dense))


def pays(option: KernelOption, dense: KernelOption, caution: Caution = USUAL) -> bool:
    """Whether a variant may be had: beyond doubt, faster as far as is known, and with the probability asked for."""
    faster = option.ms < dense.ms * (1 - caution.margin)
    return (
        faster
        and not (option.doubt or dense.doubt)
        and probability(option, dense, caution.margin) >= caution.confidence
    )


def is_uncertain(option: KernelOption, dense: KernelOption, caution: Caution = USUAL) -> bool:
    """Whether it is open if a variant pays, so that it is worth measuring: the prediction is in doubt, or neither being
    faster nor being slower is as likely as SETTLED, or as was asked for."""
    if option.measured and dense.measured:
        return False
    settled = max(SETTLED, caution.confidence)
    return bool(option.doubt or dense.doubt) or 1 - settled < probability(option, dense, caution.margin) < settled


def expected_loss_ms(option: KernelOption, dense: KernelOption, caution: Caution = USUAL) -> float:
    """Milliseconds that deciding now is expected to lose against knowing which of both is faster.

    A variant that pays loses where it is slower after all, another one where it would have been faster: the mean of
    that part of the log ratio, times the geometric mean of both times. Infinite where nothing is known.
    """
    distance = log_ratio(dense.ms, option.ms)
    spread = spread_beside(option, dense) or option.spread_over(dense, distance)
    lost = spread.expected_excess(distance if pays(option, dense, caution) else -distance)
    return math.sqrt(dense.ms * option.ms) * lost
