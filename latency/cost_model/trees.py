"""Boosted trees on the log of measured / baseline: what physics leaves over. The only module that knows xgboost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from fleetpose.codec import parse_json
from latency.cost_model.boosters import OBJECTIVE, booster_documents, checked_booster
from latency.cost_model.feature_names import NAMES

#: threads for training: data is small, and threads that wait for a busy core cost more than they bring
THREADS = 1
#: ranges that each column is cut into: 256, xgboost's own, take twice the time and err no less on thousands of rows
MAX_BIN = 64
#: columns in which the time can only grow, all else being equal; a constraint only where it is asked for
MONOTONE = ("macs_kept", "macs_slices", "bytes_in", "bytes_out", "bytes_weights", "bytes_addends", "grids", "addends")


@dataclass(frozen=True)
class TreeSettings:
    """How trees are grown.

    Attributes:
        depth: most questions from root to leaf.
        rounds: trees, one behind the other.
        eta: share of each tree's answer that is taken.
        columns: share of the columns that each tree sees.
        rows: share of the rows that each tree sees.
        slope: log error beyond which a row pulls with constant force (pseudo-Huber), so that outliers do not lead.
        leaf: least sum of second derivatives in a leaf.
        bags: models from as many seeds whose answers are averaged.
        monotone: hold MONOTONE to be what it says. The residual's, not the time's: the baseline has them already.
    """

    depth: int = 6
    rounds: int = 400
    eta: float = 0.055
    columns: float = 0.4
    rows: float = 0.9
    slope: float = 0.1
    leaf: float = 0.5
    bags: int = 4
    monotone: bool = False

    def parameters(self, width: int, seed: int) -> dict[str, Any]:
        """xgboost's parameters for a matrix of `width` columns, NAMES first."""
        parameters: dict[str, Any] = {
            "objective": OBJECTIVE,
            "huber_slope": self.slope,
            "base_score": 0.0,
            "max_depth": self.depth,
            "eta": self.eta,
            "colsample_bytree": self.columns,
            "subsample": self.rows,
            "min_child_weight": self.leaf,
            "max_bin": MAX_BIN,
            "nthread": THREADS,
            "seed": seed,
        }
        if self.monotone:
            parameters["monotone_constraints"] = tuple(
                int(column < len(NAMES) and NAMES[column] in MONOTONE) for column in range(width)
            )
        return parameters


@dataclass(frozen=True)
class Trees:
    """Trained models whose mean is the answer."""

    boosters: tuple[xgboost.Booster, ...]

    @classmethod
    def fit(cls, matrix: np.ndarray, target: np.ndarray, settings: TreeSettings, seed: int) -> Trees:
        """Grow trees on `matrix` (n, columns) for `target` (n)."""
        data = xgboost.DMatrix(matrix, target)
        seeds = range(seed * settings.bags, (seed + 1) * settings.bags)
        boosters = (
            xgboost.train(settings.parameters(matrix.shape[1], number), data, settings.rounds) for number in seeds
        )
        return cls(tuple(boosters))

    def predict(self, matrix: np.ndarray, rounds: int = 0) -> np.ndarray:
        """The mean answer (n), of the first `rounds` trees or of all."""
        data = xgboost.DMatrix(matrix)
        answers = [booster.predict(data, iteration_range=(0, rounds)) for booster in self.boosters]
        return np.mean(answers, 0).astype(np.float64)

    def to_json(self) -> list[Mapping[str, Any]]:
        """xgboost's own JSON, one object a model."""
        return [parse_json(bytes(booster.save_raw("json"))) for booster in self.boosters]

    @classmethod
    def from_json(cls, values: Any, columns: int) -> Trees:
        """The inverse of `to_json`, for a matrix of so many columns. Raises DataError for what is no such model."""
        boosters = []
        for document in booster_documents(values, columns):
            booster = xgboost.Booster({"nthread": THREADS})
            booster.load_model(bytearray(json.dumps(document), "utf-8"))
            boosters.append(booster)
        return cls(tuple(boosters))


def slim(models: Sequence[Any]) -> list[Any]:
    """Models as `Trees.to_json` has them, without what only training needs: the same answers in fewer bytes."""
    columns = [int(model["learner"]["learner_model_param"]["num_feature"]) for model in models]
    return [checked_booster(model, count) for model, count in zip(models, columns, strict=True)]
