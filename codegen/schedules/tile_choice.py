"""Which tiles of filters x vectors are worth making: what they pad, and what their instructions cost.

The costs of an operand, in vector multiply-adds, are a CPU's as measured on one, and for GPUs what is left of the
instructions that Mesa's compiler for an Adreno 730 makes of loops of 4 to 16 filters and 1 to 4 vectors, once the
multiply-adds are taken away.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.kernels.activations import FUNCTION_STEPS, LIGHT_FUNCTION_STEPS
from codegen.kernels.workload import Workload
from devices.profile import Profile

#: wider tiles gain nothing more, and pad more
MOST_VECTORS = 4
#: tiles that pad the work by more than this are not worth timing
WORTH_PADDING = 1.2
#: filters whose weights a GPU loads at once
FILTERS_OF_LOAD = 4
#: from so many accumulators on, a CPU's tall tiles leave some for operands
MANY_ACCUMULATORS = 16
#: accumulators of a GPU's work-item whose sums go through a function
SUMS_WITH_FUNCTIONS = 8
#: registers of a float32 sum of halves, in vectors of these
WIDE_SUM = 2
#: vectors of registers of a Mali that sums leave to operands, addresses and the loop, by what its compiler spills
OPERANDS = 6
#: as many more for strided operands in float32: two vectors of memory and two of float32, for one of halves
STRIDED = 3
#: what a filter more or less than the best tall tile has costs, as a share of the work
TALL_DISTANCE = 0.004


def register_sums(workload: Workload, profile: Profile) -> int:
    """Sums that fit the registers of a work-item beside operands. A Mali has none beyond `registers_per_thread`, and
    OPERANDS of them for what is no sum; an Adreno has as many again, at fewer waves."""
    if not workload.widened:
        return profile.accumulators
    half, registers = max(profile.accumulators // WIDE_SUM, 1), profile.vector_registers
    if profile.gpu != "mali" or registers is None:
        return half
    strided = workload.widened == "products" and workload.layer.stride[1] > 1
    operands = OPERANDS + (STRIDED if strided else 0)
    return max(min(half, (registers - operands) // registers_of_sum(workload)), 1)


def registers_of_sum(workload: Workload) -> int:
    """Vectors of registers that a sum takes: two for float32 of halves, one for what a turn of the loop adds up."""
    return 1 + 2 * (workload.widened == "sums") + (workload.widened == "products")


def most_sums(workload: Workload, profile: Profile) -> int:
    """Accumulators of a work-item. A GPU whose sums all go through a function needs registers for that, an Adreno in
    half most; but not in half where the function is little more than the GPU's own exponential, unless the sums meet
    another tensor, or are of a sparse kernel.

    Mesa's compiler for an Adreno 730 spills in half 28 times with 16, an ELU and a sum, 201 times with a SiLU and a
    sum, 73 times with an ELU under columns and a border, and 192 times with 8 and a GELU; in float32 with 16 and an ELU
    under columns 502 times. So, it does not.
    """
    steps, most, half = workload.layer.epilogue, register_sums(workload, profile), workload.dtype == "float16"
    functions = {step.kind for step in steps} & FUNCTION_STEPS
    if not profile.streams or not functions:
        return most
    if half and profile.exponential == "native" and functions <= LIGHT_FUNCTION_STEPS:
        crowded = workload.sparsity is not None or any(step.reads for step in steps)
        return min(most, SUMS_WITH_FUNCTIONS) if crowded else most
    return min(most, SUMS_WITH_FUNCTIONS // 2 if half and profile.gpu == "adreno" else SUMS_WITH_FUNCTIONS)


@dataclass(frozen=True)
class OperandCosts:
    """What a turn of a loop of multiply-adds takes besides these, in vector multiply-adds.

    Attributes:
        load: an input vector. strided: one of every second element.
        filter: a weight and its splat.
        turn: the loop, or what it moves along.
    """

    load: float
    strided: float
    filter: float
    turn: float

    @classmethod
    def of(cls, profile: Profile, dtype: str) -> OperandCosts:
        if not profile.streams:
            return BY_INDEX
        if dtype == "float16":
            return cls(load=1.4, strided=3.0, filter=0.24, turn=0.0)
        return cls(load=1.1, strided=2.0, filter=0.39, turn=1.3)


#: of operands that are read by indices, each weight alone
BY_INDEX = OperandCosts(load=1.0, strided=1.0, filter=0.35, turn=1.0)


@dataclass(frozen=True)
class TileWork:
    """What tiles of a convolution's filters and vectors cost.

    Attributes:
        filters, vectors: of the convolution: of a group, and of a row.
        budget: accumulators of a work-item.
        costs: of operands.
        strided: input vectors are of every second element, or of a longer stride.
        registers: vectors that a work-item's registers hold; None where that is not known or no bound.
        whole_loads: weights are loaded by the vector.
        sum_registers: vectors of registers that a sum takes, with what its turn adds up.
    """

    filters: int
    vectors: int
    budget: int
    costs: OperandCosts
    strided: bool = False
    registers: int | None = None
    whole_loads: bool = False
    sum_registers: int = 1

    @classmethod
    def of(cls, workload: Workload, profile: Profile) -> TileWork:
        layer = workload.layer
        return cls(
            filters=layer.out_shape[0] // layer.groups,
            vectors=workload.output.vectors,
            budget=most_sums(workload, profile),
            costs=OperandCosts.of(profile, workload.dtype),
            strided=layer.stride[1] > 1,
            registers=profile.vector_registers if profile.streams else None,
            whole_loads=profile.streams,
            sum_registers=registers_of_sum(workload),
        )

    @property
    def filter_counts(self) -> list[int]:
        """Filters that a tile may have. A GPU loads the weights of four at once: more are whole loads, or all."""
        most = min(self.filters, self.budget)
        whole = FILTERS_OF_LOAD if self.whole_loads else 1
        return [f for f in range(1, most + 1) if f < whole or f % whole == 0 or f == self.filters]

    def vector_counts(self, filters: int) -> range:
        """Vectors beside so many filters, as far as the registers go."""
        return range(1, min(self.budget // filters, MOST_VECTORS) + 1)

    def fits(self, filters: int, vectors: int) -> bool:
        """Whether registers hold a tile's sums, and the input of two steps of its loop."""
        operands = 2 * vectors * (2 if self.strided else 1)
        held = self.sum_registers * filters * vectors + operands
        return self.registers is None or vectors == 1 or held < self.registers

    def overhead(self, filters: int, vectors: int) -> float:
        """Instructions per multiply-add: loads, weights (partly free), the loop."""
        products, costs = filters * vectors, self.costs
        load = costs.strided if self.strided else costs.load
        return (products + load * vectors + costs.filter * filters + costs.turn) / products

    def padded(self, tile: tuple[int, int]) -> float:
        """Instructions per useful multiply-add of tiles of (filters, vectors)."""
        return padding(self.filters, tile[0]) * padding(self.vectors, tile[1]) * self.overhead(*tile)


