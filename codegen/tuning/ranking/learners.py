"""What ranks candidates: three kinds of boosted trees, taught by trials of other workloads, and their mean order.

Trees that order pairs of a workload (LambdaMART's pairwise loss, as xgboost has it, three of them on different parts of
rows and columns), trees that tell what is near the best, and trees that foretell how much slower than the best a
candidate is. Each errs elsewhere, and none needs times of different workloads to have a common scale. They know tables
and times, and neither schedules nor files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xgboost

PAIRS, ROUNDS = 3, 150
#: of pairs, and of the two others, whose losses are not of pairs
PAIRWISE = {"objective": "rank:pairwise", "max_depth": 5, "eta": 0.08, "subsample": 0.8, "colsample_bytree": 0.6}
GROWN = {"max_depth": 6, "eta": 0.06, "subsample": 0.8, "colsample_bytree": 0.6, "max_bin": 64, "min_child_weight": 3}
NEARNESS = {**GROWN, "objective": "binary:logistic", "min_child_weight": 1}
SLOWNESS = {"objective": "reg:pseudohubererror", "huber_slope": 0.5, "base_score": 1.0, **GROWN}
#: how fast worth falls with time: a candidate that takes e times as long as the best is worth 1/e^STEEP of it
STEEP = 6.0
#: a log ratio to the best beyond which all are alike, failures too
MOST_SLOWER = 3.0


@dataclass(frozen=True)
class LearnedOrder:
    """Trained trees: `pairs` answer more for what is faster, as does `nearness`; `slowness` answers less."""

    pairs: tuple[xgboost.Booster, ...]
    nearness: xgboost.Booster
    slowness: xgboost.Booster

    @classmethod
    def learn(cls, tables: Sequence[np.ndarray], times: Sequence[np.ndarray]) -> LearnedOrder:
        """Learn from workloads.

        Args:
            tables: of each workload what trees see of its candidates (candidates, columns); NaN is unknown.
            times: milliseconds (candidates), infinite where a candidate failed; one at least is finite.
        """
        logs = [slower(ms) for ms in times]
        rows = np.vstack(tables)
        ordered = xgboost.DMatrix(rows, -np.concatenate(logs))
        ordered.set_group([len(table) for table in tables])
        near = xgboost.DMatrix(rows, np.exp(-STEEP * np.concatenate(logs)))
        slow = xgboost.DMatrix(rows, np.concatenate(logs))
        pairs = tuple(_train(PAIRWISE, ordered, seed) for seed in range(PAIRS))
        return cls(pairs, _train(NEARNESS, near), _train(SLOWNESS, slow))

    def ranks(self, table: np.ndarray) -> np.ndarray:
        """Of each candidate of one workload its mean rank among them, from 0, the most promising, towards 1."""
        rows = xgboost.DMatrix(table)
        pairs = sum(booster.predict(rows) for booster in self.pairs)
        return mean_ranks([-pairs, -self.nearness.predict(rows), self.slowness.predict(rows)])


def slower(ms: np.ndarray) -> np.ndarray:
    """Logs of times over the least of them, MOST_SLOWER at most (n)."""
    return np.minimum(np.log(ms / ms.min()), MOST_SLOWER)


def mean_ranks(scores: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the orders of several scores (n each), as ranks from 0, the least, to less than 1."""
    return np.mean([np.argsort(np.argsort(score, kind="stable")) / max(1, len(score)) for score in scores], 0)


def _train(parameters: dict[str, object], data: xgboost.DMatrix, seed: int = 0) -> xgboost.Booster:
    return xgboost.train({"nthread": 1, "seed": seed, **parameters}, data, ROUNDS)
