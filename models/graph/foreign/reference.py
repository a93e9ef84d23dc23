"""What "fallback" layers do, by torch's own operators on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.graph.foreign.call import ForeignCall
from models.graph.layer import Shape


def run_foreign(call: ForeignCall, operands: Sequence[torch.Tensor], shape: Shape) -> torch.Tensor:
    """The result (N, *shape) of operands (N, C, H, W), picture by picture, in the operands' type."""
    count = max(len(operand) for operand in operands)
    pictures = [[operand[number if len(operand) > 1 else 0] for operand in operands] for number in range(count)]
    results = [call_operator(call, picture).to(operands[0].dtype).reshape(shape) for picture in pictures]
    return torch.stack(results)


def call_operator(call: ForeignCall, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    """The operator's result, of call.sizes, or the first of several; operands have any shape, elements in order."""
    name, _, overload = call.operator.partition(".")
    operator = getattr(getattr(torch.ops.aten, name), overload)
    tensors = [
        operand.reshape(kind.sizes).to(operand.dtype if kind.dtype == "float32" else getattr(torch, kind.dtype))
        for operand, kind in zip(operands, call.operands, strict=True)
    ]
    own = operands[0].dtype
    values = call.values(tensors, lambda text: own if "float" in text else getattr(torch, text))
    places = [argument for argument in operator._schema.arguments if not argument.kwarg_only]
    named = [argument.name for argument in operator._schema.arguments if argument.kwarg_only]
    result = operator(*values[: len(places)], **dict(zip(named, values[len(places) :], strict=False)))
    return result[0] if isinstance(result, tuple | list) else result