def choose_filters_and_vectors(workload: Workload, profile: Profile) -> tuple[int, int]:
    """The tile with the least work per useful output: padding of both axes, and loads against multiply-adds.

    Filters are chosen first, from the layer alone: weights are packed by them, so that a network built for several
    input sizes packs each layer's weights once. Vectors follow from the width of the image.
    """
    work = TileWork.of(workload, profile)
    widest = [(f, max(v for v in work.vector_counts(f) if work.fits(f, v))) for f in work.filter_counts]
    chosen = min(widest, key=lambda tile: padding(work.filters, tile[0]) * work.overhead(*tile))[0]
    fitting = [(chosen, v) for v in work.vector_counts(chosen) if v <= work.vectors and work.fits(chosen, v)]
    return min(fitting, key=lambda tile: padding(work.vectors, tile[1]) * work.overhead(*tile))


def tall_tile(workload: Workload, profile: Profile) -> tuple[int, int]:
    """(filters, vectors) of a tile one vector wide: two thirds of the accumulators or near, padding the filters little;
    on a CPU of few accumulators all of them, since fewer leave its multiply-add units waiting for their own results.

    It makes most of each input vector, which matters where vectors are dear: of stride 2, or many planes. Where there
    are too few filters for it, the tile of least estimated work.
    """
    work, budget = TileWork.of(workload, profile), most_sums(workload, profile)
    few = profile.gpu == "cpu" and budget < MANY_ACCUMULATORS
    best, most = (budget, budget) if few else (budget * 2 // 3, budget - 2)
    if work.whole_loads:
        best = most = budget
    choice = [f for f in work.filter_counts if budget // 2 <= f <= most]
    if not choice:
        return choose_filters_and_vectors(workload, profile)
    return min(choice, key=lambda f: padding(work.filters, f) * (1 + TALL_DISTANCE * abs(f - best))), 1


def filling_tiles(workload: Workload, profile: Profile) -> list[tuple[int, int]]:
    """(filters, vectors) that fill the registers well and pad little; the least padded first."""
    work = TileWork.of(workload, profile)
    tiles = [
        (f, v)
        for f in work.filter_counts
        for v in work.vector_counts(f)
        if v <= work.vectors
        and work.fits(f, v)
        and f * v * 3 >= work.budget * 2
        and padding(work.filters, f) * padding(work.vectors, v) < WORTH_PADDING
    ]
    return sorted(tiles, key=work.padded)


def padded_work(filters: int, vectors: int, tile: tuple[int, int]) -> float:
    """Instructions per useful multiply-add, by indices, where `filters` x `vectors` are covered by tiles of (filters,
    vectors)."""
    return TileWork(filters, vectors, 0, BY_INDEX).padded(tile)


def padding(extent: int, step: int) -> float:
    """Work done over work wanted when `extent` is covered in whole steps."""
    return -(-extent // step) * step / extent
