"""Which tiles of filters x vectors x rows the sparse schedule "columns" is worth timing with."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.kernels.workload import Workload
from codegen.schedules.tile_choice import MOST_VECTORS, OperandCosts, most_sums, padding, registers_of_sum
from devices.profile import Profile

#: tiles of more estimated work than this many times the least are not worth timing
WORTH_TIMING = 1.3
#: cost of one deinterleaved load of a CPU, in multiply-adds
STRIDED_LOAD = 3.0
#: cost of a tile's row beside its vectors on a CPU, in loads: its ends share their cache lines with other tiles
ROW_START = 0.5
#: what an entry of the list costs a GPU more than a step of a dense kernel, in multiply-adds
ENTRY = 0.8


@dataclass(frozen=True)
class EntryCosts:
    """What an entry of a list takes besides its vector multiply-adds, in these.

    Attributes:
        load: an input vector.
        row_start: a row of the tile, in loads.
        filter: a weight and its splat.
        turn: the entry itself.
    """

    load: float
    row_start: float
    filter: float
    turn: float

    @classmethod
    def of(cls, workload: Workload, profile: Profile, split: int) -> EntryCosts:
        strided = workload.layer.stride[1] > 1 and not split
        if not profile.streams:
            return cls(STRIDED_LOAD if strided else 1.0, ROW_START, 0.35, 2.0)
        costs = OperandCosts.of(profile, workload.dtype)
        return cls(costs.strided if strided else costs.load, 0.0, costs.filter, costs.turn + ENTRY)

    def work(self, workload: Workload, filters: int, vectors: int, rows: int) -> float:
        """Instructions per useful multiply-add: loads, splats (partly free), the loop; and what tiles pad."""
        products = filters * vectors * rows
        padded = padding(workload.output.vectors, vectors) * padding(workload.output.height, rows)
        load = self.load * rows * (vectors + self.row_start)
        return padded * (products + load + self.filter * filters + self.turn) / products


def column_shapes(workload: Workload, profile: Profile, block: int, split: int) -> list[tuple[int, int, int]]:
    """(filters, vectors, rows) that fill the registers, of least estimated work first; one for each number of filters.

    Filters divide the sparsity's `block`: a group of more would hold columns that only some of its filters have.

    Args:
        split: 1: the input's columns are split into even and odd ones first.
    """
    plane, budget, costs = workload.output, most_sums(workload, profile), EntryCosts.of(workload, profile, split)
    strided = workload.layer.stride[1] > 1 and not split

    def work(shape: tuple[int, int, int]) -> float:
        return costs.work(workload, *shape)

    best = []
    for filters in (f for f in range(1, min(block, budget) + 1) if block % f == 0):
        widest = min(plane.vectors, MOST_VECTORS, budget // filters)
        shapes = [
            (filters, v, r)
            for v in range(1, widest + 1)
            for r in range(1, min(budget // (filters * v), plane.height) + 1)
            if not spills(workload, profile, (filters, v, r), strided)
        ]
        if shapes:
            best.append(min(shapes, key=work))
    best.sort(key=work)
    return [shape for shape in best if work(shape) < WORTH_TIMING * work(best[0])]


def spills(workload: Workload, profile: Profile, shape: tuple[int, int, int], strided: bool) -> bool:
    """Whether registers are too few for the sums of a tile of (filters, vectors, rows), the input vectors that they are
    made of, two of memory for one that is strided, and a weight.

    A CPU has a third more than its accumulators. Measured with AVX2: 2 filters x 3 vectors x 2 rows, which spill, take
    twice the time per multiply-add of 2 x 2 x 2, which do not.
    """
    filters, vectors, rows = shape
    tile, of_sum = vectors * rows, registers_of_sum(workload)
    if profile.streams:
        live, most = of_sum * filters * tile + tile * (2 if strided else 1), profile.vector_registers
        return tile > 1 and most is not None and live >= most
    return of_sum * (filters * tile + tile + 1) > profile.accumulators * 4 // 3
