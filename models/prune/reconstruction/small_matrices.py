"""Linear algebra on many small matrices: a thread for each core, and a BLAS that does not split what is small.

A BLAS divides even a product of some hundred rows among all cores, and its threads wait for each other by spinning,
which takes several times as long as a thread for each group of filters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, which takes a while


def one_thread_each() -> AbstractContextManager[Any]:
    """Within it, NumPy's and SciPy's BLAS use one thread for each call."""
    return _controller().limit(limits=1, user_api="blas")


def map_matrices(function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """`function` of every item, in order, worked on by as many threads as there are cores."""
    with one_thread_each(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))
