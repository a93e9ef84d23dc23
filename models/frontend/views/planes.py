"""Rearrangements of whole planes, made cheaper: slices of joins, joins of slices, and a shuffled input.

Passes over a Network of drafts, as those of `models.frontend.fuse`; each keeps what the network computes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.frontend.draft import Draft, Network
from models.graph.index_map import Move
from models.graph.layer import Shape
from models.graph.rearrangement import compose_planes, planes_moved


@dataclass(frozen=True, eq=False)
class _Planes:
    """Planes `table` of the tensor `source`, which is the tensor `name` if there is such a tensor already."""

    source: str
    table: np.ndarray
    name: str | None

    def continued_by(self, other: _Planes) -> bool:
        """Whether the planes of `other` are of the same tensor and follow these."""
        steps = np.diff([*self.table, *other.table])
        return self.source == other.source and bool((steps == 1).all())


def read_members_of_joins(network: Network) -> None:
    """What takes planes of one member of a join only, reads that member."""
    producers, shapes = network.producers(), network.shapes()
    replaced: dict[str, str] = {}
    for draft in network.drafts:
        draft.inputs = [replaced.get(name, name) for name in draft.inputs]
        table = _table(draft, shapes)
        join = producers.get(draft.inputs[0]) if table is not None else None
        if table is None or join is None or join.op != "concat" or join.epilogue:
            continue
        ends = np.cumsum([shapes[name][0] for name in join.inputs])
        member = int(np.searchsorted(ends, table[0], side="right"))
        name = join.inputs[member]
        local = table - (ends[member] - shapes[name][0])
        if (local < 0).any() or (local >= shapes[name][0]).any():
            continue
        _take_planes(draft, name, local, shapes)
        if np.array_equal(local, np.arange(shapes[name][0])) and draft.name not in network.outputs:
            replaced[draft.name] = name
    network.drop_dead()


def join_neighbouring_slices(network: Network) -> None:
    """Members of a join that are neighbouring slices of one tensor become one slice, or that tensor."""
    producers, shapes = network.producers(), network.shapes()
    replaced: dict[str, str] = {}
    drafts: list[Draft] = []
    for draft in network.drafts:
        draft.inputs = [replaced.get(name, name) for name in draft.inputs]
        if draft.op == "concat" and not draft.epilogue:
            members = [_planes_of(name, producers, shapes) for name in draft.inputs]
            names: list[str] = []
            for planes in _merge(members):
                whole = np.array_equal(planes.table, np.arange(shapes[planes.source][0]))
                name = planes.source if whole else planes.name
                if name is None:
                    name = f"{draft.name}.part{len(names)}"
                    shape = (len(planes.table), *draft.shape[1:])
                    part = Draft(name, "rearrange", [planes.source], shape, draft.path, "slice")
                    _take_planes(part, planes.source, planes.table, {**shapes, name: shape})
                    drafts.append(part)
                    shapes[name], producers[name] = shape, part
                names.append(name)
            draft.inputs = names
            if len(names) == 1 and draft.name not in network.outputs:
                replaced[draft.name] = names[0]
        drafts.append(draft)
    network.drafts = drafts
    network.drop_dead()


def join_while_moving(network: Network) -> None:
    """A join of tensors that are all made for it by moving elements becomes one layer that moves them."""
    uses, producers, shapes = network.uses(), network.producers(), network.shapes()
    for draft in network.drafts:
        members = [producers.get(name) for name in draft.inputs]
        if draft.op != "concat" or draft.epilogue or len(members) < 2:
            continue
        movers = [member for member in members if member is not None and _only_moves(member) and uses[member.name] == 1]
        if len(movers) < len(members):
            continue
        sources = list(dict.fromkeys(member.inputs[0] for member in movers))
        moves, first = [], 0
        for member in movers:
            operand = sources.index(member.inputs[0])
            moves.append(Move(member.moves[0].index_map, operand, (first, 0, 0)))
            first += shapes[member.name][0]
        draft.op, draft.kind, draft.inputs, draft.moves = "rearrange", "rearrange", sources, tuple(moves)
    network.drop_dead()


def _only_moves(draft: Draft) -> bool:
    """Whether a draft is one map of one tensor."""
    plain = draft.op == "rearrange" and not draft.epilogue and len(draft.moves) == 1
    return plain and draft.moves[0].index_map.sizes == draft.shape


def fold_shuffled_input(network: Network) -> None:
    """Convolutions that read the network's input with its channels in another order take it in its own order.

    Only the input's: of other convolutions the weights stay those of the module, so that they can be pruned.
    """
    shapes = network.shapes()
    for shuffle in network.drafts:
        table = _table(shuffle, shapes)
        channels = network.input_shape[0]
        if table is None or shuffle.inputs != [network.input] or set(table) != set(range(channels)):
            continue
        readers = [draft for draft in network.drafts if shuffle.name in draft.inputs]
        if shuffle.name in network.outputs or not all(_can_reorder(reader, shuffle.name) for reader in readers):
            continue
        for reader in readers:
            assert reader.weight is not None
            weight = np.zeros((len(reader.weight), channels, *reader.weight.shape[2:]))
            for position, channel in enumerate(table):
                weight[:, channel] += reader.weight[:, position]
            reader.weight = weight
            reader.inputs[0] = network.input
    network.drop_dead()


def _can_reorder(reader: Draft, name: str) -> bool:
    plain = reader.op == "conv" and reader.groups == 1 and not reader.transposed
    return plain and reader.inputs[0] == name and name not in reader.inputs[1:]


def _table(draft: Draft, shapes: dict[str, Shape]) -> np.ndarray | None:
    """The channel of its input that each channel of a draft is, where it moves whole planes, and else None."""
    if draft.op != "rearrange" or len(draft.moves) != 1 or draft.epilogue or len(draft.inputs) != 1:
        return None
    return planes_moved(draft.moves[0], shapes[draft.inputs[0]], draft.shape)


def _take_planes(draft: Draft, source: str, table: np.ndarray, shapes: dict[str, Shape]) -> None:
    draft.inputs = [source]
    draft.moves = (Move(compose_planes(table, shapes[source])),)


def _planes_of(name: str, producers: dict[str, Draft], shapes: dict[str, Shape]) -> _Planes:
    maker = producers.get(name)
    table = _table(maker, shapes) if maker is not None else None
    if maker is None or table is None:
        return _Planes(name, np.arange(shapes[name][0]), name)
    return _Planes(maker.inputs[0], table, name)


def _merge(members: list[_Planes]) -> list[_Planes]:
    """Members of which one continues the other as one."""
    merged = [members[0]]
    for planes in members[1:]:
        last = merged[-1]
        if last.continued_by(planes):
            merged[-1] = _Planes(last.source, np.concatenate([last.table, planes.table]), None)
        else:
            merged.append(planes)
    return merged
