"""Packing of sparse weights into what kernels read, and back without loss; NumPy alone, no TVM.

The nonzeros decide, not the sparsity: whatever the weight, no nonzero is lost, only zeros are. A weight that does not
follow its sparsity is packed all the same, into more than was expected; `departure` says so.

`PackedColumns` is for block_punched, columns and connectivity: per group of filters, the (channel, kernel position)
columns in which any of them has a nonzero. A kernel's group need not be the sparsity's: a larger one has the union of
the columns of all its filters, zeros stored; a smaller one splits the sparsity's groups.
`PackedPatterns` (FKW of PatDNN, Niu et al. 2020, section 5.3) is for "pattern".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetpose.errors import UsageError
from models.plans.sparsity import PATTERN_ENTRIES, Sparsity, WeightShape
from models.prune.masks.build import CANDIDATES

#: how a group's columns are sorted: by (channel, ky, kx), or by (ky, kx, channel)
ORDERS = ("channel", "position")


@dataclass(frozen=True, eq=False)
class PackedColumns:
    """The kept columns of each group of `filters` filters.

    Attributes:
        shape: of the weight, (out, in, kernel height, kernel width).
        filters: of a group; filters beyond `out` in the last group are zeros.
        groups: int32 [groups]: the i-th packed group holds the filters from groups[i] * filters on.
        starts: int32 [groups + 1]: the i-th packed group's columns are starts[i] to below starts[i + 1].
        channel: int32 [n], input channel of each column.
        position: int32 [n], ky * kernel width + kx of each column.
        weight: [n, filters], a column's weights side by side; dtype of the weight packed.
    """

    shape: WeightShape
    filters: int
    groups: np.ndarray
    starts: np.ndarray
    channel: np.ndarray
    position: np.ndarray
    weight: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Columns of each packed group."""
        return np.diff(self.starts)

    @property
    def common_length(self) -> int | None:
        """Columns of a group where all groups have as many, so that the kernel's loop has a constant length."""
        lengths = np.unique(self.lengths)
        return int(lengths[0]) if len(lengths) == 1 else None

    def unpack(self) -> np.ndarray:
        """The weight that was packed."""
        out, channels, height, width = self.shape
        weight = np.zeros((len(self.groups), self.filters, channels, height * width), self.weight.dtype)
        weight[self.groups.repeat(self.lengths), :, self.channel, self.position] = self.weight
        return weight.reshape(-1, channels, height, width)[:out]


def pack_columns(
    weight: np.ndarray, filters: int, order: str = "channel", longest_first: bool = False
) -> PackedColumns:
    """Pack the columns that have nonzeros.

    Args:
        weight: (out, in, kernel height, kernel width), of one group of a convolution.
        filters: of a group of the kernel.
        order: one of ORDERS.
        longest_first: groups with more columns come first, equal ones as they were; see PackedColumns.groups.
    """
    if order not in ORDERS or filters < 1 or weight.ndim != 4:
        raise UsageError(f"cannot pack {weight.shape} by {filters} filters, sorted by {order!r} of {ORDERS}")
    out, channels, height, width = weight.shape
    positions, count = height * width, -(-out // filters)
    flat = np.zeros((count * filters, channels, positions), weight.dtype)
    flat[:out] = weight.reshape(out, channels, positions)
    if order == "position":
        flat = flat.transpose(0, 2, 1)
    columns = flat.reshape(count, filters, channels * positions)
    kept = (columns != 0).any(axis=1)
    groups = np.arange(count)
    if longest_first:
        groups = np.argsort(-kept.sum(axis=1), kind="stable")
        columns, kept = columns[groups], kept[groups]
    group, column = np.nonzero(kept)
    major, minor = np.divmod(column, positions if order == "channel" else channels)
    channel, position = (major, minor) if order == "channel" else (minor, major)
    return PackedColumns(
        shape=(out, channels, height, width),
        filters=filters,
        groups=groups.astype(np.int32),
        starts=np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32),
        channel=channel.astype(np.int32),
        position=position.astype(np.int32),
        weight=np.ascontiguousarray(columns.transpose(0, 2, 1)[group, column]),
    )


