"""Rewrites one module's forward with torch.fx: activations written as functions, and squeeze-excite gates.

Only the module whose forward holds the operator becomes an fx.GraphModule. Its children stay the modules they are,
unless the operator spans them or they return several tensors; weights keep their names and are not copied.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import fx, nn

from fleetpose.errors import UsageError, first_line
from models.replace.chain import MODULES

#: modules and functions that are smooth activations, by name
SMOOTH_MODULES: dict[type[nn.Module], str] = {
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.GELU: "gelu",
    nn.Hardswish: "hardswish",
    nn.Mish: "mish",
    nn.SELU: "selu",
    nn.CELU: "celu",
}
SMOOTH_NAMES = frozenset(SMOOTH_MODULES.values())
GATES = {"sigmoid": "silu", "hardsigmoid": "hardswish"}
#: methods that read the numbers of their first tensor, and only the shape of their second
SHAPED_AS = frozenset({"expand_as", "view_as", "reshape_as"})
_MULTIPLY = (operator.mul, operator.imul, torch.mul)


class _Tracer(fx.Tracer):
    """Looks into the modules named in `inline`, or into all but torch's own where that is None."""

    def __init__(self, inline: frozenset[str] | None) -> None:
        super().__init__()
        self.inline = inline

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if self.inline is None:
            return super().is_leaf_module(m, module_qualified_name)
        return module_qualified_name not in self.inline


def rewritten(owner: nn.Module, edit: Callable[[fx.Graph, nn.Module], int], inline: Iterable[str] = ()) -> nn.Module:
    """`owner` as a GraphModule after `edit`, which answers how many operators it changed.

    Args:
        owner: the module whose forward is rewritten; it may be changed too.
        edit: changes the graph of the module's forward.
        inline: children, by path, that must be looked into.

    Raises:
        UsageError: torch.fx cannot trace the forward, tracing would freeze a training flag, or nothing was found.
    """
    reason = "the operator was not found in its forward"
    for names in (frozenset(inline), None):
        tracer = _Tracer(names)
        try:
            graph = tracer.trace(owner)
        except Exception as error:  # whatever the forward does to a proxy
            reason = first_line(error)
            continue
        frozen = [node for node in graph.nodes if node.op == "call_function" and _freezes(node)]
        if frozen:
            raise UsageError(f"tracing would freeze the training flag of {frozen[0].name}; use its nn.Module")
        if edit(graph, owner):
            module = fx.GraphModule(owner, graph, type(owner).__name__)
            module.train(owner.training)
            return module
    raise UsageError(f"torch.fx cannot rewrite {type(owner).__name__}: {reason}")


def _freezes(node: fx.Node) -> bool:
    return "training" in node.kwargs or "train" in node.kwargs


def swap_activation(kind: str, after: str) -> Callable[[fx.Graph, nn.Module], int]:
    """An edit: every activation `kind` written in the module's own forward becomes the module `after`."""

    def edit(graph: fx.Graph, owner: nn.Module) -> int:
        name, changed = "", 0
        for node in list(graph.nodes):
            source = _activation_input(node, kind, owner) if not _inner(node) else None
            if source is None:
                continue
            if not name:
                name = _free_name(owner, f"{kind}_as_{after}")
                owner.add_module(name, MODULES[after]())
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.call_module(name, (source,)))
            _erase(graph, node)
            changed += 1
        return changed

    return edit


def remove_squeeze_excite(graph: fx.Graph, owner: nn.Module) -> int:
    """An edit: x * gate(pool(x)) becomes x, wherever the gate is made of nothing but the pooled x."""
    changed = 0
    for node in list(graph.nodes):
        source = squeeze_excite(node, owner) if _call_kind(node, owner) == "mul" else None
        if source is not None:
            node.replace_all_uses_with(source)
            _erase(graph, node)
            changed += 1
    return changed


def squeeze_excite(product: fx.Node, owner: nn.Module) -> fx.Node | None:
    """The x of a product x * gate(pool(x)); None if it is no such product."""
    operands = product.all_input_nodes
    if len(operands) != 2:
        return None
    for x, gate in (operands, operands[::-1]):
        pooled, node = False, gate
        while node is not x:
            pooled = pooled or _pools(node, owner)
            sources = _data_sources(node)
            if len(sources) != 1:
                break
            node = sources[0]
        if node is x and pooled:
            return x
    return None


def _data_sources(node: fx.Node) -> list[fx.Node]:
    """The tensors whose numbers `node` reads; not those of which it wants the shape only."""
    inputs = node.all_input_nodes[:1] if node.target in SHAPED_AS else node.all_input_nodes
    return [source for source in inputs if source.op != "get_attr" and not _is_size(source)]


def _is_size(node: fx.Node) -> bool:
    """Whether it is a tensor's shape, or a part of one."""
    if node.target is operator.getitem:
        return isinstance(node.args[0], fx.Node) and _is_size(node.args[0])
    return node.target == "size" or (node.target is getattr and node.args[1] == "shape")


def _erase(graph: fx.Graph, node: fx.Node) -> None:
    """Erase a node nothing reads, and what then nothing reads; other unread nodes may work in place, and stay."""
    if node.users or node.op == "placeholder":
        return
    sources = node.all_input_nodes
    graph.erase_node(node)
    for source in sources:
        _erase(graph, source)


def _activation_input(node: fx.Node, kind: str, owner: nn.Module) -> fx.Node | None:
    """What `node` applies the activation `kind` to; None if it does not."""
    name = _call_kind(node, None)
    if name == kind and node.all_input_nodes:
        return node.all_input_nodes[0]
    if name == "mul" and len(node.all_input_nodes) == 2:
        for x, gate in (node.all_input_nodes, node.all_input_nodes[::-1]):
            if GATES.get(_call_kind(gate, owner).lower()) == kind and gate.all_input_nodes == [x]:
                return x
    return None


def _call_kind(node: fx.Node, owner: nn.Module | None) -> str:
    """The operator a node calls, by its plain name; modules by their class's where `owner` is given."""
    if node.op == "call_method":
        name = str(node.target)
    elif node.op == "call_function":
        name = "mul" if node.target in _MULTIPLY else getattr(node.target, "__name__", "")
    elif node.op == "call_module" and owner is not None:
        name = type(owner.get_submodule(str(node.target))).__name__
    else:
        return ""
    name = name.strip("_")
    return "mul" if name in ("multiply", "imul") else name


def _pools(node: fx.Node, owner: nn.Module) -> bool:
    """Whether a node is a mean over height and width."""
    name = _call_kind(node, owner)
    arguments: list[Any] = [*node.args[1:], *node.kwargs.values()]
    if name == "AdaptiveAvgPool2d":
        return owner.get_submodule(str(node.target)).output_size in (1, (1, 1))
    if name == "adaptive_avg_pool2d":
        return arguments[:1] in ([1], [(1, 1)], [[1, 1]])
    if name == "mean":
        axes = next((argument for argument in arguments if isinstance(argument, list | tuple)), ())
        return sorted(axis % 4 for axis in axes) == [2, 3]
    return False


def _inner(node: fx.Node) -> bool:
    """Whether a node comes from the forward of a child that was looked into."""
    return any(path for path in node.meta.get("nn_module_stack") or {})


def _free_name(owner: nn.Module, name: str) -> str:
    while hasattr(owner, name):
        name += "_"
    return name
