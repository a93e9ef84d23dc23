"""All patterns by name: those that are taken, and those that are refused."""

from __future__ import annotations

from tests.patterns.activations import ACTIVATIONS, GATES
from tests.patterns.arithmetic import ARITHMETIC, KINDS, PREPROCESSING
from tests.patterns.convolutions import CONVOLUTIONS
from tests.patterns.fallbacks import DECOMPOSED, FALLBACKS
from tests.patterns.refused import REFUSED
from tests.patterns.truths import TRUTHS
from tests.patterns.views import OUTPUTS, TOKENS, VIEWS
from tests.patterns.windows import NORMS, PADS, POOLS, RESIZES

TAKEN = {
    **CONVOLUTIONS,
    **ACTIVATIONS,
    **GATES,
    **ARITHMETIC,
    **TRUTHS,
    **PREPROCESSING,
    **KINDS,
    **POOLS,
    **PADS,
    **RESIZES,
    **NORMS,
    **VIEWS,
    **TOKENS,
    **OUTPUTS,
    **FALLBACKS,
    **DECOMPOSED,
}

__all__ = ["REFUSED", "TAKEN"]
