"""The torch operators that combine elements along axes of tensors of any rank.

`TOKENS` is the whole list: operator name -> function of a Call, whose tensors are names or TensorViews, and of the
reader of the program. A function leaves drafts with the reader, and answers the view of the last one's tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.frontend.call import Call
from models.frontend.tokens.attention import PRODUCTS
from models.frontend.tokens.joining import concatenate, stack
from models.frontend.tokens.padding import pad
from models.frontend.tokens.reader import TensorReader
from models.frontend.tokens.reductions import REDUCTIONS
from models.frontend.windows.pads import PADS

TOKENS: dict[str, Callable[[Call, TensorReader], Any]] = {
    **REDUCTIONS,
    **PRODUCTS,
    "cat": concatenate,
    "concat": concatenate,
    "concatenate": concatenate,
    "stack": stack,
    **dict.fromkeys(PADS, pad),
}
