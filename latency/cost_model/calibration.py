"""Calibration: from the latencies of a network's kernels to that of an inference; numbers alone.

A device adds to the sum of the kernels: launches, waiting, copies, cold caches. `Calibration` sums terms that can only
cost time, fitted to measured networks on relative error. How many terms there are goes by how many networks there were:
one or two tell a single ratio and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import nnls

from fleetpose.codec import decode
from fleetpose.json_fields import NotNegative, in_json

#: what a network's time is made of: the kernels' milliseconds, those of the long ones, how many kernels are launched,
#: a constant, and millions of elements written
TERMS = ("sum", "long_sum", "ops", "one", "written")
#: a kernel is long where its own time hides that of launching the next
LONG_MS = 0.1
#: terms of each form, the plainest first
FORMS = (("sum",), ("sum", "ops"), ("sum", "ops", "one"), TERMS)
#: measured networks that each term of a form takes
NETWORKS_A_TERM = 2


@dataclass(frozen=True)
class Calibration:
    """Milliseconds of a network from its kernels'.

    Attributes:
        coefficients: of TERMS; 0 of those that were not fitted.
        networks: names of the measured networks it was fitted to.
        errors: by name of a network, the log of measured / predicted where the calibration was fitted to the others,
            and the kernels' times came from models that had not seen their shapes; {} of a single network.
    """

    coefficients: tuple[float, ...] = field(
        metadata=in_json(encode=lambda values: dict(zip(TERMS, values, strict=True)), decode=lambda v: _by_term(v))
    )
    networks: tuple[str, ...] = ()
    errors: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def fit(cls, terms: np.ndarray, ms: np.ndarray, used: Sequence[str] = TERMS) -> Calibration:
        """Fit to terms (networks, TERMS) and measured milliseconds, least squares of the relative error.

        Args:
            used: the terms to fit; the others get 0.
        """
        columns = [TERMS.index(name) for name in used]
        relative = terms[:, columns] / ms[:, None]
        sizes = np.sqrt((relative**2).mean(0))
        sizes[sizes == 0] = 1.0
        coefficients = np.zeros(len(TERMS))
        coefficients[columns] = nnls(relative / sizes, np.ones(len(ms)))[0] / sizes
        return cls(tuple(map(float, coefficients)))

    @classmethod
    def fit_form(cls, terms: np.ndarray, ms: np.ndarray, networks: Sequence[str]) -> Calibration:
        """Fit the form that the number of networks bears.

        Of several, the one that errs least when each network in turn is left out.

        Args:
            networks: name of each row's; rows of one, under several plans or sizes, are left out together.
        """
        count = len(set(networks))
        bearable = [form for form in FORMS if len(form) * NETWORKS_A_TERM <= count] or [FORMS[0]]
        if len(bearable) > 1:
            bearable.sort(key=lambda form: left_out_error(terms, ms, networks, form))
        return cls.fit(terms, ms, bearable[0])

    def predict(self, terms: np.ndarray) -> np.ndarray:
        """Milliseconds (networks)."""
        return terms @ np.array(self.coefficients)

    @property
    def used(self) -> dict[str, float]:
        """The terms that count, with their coefficients."""
        return {name: value for name, value in zip(TERMS, self.coefficients, strict=True) if value}

    def __str__(self) -> str:
        terms = " + ".join(f"{value:.4g} x {name}" for name, value in self.used.items())
        return f"{terms or '0'} (fitted to {len(self.networks)} measured network{'s' * (len(self.networks) != 1)})"


def _by_term(values: Any) -> tuple[float, ...]:
    coefficients = decode(dict[str, NotNegative], values)
    if not any(coefficients.values()):
        raise ValueError("a calibration has a coefficient above 0")
    return tuple(coefficients[name] for name in TERMS)


def terms_of(ms: np.ndarray, launches: int, written: float) -> np.ndarray:
    """The TERMS of one network.

    Args:
        ms: milliseconds of each kernel, each as often as it runs.
        launches: kernels launched.
        written: elements written.
    """
    return np.array([ms.sum(), ms[ms > LONG_MS].sum(), launches, 1.0, written / 1e6])


def left_out_error(terms: np.ndarray, ms: np.ndarray, networks: Sequence[str], used: Sequence[str]) -> float:
    """The mean absolute relative error for a network, from a fit to all the others."""
    names, errors = np.array(networks), []
    for name in sorted(set(networks)):
        out = names == name
        predicted = Calibration.fit(terms[~out], ms[~out], used).predict(terms[out])
        errors += list(np.abs(predicted / ms[out] - 1))
    return float(np.mean(errors))
