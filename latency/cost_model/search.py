"""Settings of the trees by cross-validation on grouped folds, and the held-out errors that intervals are made of.

Every candidate is fitted once for each fold with the most rounds, and judged after fewer of them too. The share of the
smooth surface is chosen for the best of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import ParameterGrid

from fleetpose.errors import UsageError
from latency.cost_model.metrics import mape
from latency.cost_model.model import Base, Inputs, Model, measured_ms
from latency.cost_model.smooth import Smooth
from latency.cost_model.trees import TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample
from latency.dataset.split import Fold, folds, groups_of

FOLDS = 5
#: rounds after which a candidate is judged
ROUNDS = (60, 150, 300, 450)
GRID = {"depth": (4, 6)}
#: without a search: what served all devices that were tried
PLAIN = {"depth": (6,)}
#: shares of the smooth surface in the residual, and how much less the error has to be, relatively: asking a surface
#: costs time, too
SHARES = (0.0, 0.3, 0.5, 0.7)
WORTH = 0.01


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation says.

    Attributes:
        settings: the best.
        share: of the smooth surface in the residual.
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
    share: float = 0.0

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
    tables, surfaces = _predict_held_out(parts, candidates, hardware, bases, seed, wide)
    held = tuple(sample for part in parts for sample in part.test)
    times = measured_ms(held)
    errors = {key: mape(times, table) for key, table in tables.items()}
    best = min(errors, key=lambda key: errors[key])
    predicted, share = _blended(tables[best], surfaces, times)
    settings = replace(candidates[best[0]], rounds=best[1], bags=start.bags)
    scores = {f"depth {candidates[key[0]].depth}, {key[1]} rounds": error for key, error in errors.items()}
    if share:
        scores[f"the best with {share:.0%} of a smooth surface"] = mape(times, predicted)
    return CrossValidation(settings, by, held, predicted, scores, share)


def _blended(trees: np.ndarray, surfaces: np.ndarray | None, times: np.ndarray) -> tuple[np.ndarray, float]:
    """Milliseconds, and the share of the surface in their logarithms that errs least by more than it has to."""
    if surfaces is None:
        return trees, 0.0
    tables = {share: trees ** (1 - share) * surfaces**share for share in SHARES}
    costs = {share: mape(times, table) * (1 + WORTH * bool(share)) for share, table in tables.items()}
    share = min(costs, key=lambda share: costs[share])
    return tables[share], share


def _predict_held_out(
    parts: Sequence[Fold],
    candidates: Sequence[TreeSettings],
    hardware: Hardware,
    bases: Sequence[Base],
    seed: int,
    surface: bool,
) -> tuple[dict[tuple[int, int], np.ndarray], np.ndarray | None]:
    """Milliseconds of all held-out samples, by (candidate, rounds) of the trees alone and by the smooth surface alone.

    Variances and lengths of the surface are those of the first fold: they hardly differ, and take the longest.
    """
    pieces: dict[tuple[int, int], list[np.ndarray]] = {}
    surfaces: list[np.ndarray] = []
    like: Smooth | None = None
    for part in parts:
        train, test = Inputs.of(part.train, hardware, bases), Inputs.of(part.test, hardware, bases)
        times = measured_ms(part.train)
        for number, candidate in enumerate(candidates):
            model = Model.fit(train, times, candidate, seed)
            for rounds in ROUNDS:
                pieces.setdefault((number, rounds), []).append(model.predict(test, rounds))
        if surface:
            like = _surface(model, train, times, seed, like)
            physical = model.baseline.predict(test.features, test.kernels, test.others)
            surfaces.append(physical * np.exp(like.predict(test.features)))
    tables = {key: np.concatenate(piece) for key, piece in pieces.items()}
    return tables, np.concatenate(surfaces) if surfaces else None


def _surface(model: Model, train: Inputs, times: np.ndarray, seed: int, like: Smooth | None) -> Smooth:
    """The smooth surface of what a model's baseline leaves over."""
    physical = model.baseline.predict(train.features, train.kernels, train.others)
    return Smooth.fit(train.features, np.log(times / physical), seed, like)
