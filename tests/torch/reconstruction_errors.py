"""How much nearer to a dense network its reconstruction comes than its masks do."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from models.graph.network import Graph
from models.graph.reference import run_graph


def error_over_masked(graph: Graph, solved: Graph, masked: Graph, inputs: Iterable[np.ndarray]) -> float:
    """Mean square error of `solved`'s one output over that of `masked`, both against `graph`, on inputs (C, H, W)."""
    solved_error = masked_error = 0.0
    for x in inputs:
        (wanted,) = run_graph(graph, x[None])
        solved_error += np.square(run_graph(solved, x[None])[0] - wanted).mean()
        masked_error += np.square(run_graph(masked, x[None])[0] - wanted).mean()
    return solved_error / masked_error
