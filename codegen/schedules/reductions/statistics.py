"""The arithmetic of reductions: what is known of the elements that were combined so far, as expressions on vectors.

Of any set of elements x two numbers are kept, which are found one after the other:

    first   their mean, maximum or minimum; kinds that need none have none
    second  the sum of a term of each element, which may refer to the first number: (x - mean)^2, exp(x - maximum)

Both are exact where the textbook's one pass (sum of x^2 less mean^2) loses digits, and the numbers of parts of a set
join to those of the whole (Chan, Golub and LeVeque 1983 for the variance).
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.tirx.script import builder as T

from codegen.kernels.exponential import exponential
from codegen.kernels.vectors import Vector
from models.graph.reduction import Reduction

#: per kind, how the first number is made; "" where the kind has none
FIRST = {
    "variance": "mean",
    "deviation": "mean",
    "softmax": "max",
    "log_softmax": "max",
    "max": "max",
    "min": "min",
}


@dataclass(frozen=True)
class Statistics:
    """The expressions of one reduction.

    Attributes:
        reduction: what is combined.
        vector: the type that statistics are computed in: float32, whatever the elements are.
        count: how many elements are combined.
    """

    reduction: Reduction
    vector: Vector
    count: int

    @property
    def first(self) -> str:
        """How the first number is made: "mean", "max", "min" or "" where there is none."""
        return FIRST.get(self.reduction.kind, "")

    @property
    def has_second(self) -> bool:
        return self.reduction.kind not in ("max", "min")

    def number(self, value: float):
        return self.vector.splat(float(value))

    def start(self):
        """The neutral element of `combine`."""
        if self.first == "mean":
            return self.number(0)
        return self.vector.lowest() if self.first == "max" else self.number(0) - self.vector.lowest()

    def combine(self, a, b):
        """Two first numbers (means as sums) as one."""
        if self.first == "mean":
            return a + b
        return T.max(a, b) if self.first == "max" else T.min(a, b)

    def term(self, x, first):
        """What an element adds to the second number."""
        kind = self.reduction.kind
        if kind in ("variance", "deviation"):
            return (x - first) * (x - first)
        if kind in ("softmax", "log_softmax"):
            return exponential(x - first, self.vector)
        if kind in ("rms", "l2"):
            return x * x
        return T.max(x, self.number(0) - x) if kind == "l1" else x

    def joined(self, second, first, whole, count):
        """The second number of a part, as if it had been computed with the whole's first number.

        Args:
            second, first: the part's numbers; `whole`: the first number of all parts; `count`: the part's elements.
        """
        if self.first == "mean":
            return second + (first - whole) * (first - whole) * count
        return second * exponential(first - whole, self.vector) if self.first == "max" else second

    def prepared(self, first, second):
        """What `apply` takes as the second number: all that is the same for every element, computed once."""
        kind, eps = self.reduction.kind, self.reduction.eps
        if kind in ("variance", "rms"):
            return self.number(1) / T.sqrt(second * self.number(1 / self.count) + self.number(eps))
        if kind == "log_softmax":
            return first + T.log(second)
        if kind == "softmax":
            return self.number(1) / second
        return self.number(1) / T.max(T.sqrt(second) if kind == "l2" else second, self.number(eps))

    def apply(self, x, first, prepared):
        """An element after normalisation or softmax."""
        kind = self.reduction.kind
        if kind == "variance":
            return (x - first) * prepared
        if kind == "softmax":
            return exponential(x - first, self.vector) * prepared
        return x - prepared if kind == "log_softmax" else x * prepared

    def result(self, first, second):
        """What "reduce" makes of the numbers of all elements."""
        kind = self.reduction.kind
        if kind in ("max", "min"):
            return first
        if kind in ("variance", "deviation"):
            variance = second * self.number(1 / (self.count - self.reduction.correction))
            return variance if kind == "variance" else T.sqrt(variance)
        if kind == "l2":
            return T.sqrt(second)
        return second * self.number(1 / self.count) if kind == "mean" else second
