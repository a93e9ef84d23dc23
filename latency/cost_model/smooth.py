"""A Gaussian process on the log of measured / baseline: what physics leaves over, where similar layers are alike.

Trees cut the space of layers into boxes; this draws a smooth surface through them. The two err differently, so that
their mean errs less. Kernel: a constant plus a Matern 3/2 of scaled distances (Rasmussen and Williams, Gaussian
Processes for Machine Learning, eq. 4.17), a length for each input, and noise; all of them by the greatest marginal
likelihood (eq. 5.8) under a wide prior, on some of the rows. It knows features and numbers, and neither files nor
devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from fleetpose.codec import check_entries, decode
from fleetpose.errors import DataError
from latency.cost_model.feature_names import NAMES

#: columns whose logarithm is an input, and those that are inputs as they are
LOGS = (
    "group_channels", "cout", "out_pixels", "w_out", "h_in", "taps", "macs_kept", "bytes_all", "bytes_weights",
    "bytes_in", "bytes_out", "intensity", "winograd_tiles", "work_items", "item_macs", "kept", "filter_groups",
)  # fmt: skip
PLAIN = (
    "stride", "dilation", "padding", "slices_out_mod2", "slices_out_mod4", "half", "wide_sums", "wide_products",
    "addends", "smooth_steps", "skips_zeros", "block_filters", "block_channels", "grids", "class_direct",
    "class_pointwise", "class_strided", "class_depthwise", "class_winograd4", "class_vector", "class_columns",
    "class_image", "config_filters", "config_vectors", "config_rows", "config_columns", "config_step", "config_texture",
)  # fmt: skip
#: rows that settle the lengths, and rows that answers are made of; more are drawn from
ROWS_TO_LEARN, MOST_ROWS = 300, 2000
ITERATIONS = 40
#: logs of (variance of the constant, of the surface, of the noise), and of every length, and how far off they may be
START, LENGTH, SPREAD = np.log([0.01, 0.05, 0.005]), 1.5, 1.0
#: a step of an input that is 0 or 1 counts as at least so many standard deviations' inverse
LEAST_SCALE = 0.3
ROOT3 = 3.0**0.5


@dataclass(frozen=True)
class Smooth:
    """A fitted process.

    Attributes:
        columns: inputs, each a column of NAMES; the first `logs` by their logarithm.
        logs: how many.
        shift, scale: of each input, (inputs).
        parameters: logs of the variances of constant, surface and noise.
        lengths: logs (inputs).
        rows: scaled inputs of the rows that answers are made of (rows, inputs).
        weights: of each row in an answer (rows).
    """

    columns: tuple[str, ...]
    logs: int
    shift: np.ndarray
    scale: np.ndarray
    parameters: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, target: np.ndarray, seed: int = 0, like: Smooth | None = None) -> Smooth:
        """Fit to `features` (n, columns of NAMES) and log residuals (n).

        Args:
            like: take its inputs, variances and lengths, which is much faster.
        """
        logs, plain = (LOGS, PLAIN) if like is None else (like.columns[: like.logs], like.columns[like.logs :])
        raw = _raw(features, logs, plain)
        if like is None:
            varies = raw.std(0) > 1e-9
            kept = [name for name, keep in zip((*logs, *plain), varies, strict=True) if keep]
            logs, plain = tuple(n for n in kept if n in logs), tuple(n for n in kept if n in plain)
            raw = raw[:, varies]
            shift, scale = raw.mean(0), np.maximum(raw.std(0), LEAST_SCALE)
        else:
            shift, scale = like.shift, like.scale
        inputs, generator = (raw - shift) / scale, np.random.default_rng(seed)
        if like is None:
            parameters, lengths = _learn(*_drawn(inputs, target, ROWS_TO_LEARN, generator))
        else:
            parameters, lengths = like.parameters, like.lengths
        rows, known = _drawn(inputs, target, MOST_ROWS, generator)
        weights = cho_solve(cho_factor(_covariance(rows, parameters, lengths)), known)
        return cls((*logs, *plain), len(logs), shift, scale, parameters, lengths, rows, weights)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The log residual (n)."""
        raw = _raw(features, self.columns[: self.logs], self.columns[self.logs :])
        inputs = (raw - self.shift) / self.scale
        constant, surface, _ = np.exp(self.parameters)
        return (constant + surface * matern(inputs, self.rows, self.lengths)) @ self.weights

    def to_json(self) -> dict[str, Any]:
        """Numbers with seven digits, which is what float32 has."""
        numbers = {name: _short(getattr(self, name)) for name in ("shift", "scale", "parameters", "lengths", "weights")}
        return {"columns": list(self.columns), "logs": self.logs, **numbers, "rows": [_short(row) for row in self.rows]}

    @classmethod
    def from_json(cls, values: Any) -> Smooth:
        """The inverse of `to_json`. Raises DataError for what is no such process."""
        vectors = ("shift", "scale", "parameters", "lengths", "weights")
        kinds = {"columns": list[str], "logs": int, "rows": list[list[float]], **dict.fromkeys(vectors, list[float])}
        given = check_entries(values, kinds, "smooth", needed=tuple(kinds))
        columns, logs, count = tuple(given["columns"]), given["logs"], len(given["columns"])
        unknown = [name for name in columns if name not in NAMES]
        sizes = [len(given[name]) for name in ("shift", "scale", "lengths")] + [len(row) for row in given["rows"]]
        if unknown or not 0 <= logs <= count or any(size != count for size in sizes):
            raise DataError("smooth: its inputs do not fit together")
        if len(given["parameters"]) != len(START) or len(given["weights"]) != len(given["rows"]):
            raise DataError("smooth: its rows and their weights do not fit together")
        if (
            max(map(abs, (*given["parameters"], *given["lengths"])), default=0) > 50
            or min(given["scale"], default=1) <= 0
        ):
            raise DataError("smooth: a variance, a length or a scale is none")
        arrays = {name: np.array(decode(list[float], given[name], name), np.float64) for name in vectors}
        return cls(columns, logs, rows=np.array(given["rows"], np.float64).reshape(-1, count), **arrays)


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def _raw(features: np.ndarray, logs: tuple[str, ...], plain: tuple[str, ...]) -> np.ndarray:
    """The inputs, not scaled (n, inputs); what a configuration does not say is 0."""
    table = features[:, [NAMES.index(name) for name in (*logs, *plain)]].astype(np.float64)
    table = np.nan_to_num(table, nan=0.0)
    table[:, : len(logs)] = np.log1p(np.maximum(table[:, : len(logs)], 0.0))
    return table


