"""Settings of the trees by cross-validation on grouped folds, and the held-out errors that intervals are made of.

Every candidate is fitted once for each fold with the most rounds, and judged after fewer of them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import ParameterGrid

from fleetpose.errors import UsageError
from latency.cost_model.model import Base, Inputs, Model, measured_ms
from latency.cost_model.trees import TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample
from latency.dataset.split import Fold, folds, groups_of

FOLDS = 5
#: rounds after which a candidate is judged
ROUNDS = (60, 150, 300, 450)
GRID = {"depth": (3, 6, 8)}
#: without a search: what served all devices that were tried
PLAIN = {"depth": (6,)}


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation says.

    Attributes:
        settings: the best.
        split: what the folds held out: "family", "network" or "shape".
        samples: those that were held out once, merged.
        predicted: milliseconds for each of them, from models that saw none of its group.
        scores: mean absolute relative error by candidate, for the account.
    """

    settings: TreeSettings
    split: str
    samples: tuple[Sample, ...]
    predicted: np.ndarray
    scores: dict[str, float]

    @property
    def log_errors(self) -> np.ndarray:
        return np.log(measured_ms(self.samples) / self.predicted)


def usual_split(samples: Sequence[Sample]) -> str:
    """What to hold out where nobody says: families if there are enough for the folds, else networks, else shapes."""
    for by in ("family", "network"):
        if len({name for sample in samples for name in groups_of(sample, by)}) >= FOLDS:
            return by
    return "shape"


def search(
    samples: Sequence[Sample],
    hardware: Hardware,
    bases: Sequence[Base] = (),
    start: TreeSettings | None = None,
    by: str = "",
    seed: int = 0,
    wide: bool = True,
) -> CrossValidation:
    """Choose settings for `samples`.

    Args:
        start: everything that is not searched for.
        by: one of SPLITS; by default `usual_split`.
        wide: try GRID; else only how many rounds.

    Raises:
        UsageError: fewer than two groups to hold out.
    """
    start, by = start or TreeSettings(), by or usual_split(samples)
    groups = {name for sample in samples for name in groups_of(sample, by)}
    if len(groups) < 2:
        raise UsageError(f"{len(groups)} to hold out by {by} is too few to fit and check a predictor")
    parts = folds(samples, by, min(FOLDS, len(groups)), seed)
    parts = [part for part in parts if part.train and part.test]
    candidates = [
        replace(start, rounds=max(ROUNDS), bags=1, **point) for point in ParameterGrid(GRID if wide else PLAIN)
    ]
    tables = _predict_held_out(parts, candidates, hardware, bases, seed)
    held = tuple(sample for part in parts for sample in part.test)
    errors = {key: float(np.abs(table / measured_ms(held) - 1).mean()) for key, table in tables.items()}
    best = min(errors, key=lambda key: errors[key])
    settings = replace(candidates[best[0]], rounds=best[1], bags=start.bags)
    scores = {f"depth {candidates[key[0]].depth}, {key[1]} rounds": error for key, error in errors.items()}
    return CrossValidation(settings, by, held, tables[best], scores)


def _predict_held_out(
    parts: Sequence[Fold], candidates: Sequence[TreeSettings], hardware: Hardware, bases: Sequence[Base], seed: int
) -> dict[tuple[int, int], np.ndarray]:
    """Predictions for all held-out samples, by (candidate, rounds)."""
    pieces: dict[tuple[int, int], list[np.ndarray]] = {}
    for part in parts:
        train, test = Inputs.of(part.train, hardware, bases), Inputs.of(part.test, hardware, bases)
        for number, candidate in enumerate(candidates):
            model = Model.fit(train, measured_ms(part.train), candidate, seed)
            for rounds in ROUNDS:
                pieces.setdefault((number, rounds), []).append(model.predict(test, rounds))
    return {key: np.concatenate(piece) for key, piece in pieces.items()}
