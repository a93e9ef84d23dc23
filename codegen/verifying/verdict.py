"""Allowed: what rounding may make of an artifact's outputs and people, by the type that it computes in.

Half precision has 11 bits, and a field of a pose network is a sum of thousands of products: single values of it, which
no decoder looks at, may be far from float64's although everybody is found where he is. So the largest error of all
values judges float32, and half on random inputs. On photographs half is judged by people, by average precision and by
how far their keypoints move, and its maps as wholes, by the root of their mean squared error; single values only
roughly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from codegen.verifying.keypoints import NEAR_PIXELS


@dataclass(frozen=True)
class Allowed:
    """The largest differences from float64 that are put down to rounding.

    Attributes:
        max_error: of any value of an output, over the largest magnitude of that output.
        mean_error: the root of the mean square of an output's differences, likewise; None: not asked.
        ap_loss: of average precision on the same inputs.
        far_keypoints: the part of keypoints that may move by more than NEAR_PIXELS; None: not asked.
    """

    max_error: float
    ap_loss: float
    mean_error: float | None = None
    far_keypoints: float | None = None

    @classmethod
    def of(cls, dtype: str, photographs: bool) -> Allowed:
        """What is allowed of an artifact of `dtype`, on photographs or on random inputs."""
        return BY_PHOTOGRAPHS[dtype] if photographs else ON_RANDOM_INPUTS[dtype]

    def changed(self, max_error: float | None, ap_loss: float | None) -> Allowed:
        """With what a person says instead, where he says it."""
        mine = {"max_error": max_error, "ap_loss": ap_loss}
        return replace(self, **{name: value for name, value in mine.items() if value is not None})

    def faults(self, result: dict[str, Any]) -> Iterator[str]:
        """What is beyond it in a result of `verify`, in words; nothing where all is within."""
        if result["not_finite"]:
            yield f"not finite: {', '.join(result['not_finite'])}"
        elif result["max_relative_error"] is None:
            yield "nothing was compared"
        moved = result.get("keypoints_far")
        limits = [
            ("the largest error", result["max_relative_error"], self.max_error),
            ("the mean error", result["mean_relative_error"], self.mean_error),
            ("the difference in AP", _difference(result), self.ap_loss),
            (f"the part of keypoints that moved by over {NEAR_PIXELS:g} px", moved, self.far_keypoints),
        ]
        for what, value, limit in limits:
            if value is not None and limit is not None and not value <= limit:
                yield f"{what} is {value:.2g}, allowed is {limit:g}"


def _difference(result: dict[str, Any]) -> float | None:
    pair = result.get("ap_artifact"), result.get("ap_reference")
    return None if None in pair else abs(pair[0] - pair[1])  # type: ignore[operator]


ON_RANDOM_INPUTS = {"float32": Allowed(1e-3, 0.002), "float16": Allowed(5e-2, 0.003)}
BY_PHOTOGRAPHS = {
    "float32": Allowed(1e-3, 0.002, far_keypoints=0.01),
    "float16": Allowed(2e-1, 0.003, mean_error=2e-3, far_keypoints=0.02),
}
