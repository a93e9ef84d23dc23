"""What a predictor is for: whether it takes the decision, sparse or dense, that measurements would have taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from latency.cost_model.metrics import bootstrap_ratio
from latency.dataset.pairs import measured, rows_by_layer, rows_by_variant
from latency.evaluation.odds import Judged, calibration
from models.plans.time_estimate import CONFIDENCE

#: probabilities of being faster that zeros might need, besides the usual one, and that of the end of an interval
RULES, SURE = (0.5, 0.8, 0.95), 0.95


def decisions(judged: Judged, seed: int = 0) -> dict[str, Any]:
    """Accuracy and regret over every (layer, sparsity) that was measured beside the dense layer.

    A decision is between one sparsity of a layer, in the fastest of its schedules, and its fastest dense one.

    Args:
        judged: layers with a single variant do not count.
        seed: of the bootstrap.

    Returns:
        accuracy: share of decisions that are those of the measurements; regret: time lost by the choices, against the
        best measured ones, / the time of these; regret_interval: where that lies in 95 % of resampled groups; rules:
        the same for several rules, each with "rule" (the probability that zeros need, or "intervals": that both
        intervals say it), in_vain: sparse although slower, and missed: dense although sparse is faster; calibration:
        see `latency.evaluation.odds.calibration`; n: decisions. None and [] where n is 0.
    """
    pairs = _pairs(judged)
    if not pairs:
        return {
            "accuracy": None, "regret": None, "regret_interval": None, "rules": [], "calibration": None, "n": 0
        }  # fmt: skip
    odds = np.array([judged.odds(sparse, dense) for dense, sparse in pairs])
    independent = np.array([judged.independent_odds(sparse, dense) for dense, sparse in pairs])
    known = np.array([not judged.in_doubt(*pair) for pair in pairs])
    clear = np.array(
        [not (judged.predictions[dense].doubts or judged.predictions[sparse].doubts) for dense, sparse in pairs]
    )
    ms = np.array([[measured(judged.samples[row]) for row in pair] for pair in pairs])
    groups = [judged.groups[dense] for dense, _ in pairs]
    rules = [{"rule": "intervals", **_outcome((independent >= SURE) & clear, ms, groups, seed)}]
    for confidence in sorted({*RULES, CONFIDENCE}):
        rules.append({"rule": confidence, **_outcome((odds >= confidence) & (odds > 0.5) & known, ms, groups, seed)})
    usual = next(rule for rule in rules if rule["rule"] == CONFIDENCE)
    return {
        **{name: usual[name] for name in ("accuracy", "regret", "regret_interval")},
        "rules": rules,
        "calibration": calibration(odds, ms[:, 1] < ms[:, 0]),
        "n": len(pairs),
    }


def _outcome(taken: np.ndarray, ms: np.ndarray, groups: list[str], seed: int) -> dict[str, Any]:
    """What came of taking sparse (n, truths) of times (n, dense and sparse)."""
    faster, best = ms[:, 1] < ms[:, 0], ms.min(1)
    lost = np.where(taken, ms[:, 1], ms[:, 0]) - best
    return {
        "accuracy": float((taken == faster).mean()),
        "regret": float(lost.sum() / best.sum()),
        "regret_interval": bootstrap_ratio(lost, best, groups, seed),
        "in_vain": int((taken & ~faster).sum()),
        "missed": int((~taken & faster).sum()),
    }


def _pairs(judged: Judged) -> list[tuple[int, int]]:
    """(row of the dense layer, row of one sparsity), for every layer and sparsity, each by the kernel that is predicted
    to be the fastest."""
    pairs = []
    for rows in rows_by_layer(judged.samples):
        chosen = {
            variant: min(same, key=lambda row: judged.predictions[row].ms)
            for variant, same in rows_by_variant(judged.samples, rows).items()
        }
        dense = chosen.pop("dense", None)
        pairs += [(dense, sparse) for sparse in chosen.values() if dense is not None]
    return pairs
