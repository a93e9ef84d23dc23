"""The account: what a program costs, counted from its operators alone, independently of `models.graph.network`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import prod

from torch import nn

from models.replace.field import ReceptiveField, joined
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
    params = sum(parameter.numel() for parameter in module.parameters())
    return cost_of_ops(program.ops, params, joined(fields[op] for op in program.outputs).size)


def cost_of_ops(ops: Iterable[Op], params: int, receptive_field: tuple[int, int] | None) -> OperatorCost:
    """What some operators cost, given what they store and see."""
    operators = list(ops)
    legal = [op for op in operators if winograd_legal(op)]
    smooth = sum(prod(op.shape) for op in operators if op.kind in SMOOTH or is_gating(op))
    return OperatorCost(sum(map(macs, operators)), params, len(legal), sum(map(macs, legal)), smooth, receptive_field)


def macs(op: Op) -> int:
    """Multiply-adds of a convolution or linear layer; 0 for every other operator."""
    if not op.weight_shape:
        return 0
    positions = prod(op.shape[:-1]) if op.kind == "linear" else op.shape[0] * prod(op.shape[2:])
    return prod(op.weight_shape) * positions


def winograd_legal(op: Op) -> bool:
    """Whether Winograd's algorithm may run it: a 3x3 convolution, stride 1, dilation 1, not grouped."""
    return (
        op.kind == "conv2d"
        and op.weight_shape[2:] == (3, 3)
        and op.pair("stride") == op.pair("dilation") == (1, 1)
        and op.arguments["groups"] == 1
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


def receptive_fields_of(program: OperatorProgram) -> dict[Op, ReceptiveField]:
    """The receptive field of every operator's result."""
    fields: dict[Op, ReceptiveField] = {}
    for op in program.ops:
        if op.inputs:
            fields[op] = _through(op, joined(fields[source] for source in op.inputs))
        else:
            fields[op] = ReceptiveField()
    return fields


def _through(op: Op, field: ReceptiveField) -> ReceptiveField:
    if is_global_pool(op):
        return field.pooled_whole()
    if op.kind in WINDOWED:
        kernel = op.weight_shape[2:] or op.pair("kernel_size")
        dilation = op.pair("dilation") if "dilation" in op.arguments else (1, 1)
        stride = op.pair("stride") if op.arguments["stride"] else (kernel[0], kernel[1])
        return field.windowed((kernel[0], kernel[1]), stride, dilation)
    before, after = op.inputs[0].shape, op.shape
    if op.kind.startswith(("upsample_", "adaptive_")) and len(before) == len(after) == 4:
        if op.kind.startswith("adaptive_"):
            window = (-(-before[2] // after[2]), -(-before[3] // after[3]))
            return field.windowed(window, window)
        return field.resized((before[2], before[3]), (after[2], after[3]), "bilinear" in op.kind)
    return field


def params_under(module: nn.Module, paths: Collection[str]) -> int:
    """Numbers stored by the modules at `paths`, each once."""
    held = {id(p): p.numel() for path in paths for p in module.get_submodule(path).parameters()}
    return sum(held.values())
