"""Products of two tensors: which are activations written out, which are squeeze-excite, and what a gate is on average.

Squeeze-excite (Hu et al. 2018): x * gate(mean of x over the plane), one factor per image and channel.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import eval_mode
from models.replace.cost import is_gating, is_global_pool
from models.replace.program import Op, OperatorProgram, one_path_each, program
from models.replace.rewrite import GATES, SHAPED_AS, SMOOTH_NAMES
from models.replace.values import Replacement


@dataclass(frozen=True)
class Gating:
    """One product x * gate(pool(x)): the operators of the gate, the pool included, and why it may not go, or ""."""

    product: Op
    x: Op
    gate: tuple[Op, ...]
    refused: str = ""


def written_activation(op: Op) -> tuple[str, list[Op]]:
    """The smooth activation an operator in a forward completes and the operators it is written in; ("", []) if none.

    x * sigmoid(x) and x * hardsigmoid(x) are SiLU and hard-swish.
    """
    if op.kind in SMOOTH_NAMES:
        return op.kind, [op]
    if is_gating(op):
        for x, gate in (op.inputs, op.inputs[::-1]):
            if gate.kind in GATES and gate.inputs == (x,):
                return GATES[gate.kind], [gate, op]
    return "", []


def find_gatings(ran: OperatorProgram, paths: Mapping[Op, str]) -> dict[str, list[Gating]]:
    """The squeeze-excite products of a network by the module whose forward multiplies."""
    gatings: dict[str, list[Gating]] = {}
    for op in ran.ops:
        if is_gating(op) and not written_activation(op)[0]:
            for x, gate in (op.inputs, op.inputs[::-1]):
                ops, refused = _gate_ops(x, gate)
                if ops:
                    gatings.setdefault(paths[op], []).append(Gating(op, x, tuple(ops), refused))
                    break
    return gatings


def _gate_ops(x: Op, gate: Op) -> tuple[list[Op], str]:
    """The operators between x and the product, and why the gate may not go; ([], "") if it is no gate."""
    ops: list[Op] = []
    op = gate
    while op is not x and len(sources := op.inputs[:1] if op.kind in SHAPED_AS else op.inputs) == 1:
        ops.append(op)
        if is_global_pool(op) and op.inputs[0] is not x:
            return ops, "its gate is pooled from another tensor than the one it multiplies"
        op = sources[0]
    return (ops, "") if op is x and any(map(is_global_pool, ops)) else ([], "")


@torch.no_grad()
def fold_mean_gates(
    original: nn.Module, replaced: nn.Module, plan: Iterable[Replacement], images: Iterable[torch.Tensor]
) -> dict[str, str]:
    """Scale what reads a removed gate's product by the constant gate that fits best, so that less is lost.

    A channel's constant is the least-squares one over the images, sum(x y) / sum(x x) with y the gated x. It goes into
    the input channels of the one convolution that reads y.

    Args:
        original: the network with its gates, trained.
        replaced: `replace_operators(original, plan)`; its convolutions are scaled in place.
        images: batches (N, C, H, W) as the network takes them; 16 photographs or more.

    Returns:
        For each gate of the plan by path: "folded into <path>", or why it is not.

    Raises:
        UsageError: no images.
    """
    batches = list(images)
    if not batches:
        raise UsageError("folding mean gates needs images")
    _, channels, height, width = batches[0].shape
    ran = program(original, (channels, height, width))
    paths, answers, meters = one_path_each(original, ran), {}, {}
    wanted = {replacement.path for replacement in plan if replacement.kind == "squeeze_excite"}
    for path, gatings in find_gatings(ran, paths).items():
        if path in wanted:
            target, answers[path] = _reader(ran, paths, path, gatings)
            if target:
                meters[path] = (target, _Meter())
    _measure(original, {path: meter for path, (_, meter) in meters.items()}, batches)
    for target, meter in meters.values():
        weight = replaced.get_submodule(target).weight
        assert isinstance(weight, torch.Tensor)
        weight.mul_(meter.gate().to(weight)[None, :, None, None])
    return answers


def _measure(original: nn.Module, meters: Mapping[str, _Meter], batches: Iterable[torch.Tensor]) -> None:
    """Run the batches in eval mode with a meter on each of the modules."""
    with eval_mode(original), ExitStack() as hooks:
        for path, meter in meters.items():
            hooks.enter_context(original.get_submodule(path).register_forward_hook(meter))
        for batch in batches:
            original(batch)


def _reader(ran: OperatorProgram, paths: Mapping[Op, str], path: str, gatings: Collection[Gating]) -> tuple[str, str]:
    """(path of the convolution the gate can go into, or "", and that in words)."""
    gating = next(iter(gatings))
    within = (path, f"{path}.")
    readers = ran.readers(gating.product)
    if len(gatings) > 1 or not path or any(_is_in(op, *within) for op in (gating.x, *readers)):
        return "", "its module does more than gate one tensor"
    reader = readers[0] if len(readers) == 1 else None
    if reader is None or reader.kind != "conv2d" or not reader.leaf or reader.arguments["groups"] != 1:
        return "", "what reads it is not one plain convolution"
    target = paths[reader]
    if sum(paths[op] == target for op in ran.ops) > 1:
        return "", f"{target} is used elsewhere too"
    return target, f"folded into {target}"


def _is_in(op: Op, path: str, prefix: str) -> bool:
    return op.path == path or op.path.startswith(prefix)


class _Meter:
    """A forward hook on a module x -> x * gate that sums what the least-squares constant gate needs."""

    def __init__(self) -> None:
        self.product = self.square = torch.zeros((), dtype=torch.float64)

    def __call__(self, _module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        x, y = inputs[0].double(), output.double()
        self.product = self.product + (x * y).sum((0, 2, 3))
        self.square = self.square + (x * x).sum((0, 2, 3))

    def gate(self) -> torch.Tensor:
        """(C,); 1 for a channel that was always zero."""
        return torch.where(self.square > 0, self.product / self.square.clamp(min=1e-300), 1.0)
