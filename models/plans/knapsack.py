"""The multiple-choice knapsack: one option of each group, least cost in all, within a budget of weight; torch-free.

A mixed-integer program, solved by HiGHS (scipy.optimize.milp).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from fleetpose.errors import UsageError
from fleetpose.native import without_native_output


def choose_one_each(
    groups: Sequence[Sequence[tuple[float, float]]], budget: float, *, gap: float = 0.0, seconds: float | None = None
) -> list[int]:
    """The index of the option that each group gets.

    Args:
        groups: (cost, weight) of every option, by group.
        budget: what the weights of the chosen options may add up to; HiGHS tolerates an excess of about 1e-6.
        gap: relative distance from the least cost at which the search may end; 0 is exact.
        seconds: after which the search ends with the best that is known; None sets no limit.

    Raises:
        UsageError: nothing that fits was found.
    """
    costs, weights = np.array([option for group in groups for option in group], float).reshape(-1, 2).T
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    one_each = csr_array((np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=(len(groups), len(owner)))
    limit = {} if seconds is None else {"time_limit": seconds}
    with without_native_output():  # HiGHS prints a line now and then, whatever its options
        solution = milp(
            costs,
            constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(weights[None], -np.inf, budget)],
            integrality=np.ones(len(owner)),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": gap, **limit},
        )
    if solution.x is None:
        raise UsageError(f"no choice of options fits the budget: {solution.message}")
    taken = np.flatnonzero(solution.x > 0.5)
    starts = np.cumsum([0, *(len(group) for group in groups)])[:-1]
    return [int(index) for index in taken - starts]
