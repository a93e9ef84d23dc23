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


def replace_operators(module: nn.Module, plan: Iterable[Replacement], initial: Initial = "folded") -> nn.Module:
    """A copy of `module` with the replacements of `plan` carried out.

    All weights that still exist keep their names and values, but for the batch norm behind a chain, whose numbers move
    to the chain's first link ("folded").

    Args:
        module: any network; it is left as it is. Where nothing but modules is replaced it need not be traceable by
            torch.fx, and the copy keeps its classes and methods.
        plan: as `advise` makes it.
        initial: weights of new convolutions: "folded" starts near the old network (ConvChain.fold_from), "random"
            draws them from torch's global generator.

    Raises:
        UsageError: a path that is not there or holds something else than planned, or a forward torch.fx cannot trace.
    """
    return _carried_out(copy.deepcopy(module), plan, initial)


def replaced_sharing_weights(module: nn.Module, plan: Iterable[Replacement]) -> nn.Module:
    """As `replace_operators(..., "random")`, but sharing all tensors with `module`: to look at, not to train."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    with torch.random.fork_rng(devices=[]):
        return _carried_out(copy.deepcopy(module, tensors), plan, "random")


def _carried_out(network: nn.Module, plan: Iterable[Replacement], initial: Initial) -> nn.Module:
    for replacement in sorted(plan, key=_turn):
        try:
            old = network.get_submodule(replacement.path)
        except AttributeError:
            raise UsageError(f"there is no module {replacement.path!r} in {type(network).__name__}") from None
        new = _made(network, old, replacement, initial)
        network = new if old is network else _put(network, old, new)
    return network


def _turn(replacement: Replacement) -> tuple[int, int]:
    """Where a replacement comes in the order; forwards from the innermost module out."""
    depth = len(replacement.path.split(".")) if replacement.path else 0
    return _ORDER[replacement.kind] + (replacement.kind == "activation" and replacement.function), -depth


def _made(network: nn.Module, old: nn.Module, replacement: Replacement, initial: Initial) -> nn.Module:
    if replacement.kind == "squeeze_excite":
        return rewritten(old, remove_squeeze_excite, _children_holding_gates(old))
    if replacement.kind == "activation":
        if replacement.function:
            return rewritten(old, swap_activation(replacement.before, replacement.after))
        if SMOOTH_MODULES.get(type(old)) != replacement.before:
            raise _misplaced(old, replacement)
        new = MODULES[replacement.after](inplace=bool(getattr(old, "inplace", False)))
        return new.train(old.training)
    norm = network.get_submodule(replacement.norm) if replacement.norm else None
    if type(old) is not nn.Conv2d or not isinstance(norm, nn.BatchNorm2d | None):
        raise _misplaced(old, replacement)
    chain = ConvChain(old, replacement, norm)
    if initial == "folded":
        chain.fold_from(old, norm)
    else:
        chain.draw()
    return chain


def _misplaced(old: nn.Module, replacement: Replacement) -> UsageError:
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
