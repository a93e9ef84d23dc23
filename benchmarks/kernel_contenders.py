"""What `benchmarks.kernels` compares: the unique convolutions of a network, and the kernels that run each of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from benchmarks.kernel_rows import ONEDNN, ONEDNN_PREPACKED, WINOGRAD, Contender, LayerFacts
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.layout.assign import assign_layout
from codegen.schedules import RULES
from codegen.schedules.rule import Rule
from codegen.tuning.database import Tuned
from devices.profile import Profile
from fleetpose.errors import UsageError, unknown_name
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import PATTERN_ENTRIES, Sparsity

#: sparse families that are timed unless told otherwise: sparsities without their fraction of zeros
DEFAULT_FAMILIES = ("columns:8x1", "block_punched:8x4", "connectivity:8x1")


@dataclass(frozen=True)
class Case:
    """One unique convolution: its workload in the network, and what a row says of it."""

    workload: Workload
    facts: LayerFacts


@dataclass(frozen=True)
class KernelSelection:
    """Which kernels are timed.

    Attributes:
        ratios: dense / kept weights of the sparse ones, each above 1; everything kept is timed besides.
        families: PATTERN:BLOCK, as in the text of a sparsity; "pattern" has no block.
        schedules: names of rules; empty: all.
        configurations: how many of each schedule: the tuned one where there is one, then the first of its space.
        peers: whether oneDNN is timed.
    """

    ratios: Sequence[float] = (1.5, 2, 4, 8)
    families: Sequence[str] = DEFAULT_FAMILIES
    schedules: Collection[str] = ()
    configurations: int = 1
    peers: bool = True
    tuned: Tuned = field(default_factory=Tuned)

    def allows(self, rule: Rule) -> bool:
        return not self.schedules or rule.name in self.schedules


def unique_convolutions(graph: Graph, lanes: int, patterns: Sequence[str] = ()) -> list[Case]:
    """The distinct convolutions of a graph on their planes, in the graph's order.

    Args:
        lanes: of the device's vectors.
        patterns: shell patterns of labels; only layers that match one; none: all. Shares are of all.

    Raises:
        UsageError: a pattern matches no layer, or there is none at all.
    """
    planes = assign_layout(graph, lanes).planes
    counts: dict[Workload, int] = {}
    for layer in graph.layers:
        if layer.op == "conv":
            workload = Workload.of(layer, planes)
            counts[workload] = counts.get(workload, 0) + 1
    total = sum(workload.layer.macs * count for workload, count in counts.items())
    cases, seen = [], dict.fromkeys((workload.label for workload in counts), 0)
    for workload, count in counts.items():
        seen[workload.label] += 1
        number = seen[workload.label]
        label = workload.label + (f"#{number}" if number > 1 else "")
        macs = workload.layer.macs
        cases.append(Case(workload, LayerFacts(label, kind_of(workload.layer), count, macs, count * macs / total)))
    if not cases:
        raise UsageError(f"{graph.name} has no convolution")
    labels = [case.facts.label for case in cases]
    for pattern in patterns:
        if not any(fnmatchcase(label, pattern) for label in labels):
            raise unknown_name("layer", pattern, labels)
    return [
        case for case in cases if not patterns or any(fnmatchcase(case.facts.label, pattern) for pattern in patterns)
    ]


def kind_of(layer: Layer) -> str:
    """What is averaged together: "1x1", "3x3", "7x7", "depthwise", "grouped"."""
    if layer.groups == 1:
        return f"{layer.kernel[0]}x{layer.kernel[1]}"
    return "depthwise" if layer.groups == layer.in_shapes[0][0] else "grouped"


def contenders_of(
    workload: Workload, profile: Profile, selection: KernelSelection
) -> tuple[list[Contender], dict[str, str]]:
    """The kernels of one layer that are timed in one interleaved run, and why others are not: name -> reason."""
    dense = [
        Contender(str(choice), choice=choice)
        for rule in RULES
        if not rule.reads_sparsity and selection.allows(rule)
        for choice in _choices(rule, workload, profile, selection)
    ]
    peers = [Contender(ONEDNN), Contender(ONEDNN_PREPACKED)] if selection.peers else []
    sparse, declined = _sparse_contenders(workload, profile, selection)
    return [*dense, *peers, *sparse], declined


def _choices(rule: Rule, workload: Workload, profile: Profile, selection: KernelSelection) -> list[ScheduleChoice]:
    """The first configurations of a schedule, a tuned one before them."""
    space = [ScheduleChoice(rule.name, config) for config in rule.space(workload, profile)]
    tuned = selection.tuned.choice(workload, profile)
    first = [tuned] if tuned in space else []
    return list(dict.fromkeys([*first, *space]))[: selection.configurations]


def _sparse_contenders(
    workload: Workload, profile: Profile, selection: KernelSelection
) -> tuple[list[Contender], dict[str, str]]:
    """For each ratio and family, each sparse schedule that answers."""
    readers = [rule for rule in RULES if rule.reads_sparsity and selection.allows(rule)]
    if workload.layer.groups != 1 or not selection.ratios or not readers:
        return [], {}
    winograd = any(rule.space(workload, profile) for rule in RULES if rule.name == WINOGRAD)
    contenders, declined = [], {}
    for ratio in (1.0, *sorted(selection.ratios)):
        for family in selection.families:
            sparsity = sparsity_of(family, ratio)
            if sparsity is None or (sparsity.pattern == "connectivity" and not winograd):
                continue
            reason = sparsity.applies_to(workload.layer)
            sparse = replace(workload, sparsity=sparsity)
            choices = [choice for rule in readers for choice in _choices(rule, sparse, profile, selection)]
            if reason or not choices:
                declined[str(sparsity)] = reason or "no schedule answers"
                continue
            kept = sparsity.kept_fraction(workload.layer.weight_shape)
            contenders += [
                Contender(f"{choice} {sparsity}", choice, sparsity, ratio, kept, family) for choice in choices
            ]
    return contenders, declined


def sparsity_of(family: str, ratio: float) -> Sparsity | None:
    """The sparsity of a family that keeps 1 / `ratio`; None where it cannot: a kernel pattern keeps 4 of 9 at most.

    Raises UsageError for what is no family.
    """
    pattern, *block = family.split(":")
    if pattern == "pattern" and ratio < 9 / PATTERN_ENTRIES:
        return None
    return Sparsity.parse(":".join([pattern, f"{1 - 1 / ratio:.4f}", *block]))
