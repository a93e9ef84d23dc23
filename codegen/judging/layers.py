"""RightResult: what one layer makes of given operands, in float64, and whether a kernel makes the same but for
rounding.

The layer runs on the operands as the device has them, rounded to its type. It is computed once, whatever the number of
kernels that are judged by it; how much rounding is allowed depends on the schedule, for some amplify it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from codegen.judging.rounding import EXACT_UNIT, SAFETY, UNITS, follow_epilogue, op_error
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Weights
from codegen.schedules import RULES
from models.graph.layer import Layer
from models.graph.reference import run_epilogue, run_op

#: units of rounding of the last store
STORE = 2.0
#: the part of a fallback's elements that may be another's: at a border between two, rounding decides which is sampled
OUTLIERS = 1e-3


@dataclass(frozen=True, eq=False)
class ResultBounds:
    """The elements that a right result may have.

    Attributes:
        expected: (C, H, W) float32: float64's, rounded.
        tolerance: how far from it elements may be, which broadcasts to it; infinite where one may be anything, since it
            is no finite number in float64, or none in the device's type.
        relative: how much further, as a part of what is expected.
        outliers: how many elements may be further than that, as long as they are finite.
    """

    expected: np.ndarray
    tolerance: np.ndarray
    relative: float
    outliers: int = 0

    def fault(self, result: np.ndarray) -> str | None:
        """What is wrong with a result, (C, H, W), in words; None where rounding explains all differences."""
        known = np.broadcast_to(np.isfinite(self.tolerance), result.shape)
        if not known.any():
            return "nothing of its result can be judged: float64 gives no finite number on these operands"
        off = np.abs(result - self.expected)
        allowed = self.tolerance + self.relative * np.abs(self.expected)
        wrong = ~(off <= allowed) & known
        if not wrong.any():
            return None
        if not np.isfinite(result[known]).all():
            return "its result is not finite"
        if (count := int(wrong.sum())) <= self.outliers:
            return None
        worst = np.unravel_index(int(np.where(known, off - allowed, -np.inf).argmax()), off.shape)
        place = ", ".join(map(str, worst))
        return (
            f"its result is wrong in {count} of {wrong.size} elements, most at ({place}): {float(result[worst]):.6g}, "
            f"where float64 gives {float(self.expected[worst]):.6g} and rounding explains {float(allowed[worst]):.2g}"
        )


class RightResult:
    """What a layer makes of given operands.

    Args:
        layer: any but a "constant".
        dtype: "float32" or "float16": of the device's operands and arithmetic.
        inputs: one (C, H, W) array per Layer.inputs, as float32; `weights` likewise.
    """

    def __init__(self, layer: Layer, dtype: str, inputs: Sequence[np.ndarray], weights: Weights) -> None:
        self.layer, self.dtype, self.unit = layer, dtype, UNITS[dtype]
        tensors = [_as_on_device(array, dtype)[None] for array in inputs]
        self._operands, self._addends = tensors[: layer.operands], tensors[layer.operands :]
        arrays = {"weight": weights.weight, "bias": weights.bias}
        named = {name: _as_on_device(array, dtype) for name, array in arrays.items() if array is not None}
        with torch.no_grad():
            self._result = run_op(layer, self._operands, {f"{layer.name}.{name}": named[name] for name in named})
            parameters = (named.get("weight"), named.get("bias"))
            self._error = op_error(layer, self._result, self._operands, *parameters, self.unit)
        self._known: dict[float, ResultBounds] = {}

    def bounds(self, choice: ScheduleChoice | None = None) -> ResultBounds:
        """What the result of a schedule may be; of None, that of one which amplifies nothing."""
        factor = amplification(choice)
        if factor not in self._known:
            with torch.no_grad():
                self._known[factor] = self._bounds_at(SAFETY * factor * self._error)
        return self._known[factor]

    def _bounds_at(self, error: torch.Tensor) -> ResultBounds:
        value, tolerance = follow_epilogue(self.layer, self._result, error, self._addends, self.unit)
        info = torch.finfo(getattr(torch, self.dtype))
        beyond = ~(value.abs() <= info.max)
        if beyond.any():
            tolerance = tolerance.expand_as(value).masked_fill(beyond, torch.inf)
            value = value.masked_fill(beyond, 0.0)
        outliers = int(OUTLIERS * value.numel()) if self.layer.op == "fallback" else 0
        allowed = np.asarray(tolerance.numpy() + info.tiny, np.float32)
        expected = value[0].numpy().astype(np.float32)
        return ResultBounds(expected, allowed.reshape(allowed.shape[-3:]), STORE * self.unit + EXACT_UNIT, outliers)

    def fault(self, result: np.ndarray, choice: ScheduleChoice | None = None) -> str | None:
        """What is wrong with a schedule's result, (C, H, W), in words; None where rounding explains all differences."""
        return self.bounds(choice).fault(result)

    def relative_error(self, result: np.ndarray) -> float:
        """The largest difference of a result, (C, H, W), from float64, over the largest magnitude of that."""
        with torch.no_grad():
            expected = run_epilogue(self.layer, self._result, self._addends)[0].numpy()
        return float(np.abs(result - expected).max() / (np.abs(expected).max() or 1.0))


def amplification(choice: ScheduleChoice | None) -> float:
    """By how much a schedule amplifies rounding, which its rule says; 1 where there is none, or none of the name."""
    rules = {rule.name: rule for rule in RULES}
    rule = rules.get(choice.schedule) if choice is not None else None
    return rule.amplifies(choice.config) if rule is not None and choice is not None else 1.0


def _as_on_device(array: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array).astype(dtype).astype(np.float64))
