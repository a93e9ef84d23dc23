"""Space: what there is to time of networks: every kernel they launch, each convolution under each sparsity it can have.

A Group is one layer on the planes it has in a network, with its variants; what is equal in several places, or in
several networks, is one group. `latency.profiling.around` adds layers that no network has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen.kernels.widening import widened_part
from codegen.kernels.workload import Workload
from codegen.layout.assign import assign_layout, join_copies
from codegen.schedules.moving.gated_weights import stand_in
from codegen.tuning.tasks import estimated_secs
from devices.profile import Profile
from latency.records.identity import layer_id
from models.graph.layer import Layer
from models.graph.network import Graph, check_layer_names
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity, variant_text

#: zeros that convolutions are timed under where nothing else is asked for
DEFAULT_ZEROS = (0.5, 0.67, 0.75, 0.875)
#: zeros that a decision chooses among, times between those that were timed being predicted
DECIDED_ZEROS = (0.3, 0.4, 0.5, 0.58, 0.67, 0.75, 0.81, 0.875)
#: filters that share their columns in a fine sparsity, and in a finer one
FINE, FINER = 4, 2
#: sparse variants that are timed in one run with the dense kernel; with more, a run would take long and be lost whole
RUN_VARIANTS = 6


@dataclass(frozen=True)
class Group:
    """A layer and what is to be timed of it.

    Attributes:
        workload: the dense one, on its planes.
        sparsities: the variants; None, the dense one, is first.
        networks: that have it; () for a layer of none.
        share: estimated seconds of the dense layer, times how often it is run; orders the work.
    """

    workload: Workload
    sparsities: tuple[Sparsity | None, ...]
    networks: tuple[str, ...] = ()
    share: float = 0.0

    @property
    def pitches(self) -> tuple[int, ...]:
        """Elements from row to row of the inputs, then of the output."""
        return tuple(plane.pitch for plane in (*self.workload.inputs, self.workload.output))

    @property
    def key(self) -> tuple:
        """What makes two groups the same."""
        return (self.workload.layer, self.pitches, self.workload.dtype, self.workload.widened)

    def identity(self, sparsity: Sparsity | None, device: Mapping[str, object]) -> str:
        """The id of the record of one variant on a device."""
        layer, dtype = self.workload.layer, self.workload.dtype
        return layer_id(device, layer, self.pitches, variant_text(sparsity), dtype, self.workload.widened)


def network_workloads(graph: Graph, profile: Profile, dtype: str = "float32") -> list[tuple[str, Workload]]:
    """Each kernel that a network launches between its input and its outputs: (layer, dense workload), in order.

    Joins whose members lie in place launch none; members that are copied are a workload each, under the join's name. A
    product that is done on its reader's weights is a product as large as these.
    The copies at the network's ends (from and to the user's own tensors) are no layers and not among them.
    """
    layout = assign_layout(graph, profile.lanes_of(dtype), np.dtype(dtype).itemsize)
    workloads = []
    for layer in graph.layers:
        if layer.op == "constant" or layer.name in layout.slices:
            continue
        if layer.name in layout.gates:
            gate = layout.gates[layer.name]
            workloads.append((layer.name, stand_in(layer, graph.layer(gate.reader), layout.planes[gate.gate], dtype)))
        elif layer.name in layout.copied and not layer.epilogue:
            workloads += [(layer.name, Workload.of(copy, planes, dtype)) for copy, planes in join_copies(layer, layout)]
        else:
            widened = widened_part(graph, layer, dtype)
            workloads.append((layer.name, Workload.of(layer, layout.planes, dtype, widened=widened)))
    return workloads


def network_groups(
    graphs: Sequence[Graph],
    profile: Profile,
    sparsities: Sequence[Sparsity | None] = (),
    dtypes: Sequence[str] = ("float32",),
    layers: Sequence[str] = (),
) -> list[Group]:
    """The distinct layers of networks, the largest share first.

    Args:
        sparsities: to time each convolution under as far as it can have them; `default_sparsities` where there are
            none. The dense variant is always there.
        layers: only layers of these names (default: all).

    Raises:
        UsageError: the device does not compute in one of `dtypes`, or no network has a layer of one of the names.
    """
    check_layer_names(layers, *graphs)
    by_key: dict[tuple, Group] = {}
    for graph in graphs:
        for dtype in dtypes:
            for name, workload in network_workloads(graph, profile, dtype):
                if layers and name not in layers:
                    continue
                variants = variants_of(workload.layer, sparsities, profile)
                group = Group(workload, variants, (graph.name,), estimated_secs(workload, profile))
                have = by_key.get(group.key, replace(group, networks=(), share=0.0))
                networks = tuple(dict.fromkeys((*have.networks, graph.name)))
                by_key[group.key] = replace(have, networks=networks, share=have.share + group.share)
    return sorted(by_key.values(), key=lambda group: -group.share)


def with_plans(
    groups: Sequence[Group], graphs: Sequence[Graph], plans: Sequence[Plan], profile: Profile, dtypes: Sequence[str]
) -> list[Group]:
    """The groups of `graphs`, with the zeros their layers have in `plans` timed first after dense.

    Raises:
        UsageError: a plan that does not fit the graph of its name; a device that does not compute in one of `dtypes`.
    """
    wanted: dict[tuple, dict[Sparsity | None, None]] = {}
    for graph, plan in ((graph, plan) for graph in graphs for plan in plans if plan.model == graph.name):
        plan.check(graph.layers)
        for dtype in dtypes:
            for name, workload in network_workloads(graph, profile, dtype):
                if name in plan.sparsities:
                    wanted.setdefault(Group(workload, ()).key, {})[plan.sparsities[name]] = None
    return [
        replace(group, sparsities=tuple(dict.fromkeys((None, *wanted.get(group.key, ()), *group.sparsities[1:]))))
        for group in groups
    ]


def variants_of(layer: Layer, sparsities: Sequence[Sparsity | None], profile: Profile) -> tuple[Sparsity | None, ...]:
    """Dense, then those of `sparsities` (of `default_sparsities` where there are none) that the layer can have."""
    wanted = sparsities or default_sparsities(layer, profile)
    return (
        None,
        *dict.fromkeys(sparsity for sparsity in wanted if sparsity is not None and sparsity.applies_to(layer) is None),
    )


def default_sparsities(layer: Layer, profile: Profile) -> list[Sparsity]:
    """What a convolution is timed under unless asked otherwise: neighbours in the list differ in all they can.

    Columns are shared by as many filters as a kernel of two vectors of pixels has accumulators for, and by FINE, which
    costs less accuracy; whole kernels are removed for FINE filters together. On a CPU, whose registers are filled by
    rows and vectors as well as by filters, also by FINER. In a convolution of several groups these numbers are the
    largest below that divide the filters of a group.
    """
    filters = max(profile.accumulators // 2, 1)
    wanted = [
        ("columns", (filters if filters != FINE else 2 * FINE, 1)),
        ("columns", (FINER, 1)) if profile.gpu == "cpu" else ("block_punched", (8, 4)),
        ("columns", (FINE, 1)),
    ]
    if layer.kernel != (1, 1):
        wanted.append(("connectivity", (FINE, 1)))
    blocks = [(pattern, (_filters_that_divide(layer, most), channels)) for pattern, (most, channels) in wanted]
    blocks = list(dict.fromkeys(blocks))
    sparsities = []
    for turn in range(len(DEFAULT_ZEROS)):
        for number, (pattern, block) in enumerate(blocks):
            sparsities.append(Sparsity(pattern, DEFAULT_ZEROS[(turn + number + 2) % len(DEFAULT_ZEROS)], block))
    return sparsities


def decided_sparsities(layer: Layer, profile: Profile) -> list[Sparsity]:
    """What a decision may give a convolution unless told otherwise: each family of `default_sparsities` at each of
    DECIDED_ZEROS."""
    families = dict.fromkeys(
        replace(sparsity, zeros=DEFAULT_ZEROS[0]) for sparsity in default_sparsities(layer, profile)
    )
    return [replace(family, zeros=zeros) for family in families for zeros in DECIDED_ZEROS]


def _filters_that_divide(layer: Layer, most: int) -> int:
    """The largest number up to `most` that divides a group's filters; `most` itself for a layer of one group."""
    if layer.groups == 1:
        return most
    of_group = layer.out_shape[0] // layer.groups
    return max(number for number in range(1, most + 1) if of_group % number == 0)


def runs(groups: Iterable[Group], variants: int = RUN_VARIANTS) -> list[Group]:
    """The groups cut into parts of at most `variants` sparse variants each; the dense one is in every part.

    The first parts of all groups come before the second ones: whenever a collection ends, it has seen every layer.
    """
    parts: list[tuple[int, int, Group]] = []
    for place, group in enumerate(groups):
        sparse = [variant for variant in group.sparsities if variant is not None]
        for number, start in enumerate(range(0, max(len(sparse), 1), variants)):
            part = replace(group, sparsities=(None, *sparse[start : start + variants]))
            parts.append((number, place, part))
    return [part for *_, part in sorted(parts, key=lambda variant: variant[:2])]
