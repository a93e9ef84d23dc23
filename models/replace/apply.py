"""Carries a plan of replacements out on a copy of a network: modules swapped in place, forwards rewritten."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from fleetpose.errors import UsageError
from models.replace.chain import MODULES, ConvChain
from models.replace.rewrite import SMOOTH_MODULES, remove_squeeze_excite, rewritten, swap_activation
from models.replace.values import Replacement

Initial = Literal["folded", "random"]

#: modules first, while every path is as in the plan; then forwards, squeeze-excite last
_ORDER = {"kernel": 0, "dilation": 0, "activation": 1, "squeeze_excite": 3}


def replace_operators(
    module: nn.Module, plan: Iterable[Replacement], initial: Initial = "folded", seed: int = 0
) -> nn.Module:
    """A copy of `module` with the replacements of `plan` carried out.

    All weights that still exist keep their names and values, but for the batch norm behind a chain, whose numbers move
    to the chain's first link ("folded").

    Args:
        module: any network; it is left as it is. Where nothing but modules is replaced it need not be traceable by
            torch.fx, and the copy keeps its classes and methods.
        plan: as `advise` makes it.
        initial: weights of new convolutions: "folded" starts near the old network (ConvChain.fold_from), "random"
            draws them from `seed`.

    Raises:
        UsageError: a path that is not there or holds something else than planned, or a forward torch.fx cannot trace.
    """
    return _carry_out(copy.deepcopy(module), plan, initial, seed)


def replace_sharing_weights(module: nn.Module, plan: Iterable[Replacement]) -> nn.Module:
    """As `replace_operators(..., "random")`, but sharing all tensors with `module`: to look at, not to train."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return _carry_out(copy.deepcopy(module, tensors), plan, "random", seed=0)


def _carry_out(network: nn.Module, plan: Iterable[Replacement], initial: Initial, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for replacement in sorted(plan, key=_turn):
        try:
            old = network.get_submodule(replacement.path)
        except AttributeError:
            raise UsageError(f"there is no module {replacement.path!r} in {type(network).__name__}") from None
        new = _make_module(network, old, replacement)
        if isinstance(new, ConvChain) and isinstance(old, nn.Conv2d):
            if initial == "folded":
                new.fold_from(old, _norm(network, replacement))
            else:
                new.draw(generator)
        network = new if old is network else _put(network, old, new)
    return network


def _turn(replacement: Replacement) -> tuple[int, int]:
    """Where a replacement comes in the order; forwards from the innermost module out."""
    depth = len(replacement.path.split(".")) if replacement.path else 0
    return _ORDER[replacement.kind] + (replacement.kind == "activation" and replacement.function), -depth


def _make_module(network: nn.Module, old: nn.Module, replacement: Replacement) -> nn.Module:
    if replacement.kind == "squeeze_excite":
        return rewritten(old, remove_squeeze_excite, _children_holding_gates(old))
    if replacement.kind == "activation":
        if replacement.function:
            return rewritten(old, swap_activation(replacement.before, replacement.after))
        if SMOOTH_MODULES.get(type(old)) != replacement.before:
            raise _misplacement_error(old, replacement)
        new = MODULES[replacement.after](inplace=bool(getattr(old, "inplace", False)))
        return new.train(old.training)
    if type(old) is not nn.Conv2d:
        raise _misplacement_error(old, replacement)
    return ConvChain(old, replacement, _norm(network, replacement))


def _norm(network: nn.Module, replacement: Replacement) -> nn.BatchNorm2d | None:
    """The batch norm behind a chain. Raises UsageError if something else is in its place."""
    if not replacement.norm:
        return None
    try:
        norm = network.get_submodule(replacement.norm)
    except AttributeError:
        norm = None
    if not isinstance(norm, nn.BatchNorm2d):
        raise UsageError(f"the plan for {replacement.place} has a batch norm at {replacement.norm!r}; there is none")
    return norm


def _misplacement_error(old: nn.Module, replacement: Replacement) -> UsageError:
    return UsageError(f"{replacement.place} is a {type(old).__name__}, not the planned {replacement.before}")


def _children_holding_gates(owner: nn.Module) -> set[str]:
    """Plain containers below a module: a gate is often an nn.Sequential of pool, convolutions and sigmoid."""
    return {name for name, part in owner.named_modules() if name and type(part) is nn.Sequential}


def _put(network: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Put `new` wherever `old` is: a module that is used in several places has several names."""
    for parent in list(network.modules()):
        for name, child in parent._modules.items():  # named_children() names a module once only
            if child is old and parent is not new:
                parent._modules[name] = new
    return network