@dataclass(frozen=True, eq=False)
class PackedPatterns:
    """The kept kernels of each filter, ordered by pattern and then channel.

    Attributes:
        shape: of the weight, (out, in, 3, 3).
        taps: int32 [patterns, 4]: the kernel positions ky * 3 + kx of each pattern, ascending. Patterns without any
            kernel do not occur; a weight of zeros has none.
        order: int32 [out]: the i-th packed filter is the filter order[i].
        starts: int32 [out * patterns + 1]: the i-th packed filter's kernels of pattern p are
            starts[i * patterns + p] to below starts[i * patterns + p + 1].
        channel: int32 [n], input channel of each kernel.
        weight: [n, 4], by `taps`; dtype of the weight packed.
    """

    shape: WeightShape
    taps: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    channel: np.ndarray
    weight: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Kernels of each packed filter under each pattern, [out, patterns]."""
        return np.diff(self.starts).reshape(self.shape[0], len(self.taps))

    def unpack(self) -> np.ndarray:
        """The weight that was packed."""
        weight = np.zeros((*self.shape[:2], 9), self.weight.dtype)
        lengths = self.lengths
        filters = self.order.repeat(lengths.sum(axis=1))
        taps = np.tile(np.arange(len(self.taps)), len(self.order)).repeat(lengths.ravel())
        at = (filters[:, None], self.channel[:, None], self.taps[taps])
        np.add.at(weight, at, self.weight)  # a kernel of more than 4 nonzeros is there in several parts
        return weight.reshape(self.shape)


def pack_patterns(weight: np.ndarray, longest_first: bool = False) -> PackedPatterns:
    """Pack the 3x3 kernels that have nonzeros.

    The patterns are those of the kernels with 4 nonzeros, most frequent first; a kernel with fewer takes the first that
    holds all of its nonzeros, or adds one. A kernel with more, which no sparsity leaves, is stored in several parts.

    Args:
        weight: (out, in, 3, 3), of one group of a convolution.
        longest_first: filters with more kernels come first, equal ones as they were; see PackedPatterns.order.
    """
    if weight.ndim != 4 or weight.shape[2:] != (3, 3):
        raise UsageError(f"kernel patterns are of 3x3 kernels, not of a weight {weight.shape}")
    out, channels = weight.shape[:2]
    kernels = np.ascontiguousarray(weight).reshape(out, channels, 9)
    filters, channel, parts = _parts(kernels)
    taps, pattern = _taps(parts)
    values = np.where(parts, kernels[filters, channel], 0)
    values = np.take_along_axis(values, taps[pattern], axis=1) if len(taps) else values[:, :PATTERN_ENTRIES]
    order = np.arange(out)
    if longest_first:
        order = np.argsort(-np.bincount(filters, minlength=out), kind="stable")
    place = np.argsort(order)[filters]  # where each part's filter stands among the packed ones
    by = np.lexsort((channel, pattern, place))
    lengths = np.bincount(place * len(taps) + pattern, minlength=out * len(taps))
    return PackedPatterns(
        shape=(out, channels, 3, 3),
        taps=taps.astype(np.int32),
        order=order.astype(np.int32),
        starts=np.concatenate([[0], lengths.cumsum()]).astype(np.int32),
        channel=channel[by].astype(np.int32),
        weight=np.ascontiguousarray(values[by].astype(weight.dtype)),
    )


def _parts(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(filter, channel, bool [parts, 9]) of each kernel's nonzeros, at most 4 in a part."""
    rank = (kernels != 0).cumsum(axis=2)  # the first 4 nonzeros of a kernel have ranks 1 to 4
    pieces = []
    for first in range(0, 9, PATTERN_ENTRIES):
        part = (kernels != 0) & (rank > first) & (rank <= first + PATTERN_ENTRIES)
        filters, channel = np.nonzero(part.any(axis=2))
        pieces.append((filters, channel, part[filters, channel]))
    filters, channel, parts = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    return filters, channel, parts


def _taps(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(taps [patterns, 4], pattern of each part): every part's nonzeros lie within its pattern's taps."""
    shapes, which, votes = np.unique(parts, axis=0, return_inverse=True, return_counts=True)
    table: list[frozenset[int]] = []
    chosen = np.zeros(len(shapes), np.intp)
    for shape in sorted(range(len(shapes)), key=lambda index: (-int(shapes[index].sum()), -int(votes[index]))):
        wanted = frozenset(np.flatnonzero(shapes[shape]).tolist())
        if not any(wanted <= known for known in table):
            table.append(_fill_pattern(wanted))
        chosen[shape] = next(at for at, known in enumerate(table) if wanted <= known)
    taps = np.array([sorted(known) for known in table], np.intp).reshape(-1, PATTERN_ENTRIES)
    return taps, chosen[which.ravel()]


def _fill_pattern(positions: frozenset[int]) -> frozenset[int]:
    """Four positions that hold the given ones: a pattern with the centre if one does, else any."""
    for candidate in CANDIDATES.tolist():
        if positions <= set(candidate):
            return frozenset(candidate)
    return positions | frozenset(
        [position for position in range(9) if position not in positions][: PATTERN_ENTRIES - len(positions)]
    )


def departure(weight: np.ndarray, sparsity: Sparsity) -> str | None:
    """How a weight's nonzeros go beyond what the sparsity keeps; None where they stay within.

    Kernels are correct all the same; what they take is not what the sparsity promises.
    """
    if sparsity.pattern == "pattern":
        return _pattern_departure(weight, sparsity)
    out, channels = weight.shape[:2]
    nonzero = (weight != 0).reshape(out, channels, -1)
    if sparsity.pattern == "connectivity":
        nonzero = nonzero.any(axis=2, keepdims=True)
    units = np.logical_or.reduceat(nonzero, np.arange(0, out, sparsity.block[0]), axis=0)
    units = np.logical_or.reduceat(units, np.arange(0, channels, sparsity.block[1]), axis=1)
    return _excess(units.reshape(len(units), -1).sum(axis=1), weight.shape, sparsity)


def _pattern_departure(weight: np.ndarray, sparsity: Sparsity) -> str | None:
    nonzero = (weight != 0).reshape(*weight.shape[:2], 9)
    most = int(nonzero.sum(axis=2).max())
    if most > PATTERN_ENTRIES:
        return f"a kernel has {most} nonzeros; {sparsity} keeps {PATTERN_ENTRIES}"
    patterns = len(pack_patterns(weight).taps)
    if patterns > sparsity.patterns:
        return f"the kernels have {patterns} patterns; {sparsity} keeps {sparsity.patterns}"
    return _excess(nonzero.any(axis=2).sum(axis=1), weight.shape, sparsity)


def _excess(kept: np.ndarray, shape: WeightShape, sparsity: Sparsity) -> str | None:
    """`kept`: units with nonzeros of each filter group."""
    allowed = sparsity.kept_units(shape)
    most, where = (kept.max(), f"filter group {kept.argmax()}") if sparsity.balanced else (kept.sum(), "the layer")
    return f"{where} has nonzeros in {most} units; {sparsity} keeps {allowed}" if most > allowed else None
