"""Operators that are others: what torch writes them as while a program is prepared for reading.

A function that answers NotImplemented leaves a call as it is.
"""

from models.frontend.decompositions.few_others import FEW_OTHERS
from models.frontend.decompositions.sequences import SEQUENCES
from models.frontend.decompositions.windows import WINDOWS

#: operator -> what computes it of others
DECOMPOSITIONS = {**FEW_OTHERS, **SEQUENCES, **WINDOWS}

__all__ = ["DECOMPOSITIONS"]
