"""The account: what a program costs, counted from its operators alone, independently of `models.graph.network`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import isinf, prod

from torch import nn

from models.graph.layer import winograd_legal
from models.graph.receptive import Axis, union
from models.replace.program import Op, OperatorProgram
from models.replace.values import OperatorCost

#: operators that need an exponential, a logarithm or a division per element
SMOOTH = frozenset(
    ("silu", "elu", "gelu", "hardswish", "mish", "selu", "celu", "softplus", "sigmoid", "hardsigmoid", "tanh")
)
WINDOWED = ("conv2d", "convolution", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d")


def cost_of(program: OperatorProgram, module: nn.Module) -> OperatorCost:
    """What a network costs; `module` is what the program was read from, for its parameters."""
    fields = receptive_fields_of(program)
    rows, columns = (union(fields[op][axis] for op in program.outputs) for axis in (0, 1))
    params = sum(parameter.numel() for parameter in module.parameters())
    return cost_of_ops(program.ops, params, None if isinf(rows.high) else (rows.size, columns.size))


def cost_of_ops(ops: Iterable[Op], params: int, receptive_field: tuple[int, int] | None) -> OperatorCost:
    """What some operators cost, given what they store and see."""
    operators = list(ops)
    legal = [op for op in operators if takes_winograd(op)]
    smooth = sum(prod(op.shape) for op in operators if op.kind in SMOOTH or is_gating(op))
    return OperatorCost(sum(map(macs, operators)), params, len(legal), sum(map(macs, legal)), smooth, receptive_field)


def macs(op: Op) -> int:
    """Multiply-adds of a convolution or linear layer; 0 for every other operator."""
    if not op.weight_shape:
        return 0
    positions = prod(op.shape[:-1]) if op.kind == "linear" else op.shape[0] * prod(op.shape[2:])
    return prod(op.weight_shape) * positions


def takes_winograd(op: Op) -> bool:
    """Whether Winograd's algorithm may run it; see `models.graph.layer.winograd_legal`."""
    return op.kind == "conv2d" and winograd_legal(
        op.weight_shape[2:], op.pair("stride"), op.pair("dilation"), op.arguments["groups"]
    )


def is_gating(op: Op) -> bool:
    """A product of two tensors of the network."""
    return op.kind == "mul" and len(op.inputs) == 2


def is_global_pool(op: Op) -> bool:
    """A mean over the whole plane, whether or not its two axes stay."""
    if op.kind not in ("adaptive_avg_pool2d", "mean", "avg_pool2d") or len(op.inputs[0].shape) != 4:
        return False
    batch, channels = op.inputs[0].shape[:2]
    return op.shape in ((batch, channels, 1, 1), (batch, channels))


def receptive_fields_of(program: OperatorProgram) -> dict[Op, tuple[Axis, Axis]]:
    """The receptive field of every operator's result, down and across."""
    fields: dict[Op, tuple[Axis, Axis]] = {}
    for op in program.ops:
        before = [union(fields[source][axis] for source in op.inputs) if op.inputs else Axis() for axis in (0, 1)]
        fields[op] = (_through(op, 0, before[0]), _through(op, 1, before[1]))
    return fields


def _through(op: Op, axis: int, field: Axis) -> Axis:
    if not op.inputs:
        return field
    if is_global_pool(op):
        return field.through_global_pool()
    if op.kind in WINDOWED:
        taps = (op.weight_shape[2:] or op.pair("kernel_size"))[axis]
        dilation = op.pair("dilation")[axis] if "dilation" in op.arguments else 1
        return field.through_window(taps, op.pair("stride")[axis] if op.arguments["stride"] else taps, dilation)
    if op.kind.startswith(("upsample_", "adaptive_")) and len(op.inputs[0].shape) == len(op.shape) == 4:
        before, after = op.inputs[0].shape[axis + 2], op.shape[axis + 2]
        if op.kind.startswith("adaptive_"):
            window = -(-before // after)
            return field.through_window(window, window)
        return field.through_resize(before, after, "bilinear" in op.kind)
    return field


def params_under(module: nn.Module, paths: Collection[str]) -> int:
    """Numbers stored by the modules at `paths`, each once."""
    held = {id(p): p.numel() for path in paths for p in module.get_submodule(path).parameters()}
    return sum(held.values())
