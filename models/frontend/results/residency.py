"""Residency: what of a network runs on kernels of ours, what is cut off, and what is not supported and why.

Known before anything is built. Multiply-adds of what has no layer are those torch's own counter of operations gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import flop_registry

from models.frontend.exported import ProgramReader
from models.frontend.fuse import fuse
from models.frontend.refusal import Refusal
from models.frontend.results.views import operator_of
from models.frontend.trace import export_plain, finish
from models.graph.answer import Answer, Cut
from models.graph.layer import Layer, Shape


@dataclass(frozen=True)
class KindCount:
    """How many layers of one kind, or operators of one name, there are, and their multiply-adds."""

    kind: str
    count: int
    macs: int


@dataclass(frozen=True)
class RefusedKind(KindCount):
    """Operators of one name (`kind`) that are not supported for the same reason.

    Attributes:
        module, line: where it is called first; the line is "" where the program does not say.
        why, mend: as of Refusal.
    """

    module: str
    line: str
    why: str
    mend: str


@dataclass(frozen=True)
class Residency:
    """What of a network runs where.

    Attributes:
        layers: on kernels of ours, by the layers' op.
        cut: operators after a cut, which are the caller's to compute.
        refused: operators without a layer.
        skipped: operators that were not looked at, because they read what a refused one would make.
        cuts: where the network ends early.
        outputs: the names of its outputs; fixed: of those that do not depend on the input.
    """

    layers: tuple[KindCount, ...]
    cut: tuple[KindCount, ...] = ()
    refused: tuple[RefusedKind, ...] = ()
    skipped: tuple[KindCount, ...] = ()
    cuts: tuple[Cut, ...] = ()
    outputs: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole module."""
        return sum(kind.macs for kind in (*self.layers, *self.cut, *self.refused, *self.skipped))

    @property
    def macs_on_kernels(self) -> int:
        return sum(kind.macs for kind in self.layers)

    @property
    def share(self) -> float:
        """Multiply-adds on kernels of ours over all, 0 to 1; without any, whether nothing is refused."""
        return self.macs_on_kernels / self.macs if self.macs else float(not self.refused)

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {
            "ok": not self.refused,
            "macs": self.macs,
            "macs_on_kernels": self.macs_on_kernels,
            "share": self.share,
            **asdict(self),
        }

    def __str__(self) -> str:
        counted = sum(kind.count for kind in self.layers)
        text = f"{counted} layers, {self.macs_on_kernels / 1e9:.3f} GMACs ({self.share:.1%}) on kernels of ours"
        without: tuple[KindCount, ...] = (*self.refused, *self.skipped)
        for what, kinds in (("not supported", without), ("cut off", self.cut)):
            if kinds:
                macs = sum(kind.macs for kind in kinds) / 1e9
                text += f"; {sum(kind.count for kind in kinds)} operators, {macs:.3f} GMACs {what}"
        return text


def residency_of(module: nn.Module, input_shape: Shape) -> Residency:
    """What of `module` runs where; every refusal of it, not only the first.

    Args:
        input_shape: (C, H, W).

    Raises:
        UsageError: torch.export cannot trace it, or its input or outputs have no form that is supported.
    """
    reader = ProgramReader(export_plain(module, input_shape), gather=True)
    network = reader.network()
    ended = reader.post_processing
    after = [node for node in ended.nodes if node not in ended.reads] if ended else []
    graph = finish(fuse(network), "network", "float32")
    return Residency(
        count_layers(graph.layers),
        _count_nodes(after),
        _group_refusals(reader.refusals, reader.refused),
        _count_nodes(reader.skipped),
        **_answer_facts(graph.answer),
    )


def residency_of_layers(layers: Sequence[Layer], answer: Answer) -> Residency:
    """The residency of a network that was traced, all of it that is not cut off being on kernels of ours."""
    return Residency(count_layers(layers), **_answer_facts(answer))


def count_layers(layers: Iterable[Layer]) -> tuple[KindCount, ...]:
    """Layers by their op, the most multiply-adds first."""
    counts: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for layer in layers:
        counts[layer.op] += 1
        macs[layer.op] += layer.macs
    return tuple(KindCount(op, counts[op], macs[op]) for op in sorted(counts, key=lambda op: (-macs[op], -counts[op])))


def _answer_facts(answer: Answer) -> dict[str, tuple]:
    return {
        "cuts": answer.cuts,
        "outputs": answer.names,
        "fixed": tuple(output.name for output in answer.fixed),
    }


def _count_nodes(nodes: Iterable[fx.Node]) -> tuple[KindCount, ...]:
    counts: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for node in nodes:
        if operator := operator_of(node):
            counts[operator] += 1
            macs[operator] += _macs(node)
    return tuple(KindCount(operator, count, macs[operator]) for operator, count in counts.items())


def _group_refusals(refusals: Sequence[Refusal], nodes: Sequence[fx.Node]) -> tuple[RefusedKind, ...]:
    groups: dict[tuple[str, str], list[tuple[Refusal, int]]] = {}
    for refusal, node in zip(refusals, nodes, strict=True):
        groups.setdefault((refusal.op, refusal.why), []).append((refusal, _macs(node)))
    return tuple(
        RefusedKind(
            op,
            len(group),
            sum(macs for _, macs in group),
            group[0][0].origin.path,
            group[0][0].origin.line,
            why,
            group[0][0].mend,
        )
        for (op, why), group in groups.items()
    )


def _macs(node: fx.Node) -> int:
    """Multiply-adds of one operator's call; 0 of what torch does not count."""
    if operator_of(node) == "linear":
        return int(node.meta["val"].numel() * node.args[1].meta["val"].shape[-1])  # type: ignore[union-attr]
    formula = flop_registry.get(getattr(node.target, "overloadpacket", None))
    if formula is None:
        return 0
    arguments, named = fx.map_arg((node.args, node.kwargs), lambda argument: argument.meta.get("val"))
    values = pytree.tree_leaves((arguments, named, node.meta.get("val")))
    if not all(isinstance(side, int) for value in values if isinstance(value, torch.Tensor) for side in value.shape):
        return 0
    return int(formula(*arguments, **named, out_val=node.meta.get("val"))) // 2
