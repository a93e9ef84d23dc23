"""Residency: what of a network runs on kernels of ours, what falls back to TVM's, what is cut off, and what is not
supported and why.

Known before anything is built. Multiply-adds of what has no layer are those torch's own counter of operations gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import fx, nn

from models.frontend.exported import ProgramReader
from models.frontend.fuse import fuse
from models.frontend.refusal import Refusal
from models.frontend.results.macs import macs_of
from models.frontend.results.views import operator_of
from models.frontend.trace import export_plain, finish
from models.graph.answer import Answer, Cut
from models.graph.layer import Layer, Shape

#: what helps against a fallback
FALLBACK_MEND = "it runs, but slower; where time matters, write it with operators that have layers"


@dataclass(frozen=True)
class KindCount:
    """How many layers of one kind, or operators of one name, there are, and their multiply-adds."""

    kind: str
    count: int
    macs: int


@dataclass(frozen=True)
class RefusedKind(KindCount):
    """Operators of one name (`kind`) that have no layer of ours for the same reason.

    Attributes:
        module, line: where it is called first; the line is "" where it is not known.
        why, mend: as of Refusal.
    """

    module: str
    line: str
    why: str
    mend: str

    def __str__(self) -> str:
        module = f"module {self.module!r}" if self.module else "the root module"
        place = f"{module} ({self.line})" if self.line else module
        times = f", {self.count} times" if self.count > 1 else ""
        return f"{self.kind} in {place}{times}: {self.why}; {self.mend}"


@dataclass(frozen=True)
class Residency:
    """What of a network runs where.

    Attributes:
        layers: on kernels of ours, by the layers' op.
        fallback: operators that run on TVM's own kernels, and why not on ours.
        cut: operators after a cut, which are the caller's to compute.
        refused: operators without a layer.
        skipped: operators that were not looked at, because they read what a refused one would make.
        cuts: where the network ends early.
        outputs: the names of its outputs; fixed: of those that do not depend on the input.
    """

    layers: tuple[KindCount, ...]
    fallback: tuple[RefusedKind, ...] = ()
    cut: tuple[KindCount, ...] = ()
    refused: tuple[RefusedKind, ...] = ()
    skipped: tuple[KindCount, ...] = ()
    cuts: tuple[Cut, ...] = ()
    outputs: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole module."""
        return sum(kind.macs for kind in (*self.layers, *self.fallback, *self.cut, *self.refused, *self.skipped))

    @property
    def macs_on_kernels(self) -> int:
        return sum(kind.macs for kind in self.layers)

    @property
    def macs_on_fallback(self) -> int:
        return sum(kind.macs for kind in self.fallback)

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
            "macs_on_fallback": self.macs_on_fallback,
            "share": self.share,
            **asdict(self),
        }

    def __str__(self) -> str:
        counted = sum(kind.count for kind in self.layers)
        text = f"{counted} layers, {self.macs_on_kernels / 1e9:.3f} GMACs ({self.share:.1%}) on kernels of ours"
        if self.fallback:
            fallen, part = sum(kind.count for kind in self.fallback), self.macs_on_fallback / max(self.macs, 1)
            text += f"; {fallen} layers, {self.macs_on_fallback / 1e9:.3f} GMACs ({part:.1%}) fall back to TVM's"
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
        count_layers(layer for layer in graph.layers if layer.foreign is None),
        _group_refusals(reader.fallbacks, reader.fallen_back, FALLBACK_MEND),
        _count_nodes(after),
        _group_refusals(reader.refusals, reader.refused),
        _count_nodes(reader.skipped),
        **_answer_facts(graph.answer),
    )


def residency_of_layers(layers: Sequence[Layer], answer: Answer) -> Residency:
    """The residency of a network that was traced: what is not cut off is on kernels of ours or falls back."""
    own = count_layers(layer for layer in layers if layer.foreign is None)
    return Residency(own, _count_fallbacks(layers), **_answer_facts(answer))


def _count_fallbacks(layers: Iterable[Layer]) -> tuple[RefusedKind, ...]:
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.foreign is not None:
            groups.setdefault(layer.foreign.name, []).append(layer)
    why = "no layer of ours expresses it"
    return tuple(
        RefusedKind(name, len(group), sum(layer.macs for layer in group), group[0].module, "", why, FALLBACK_MEND)
        for name, group in groups.items()
    )


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
            macs[operator] += macs_of(node)
    return tuple(KindCount(operator, count, macs[operator]) for operator, count in counts.items())


def _group_refusals(refusals: Sequence[Refusal], nodes: Sequence[fx.Node], mend: str = "") -> tuple[RefusedKind, ...]:
    """Refusals by operator and reason; `mend`: what helps against all of them, where that is not what they say."""
    groups: dict[tuple[str, str], list[tuple[Refusal, int]]] = {}
    for refusal, node in zip(refusals, nodes, strict=True):
        groups.setdefault((refusal.op, refusal.why), []).append((refusal, macs_of(node)))
    return tuple(
        RefusedKind(
            op,
            len(group),
            sum(macs for _, macs in group),
            group[0][0].origin.path,
            group[0][0].origin.line,
            why,
            mend or group[0][0].mend,
        )
        for (op, why), group in groups.items()
    )
