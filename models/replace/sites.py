"""Where a network could have operators replaced, and whether it may: the legality of each kind, with reasons.

What is kept: the shape of every tensor between the parts replaced, and (but for squeeze-excite, whose whole point was
to see everything) at least the receptive field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from torch import nn

from models.graph.layer import Shape
from models.replace.chain import ConvChain, extent, links_needed
from models.replace.cost import SMOOTH, cost_of, cost_of_ops, params_under
from models.replace.gates import find_gatings, written_activation
from models.replace.program import Op, OperatorProgram, one_path_each, program
from models.replace.rewrite import SMOOTH_MODULES
from models.replace.values import KINDS, OperatorCost, Replacement


@dataclass(frozen=True)
class Site:
    """A possible replacement, its cost before and after, and why it is refused ("" where it is legal).

    `ops` are the operators squeeze-excite removal takes out.
    """

    replacement: Replacement
    before: OperatorCost
    after: OperatorCost
    refused: str = ""
    ops: tuple[Op, ...] = ()


def find_sites(
    module: nn.Module, ran: OperatorProgram, activation: str, kinds: Collection[str] = tuple(KINDS)
) -> list[Site]:
    """Every site of the given kinds, in the order of the network; smooth activations become `activation`.

    Where squeeze-excite may go, the activations of its gates are no sites of their own.
    """
    paths = one_path_each(module, ran)
    gated = list(_squeeze_excites(module, ran, paths)) if "squeeze_excite" in kinds else []
    gone = {op for site in gated if not site.refused for op in site.ops}
    sites = [
        *gated,
        *_activations(module, ran, activation, paths, gone),
        *_convolutions(module, ran, activation, paths),
    ]
    order = {path: index for index, path in reversed(list(enumerate(paths[op] for op in ran.ops)))}
    return sorted((site for site in sites if site.replacement.kind in kinds), key=lambda s: order[s.replacement.path])


def _activations(
    module: nn.Module, ran: OperatorProgram, after: str, paths: Mapping[Op, str], gone: Collection[Op]
) -> Iterator[Site]:
    ops_of: dict[tuple[str, str, bool], list[Op]] = {}
    for op in ran.ops:
        if op in gone:
            continue
        if op.leaf:
            kind = SMOOTH_MODULES.get(type(module.get_submodule(op.path)), "") if op.kind in SMOOTH else ""
            ops = [op]
        else:
            kind, ops = written_activation(op)
        if kind:
            ops_of.setdefault((paths[op], kind, not op.leaf), []).extend(ops)
    for (path, kind, function), ops in ops_of.items():
        replacement = Replacement("activation", path, kind, after, function=function)
        yield Site(replacement, cost_of_ops(ops, 0, (1, 1)), OperatorCost(), _why_hooked(module.get_submodule(path)))


def _convolutions(module: nn.Module, ran: OperatorProgram, activation: str, paths: Mapping[Op, str]) -> Iterator[Site]:
    ops_of: dict[str, list[Op]] = {}
    for op in ran.ops:
        if op.kind == "conv2d" and any(
            extent(*axis) > 3 for axis in zip(op.weight_shape[2:], op.pair("dilation"), strict=True)
        ):
            ops_of.setdefault(paths[op], []).append(op)
    for path, ops in ops_of.items():
        yield _convolution(module, ran, path, ops, activation)


def _convolution(module: nn.Module, ran: OperatorProgram, path: str, ops: list[Op], activation: str) -> Site:
    old, op = module.get_submodule(path), ops[0]
    (rows, columns), dilation, stride = op.weight_shape[2:], op.pair("dilation"), op.pair("stride")
    dilated = max(dilation) > 1
    links = max(1, *(links_needed(*axis) for axis in zip((rows, columns), dilation, stride, strict=True)))
    norm, inner = _what_follows(ran, ops, activation)
    title = f"conv {rows}x{columns} {op.weight_shape[1] * op.arguments['groups']}->{op.weight_shape[0]}"
    title += "".join(
        f", {name} {value}" for name, value in (("dilation", max(dilation)), ("stride", max(stride))) if value > 1
    )
    replacement = Replacement(
        "dilation" if dilated else "kernel", path, title, f"{links} x conv 3x3", False, links, inner, norm
    )
    sees = (extent(rows, dilation[0]), extent(columns, dilation[1]))
    before = cost_of_ops(ops, params_under(module, [path]) if op.leaf else 0, sees)
    refused = _illegal(old, op)
    if refused or not isinstance(old, nn.Conv2d):
        return Site(replacement, before, before, refused)
    follower = module.get_submodule(norm) if norm else None
    if follower is not None and (type(follower) is not nn.BatchNorm2d or not follower.track_running_stats):
        kind = type(follower).__name__
        return Site(replacement, before, before, f"followed by a {kind} that is no BatchNorm2d with running statistics")
    affine = follower.affine if isinstance(follower, nn.BatchNorm2d) else None
    build = _ChainKey(old.in_channels, old.out_channels, stride[0], old.bias is not None, affine, links, inner)
    after, refused = _chain_cost(build, ops, sees)
    return Site(replacement, before, after, refused)


class _ChainKey(NamedTuple):
    """All of a chain that its cost depends on; `norm_affine` is None where there is no batch norm."""

    inputs: int
    outputs: int
    stride: int
    bias: bool
    norm_affine: bool | None
    links: int
    activation: str


@lru_cache(maxsize=256)
def _count_chain(key: _ChainKey, in_shape: Shape) -> tuple[OperatorCost, tuple[int, ...]]:
    """(cost, shape of the result) of a chain built without numbers and read by itself."""
    old = nn.Conv2d(key.inputs, key.outputs, 1, key.stride, bias=key.bias, device="meta")
    norm = None if key.norm_affine is None else nn.BatchNorm2d(key.outputs, affine=key.norm_affine, device="meta")
    plan = Replacement("kernel", "", "", "", links=key.links, activation=key.activation)
    chain = ConvChain(old, plan, norm)
    ran = program(chain, in_shape)
    return cost_of(ran, chain), ran.output_shapes[0]


def _chain_cost(key: _ChainKey, ops: list[Op], sees: tuple[int, int]) -> tuple[OperatorCost, str]:
    """What the chain costs in place of `ops`, and what of shape or receptive field it would not keep."""
    cost = OperatorCost()
    for op in ops:
        _, channels, height, width = op.inputs[0].shape
        chain, shape = _count_chain(key, (channels, height, width))
        legal, legal_macs = cost.winograd_layers + chain.winograd_layers, cost.winograd_macs + chain.winograd_macs
        cost = replace(chain, macs=cost.macs + chain.macs, winograd_layers=legal, winograd_macs=legal_macs)
        if shape != op.shape:
            return cost, f"the result would be {shape[1:]}, not {op.shape[1:]}"
        if cost.receptive_field is None or min(cost.receptive_field) < max(sees):
            return cost, f"the chain sees {cost.receptive_field}, the convolution {sees}"
    return cost, ""


def _what_follows(ran: OperatorProgram, ops: list[Op], activation: str) -> tuple[str, str]:
    """(path of the batch norm behind a convolution, or "", and what goes between its links).

    The batch norm must be a module that reads nothing else. Between the links goes the activation behind the
    convolution where it is a friendly one, else `activation`.
    """
    readers = ran.readers(ops[0])
    norm = readers[0] if len(readers) == 1 and readers[0].kind == "batch_norm" and readers[0].leaf else None
    if norm is not None:
        alone = sum(op.path == norm.path for op in ran.ops if op.kind == "batch_norm") == len(ops) == 1
        readers = ran.readers(norm)
        norm = norm if alone else None
    after = readers[0] if len(readers) == 1 else None
    inner = _friendly(after) if after is not None else ""
    return norm.path if norm is not None else "", inner or activation


def _friendly(op: Op) -> str:
    """The one of ACTIVATIONS an operator is; "" if none."""
    if op.kind == "hardtanh":
        bounds = (float(op.arguments["min_val"]), float(op.arguments["max_val"]))
        return {(0.0, 6.0): "relu6", (-1.0, 1.0): "hardtanh"}.get(bounds, "")
    return op.kind if op.kind in ("relu", "relu6") else ""


def _illegal(old: nn.Module, op: Op) -> str:
    """Why a convolution may not become a chain of 3x3; "" if it may."""
    kernel, dilation, stride = op.weight_shape[2:], op.pair("dilation"), op.pair("stride")
    if type(old) is not nn.Conv2d:
        kind = f"a {type(old).__name__}" if isinstance(old, nn.Conv2d) else "a function in a forward"
        return f"it is {kind}; only a plain nn.Conv2d module can be replaced"
    if hooked := _why_hooked(old):
        return hooked
    if old.groups > 1:
        return "grouped: no Winograd for it, and each link is one more pass over memory"
    if kernel[0] != kernel[1] or dilation[0] != dilation[1] or stride[0] != stride[1]:
        return f"kernel {_by(kernel)}, dilation {_by(dilation)}, stride {_by(stride)}: only equal axes are handled"
    if kernel[0] % 2 == 0:
        return f"an even kernel ({_by(kernel)}) has no centre; 3x3 links would shift the result"
    if old.padding_mode != "zeros":
        return f"padding mode {old.padding_mode!r}; the links pad with zeros"
    keeping = extent(kernel[0], dilation[0]) // 2
    if old.padding not in ("same", (keeping, keeping)):
        shown = old.padding if isinstance(old.padding, str) else _by(old.padding)
        return f"padding {shown} does not keep the size ({_by((keeping, keeping))} does); links of padding 1 would"
    return ""


def _why_hooked(module: nn.Module) -> str:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    return "it has hooks, which a replacement would drop" if any(hooks) else ""


def _by(values: tuple[int, ...]) -> str:
    return "x".join(map(str, values))


def _squeeze_excites(module: nn.Module, ran: OperatorProgram, paths: Mapping[Op, str]) -> Iterator[Site]:
    """A site for each module whose forward multiplies x with something made of nothing but pooled x."""
    for path, gatings in find_gatings(ran, paths).items():
        gates = list(dict.fromkeys(op for gating in gatings for op in gating.gate))
        refused = next((gating.refused for gating in gatings if gating.refused), "")
        kept = {paths[op] for op in ran.ops if op not in gates}
        params = params_under(module, {paths[op] for op in gates if op.leaf} - kept)
        every = (*gates, *(gating.product for gating in gatings))
        title = "squeeze-excite" if len(gatings) == 1 else f"{len(gatings)} squeeze-excites"
        replacement = Replacement("squeeze_excite", path, title, "identity", function=True)
        yield Site(
            replacement,
            cost_of_ops(every, params, None),
            OperatorCost(),
            refused or _why_hooked(module.get_submodule(path)),
            every,
        )