def _drawn(
    inputs: np.ndarray, target: np.ndarray, most: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.sort(generator.permutation(len(target))[:most])
    return inputs[chosen], target[chosen]


def _distances(left: np.ndarray, right: np.ndarray, lengths: np.ndarray | float) -> np.ndarray:
    """Scaled distances x sqrt 3 (n, m)."""
    first, second = left * np.exp(-lengths), right * np.exp(-lengths)
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    return ROOT3 * np.sqrt(np.maximum(squares, 0.0))


def matern(left: np.ndarray, right: np.ndarray, lengths: np.ndarray | float) -> np.ndarray:
    """Matern 3/2 of two sets of rows (n, inputs), (m, inputs), from 1 down to 0 (n, m); `lengths` are logs, of every
    input or of all."""
    distances = _distances(left, right, lengths)
    return (1 + distances) * np.exp(-distances)


def _covariance(rows: np.ndarray, parameters: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    constant, surface, noise = np.exp(parameters)
    covariance = constant + surface * matern(rows, rows, lengths)
    covariance[np.diag_indices_from(covariance)] += noise
    return covariance


def _learn(rows: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances and lengths, as logs, of the greatest marginal likelihood under a normal prior about their start."""
    start = np.concatenate([START, np.full(rows.shape[1], LENGTH)])

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = negative_log_likelihood(values[:3], values[3:], rows, target)
        away = (values - start) / SPREAD
        return loss + 0.5 * float(away @ away), gradient + away / SPREAD

    bounds = [(value - 4 * SPREAD, value + 4 * SPREAD) for value in start]
    likeliest = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
    return likeliest.x[:3], likeliest.x[3:]


def negative_log_likelihood(
    parameters: np.ndarray, lengths: np.ndarray, rows: np.ndarray, target: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value and gradient by (parameters, lengths)."""
    constant, surface, noise = np.exp(parameters)
    distances = _distances(rows, rows, lengths)
    decay = np.exp(-distances)
    matern = (1 + distances) * decay
    covariance = constant + surface * matern
    covariance[np.diag_indices_from(covariance)] += noise + 1e-9
    lower = np.linalg.cholesky(covariance)
    inverse = solve_triangular(lower, np.eye(len(target)), lower=True)
    inverse = inverse.T @ inverse
    weights = inverse @ target
    value = 0.5 * target @ weights + np.log(np.diag(lower)).sum()
    pull = inverse - np.outer(weights, weights)  # twice the gradient by the covariance
    by_variance = 0.5 * np.array([constant * pull.sum(), surface * (pull * matern).sum(), noise * np.trace(pull)])
    # d matern / d log length = 3 x exp(-distance) x (difference / length)^2
    sensitive, scaled = 1.5 * surface * pull * decay, rows * np.exp(-lengths)
    by_length = 2 * (sensitive.sum(1) @ scaled**2) - 2 * np.einsum(
        "ni,nm,mi->i", scaled, sensitive, scaled, optimize=True
    )
    return float(value), np.concatenate([by_variance, by_length])
