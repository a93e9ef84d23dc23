"""How far the logarithm of a ratio of two times may be off: Student's t about 0, or a normal distribution.

Two times are compared by the logarithm of their ratio, so that "faster" is a sign. What a prediction of it is off by
has heavy tails: most pairs of kernels are told apart well, a few very badly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

#: standard deviations of a normal distribution to either end of the interval that holds 90 %
NINETY = 1.645
#: share that the interval to either side's end leaves beyond it
TAIL = 0.05


@dataclass(frozen=True)
class LogSpread:
    """The distribution of (log ratio as known - log ratio as it is).

    Attributes:
        scale: of Student's t, or the standard deviation of a normal distribution; infinite where nothing is known.
        freedom: degrees of freedom, above 1; infinite is normal.
    """

    scale: float
    freedom: float = math.inf

    def probability_below(self, distance: float) -> float:
        """Probability of an error below `distance`: that a log ratio which is known to be so far above 0 is above 0."""
        if math.isinf(self.scale) or distance == 0:
            return 0.5
        if self.scale == 0:
            return float(distance > 0)
        z = distance / self.scale
        if math.isinf(self.freedom):
            return math.erfc(-z / math.sqrt(2)) / 2
        from scipy import special

        return float(special.stdtr(self.freedom, z))

    def expected_excess(self, distance: float) -> float:
        """The mean of max(0, error - distance): what is lost on average by taking a log ratio for positive that is
        known to be so far above 0.

        Normal: s (p(z) - z P(-z)); Student's t with f degrees of freedom: s ((f + z^2) / (f - 1) p(z) - z P(-z)), for
        density p and distribution P, by partial integration.
        """
        if math.isinf(self.scale):
            return math.inf
        if self.scale == 0:
            return max(0.0, -distance)
        z, freedom = distance / self.scale, self.freedom
        if math.isinf(freedom):
            peak = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        else:
            constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
            density = math.exp(constant - (freedom + 1) / 2 * math.log1p(z * z / freedom))
            peak = (freedom + z * z) / (freedom - 1) * density
        return self.scale * (peak - z * self.probability_below(-distance))

    @property
    def half_width(self) -> float:
        """Half the width of the interval that holds 90 % of errors."""
        if math.isinf(self.freedom) or math.isinf(self.scale):
            return NINETY * self.scale
        from scipy import special

        return float(special.stdtrit(self.freedom, 1 - TAIL)) * self.scale

    def scaled(self, factor: float) -> LogSpread:
        """All errors times a factor."""
        return replace(self, scale=self.scale * factor)
