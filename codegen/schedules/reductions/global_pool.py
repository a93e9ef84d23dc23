"""Average and maximum of whole planes: the pool of squeeze-excite and of heads that regress.

A work-item walks a plane, or a part of its rows, in whole vectors and keeps a vector of float32 results, since sums of
half precision would end at 65504; only that is reduced across its lanes. A CPU takes a plane for each work-item. A GPU,
which has far more work-items at once than there are channels, takes the rows in parts, whose vectors a second grid
combines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, function, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.rule import Rule
from devices.profile import Profile

#: vectors of results a work-item keeps, so that one sum need not wait for the last
ACCUMULATORS = 4
#: parts of a plane on a GPU
MOST_PARTS = 16


@dataclass(frozen=True)
class PlaneParts:
    """Parts that the rows of a plane are taken in; 1: one grid does all."""

    parts: int

    def __str__(self) -> str:
        return f"p{self.parts}"


def space(workload: Workload, profile: Profile) -> list[PlaneParts]:
    """Pools of one window that is the whole plane."""
    layer = workload.layer
    if layer.op not in ("max_pool", "avg_pool") or layer.out_shape[1:] != (1, 1):
        return []
    if layer.kernel != layer.in_shapes[0][1:] or layer.padding != (0, 0) or layer.divisor:
        return []
    height = layer.kernel[0]
    parts = [1, *(part for part in (4, MOST_PARTS) if part <= height)]
    return [PlaneParts(part) for part in (parts if profile.gpu == "cpu" else reversed(parts))]


def make(workload: Workload, _weights: Weights, profile: Profile, config: PlaneParts) -> Kernel:
    exact = Vector.on(profile, min(workload.output.lanes, profile.lanes_of("float32")))
    pool = _PlanePool(workload, exact)
    channels, height = workload.output.channels, workload.inputs[0].height
    with function(workload.arguments(), profile) as frame:
        if config.parts > 1:
            rows = -(-height // config.parts)
            frame.scratch("partial", channels * config.parts * exact.lanes, "float32")
            with frame.grid((channels, config.parts)) as (channel, part):
                total = pool.walk(frame, channel, part * rows, T.max(T.min(rows, height - part * rows), 0))
                place = (channel * config.parts + part) * exact.lanes
                emit(exact.store(total, frame["partial"], place))
        with frame.grid((channels,)) as (channel,):
            if config.parts > 1:
                total = pool.combine_parts(frame, channel, config.parts)
            else:
                total = pool.walk(frame, channel, 0, height)
            pool.store(frame, channel, total)
    return Kernel(frame.func, grids=frame.grids)


class _PlanePool:
    """The pieces of the kernel; results are kept in `exact` vectors."""

    def __init__(self, workload: Workload, exact: Vector) -> None:
        self.workload, self.exact = workload, exact
        self.loaded = replace(exact, dtype=workload.dtype)
        self.vector = replace(self.loaded, lanes=workload.output.lanes)
        self.average = workload.layer.op == "avg_pool"

    def both(self, first, second):
        return first + second if self.average else T.max(first, second)

    def neutral(self):
        return self.exact.splat(0) if self.average else self.exact.lowest()

    def walk(self, frame, channel, first, count):
        """The vector of results of rows first : first + count of a plane."""
        source, lanes = self.workload.inputs[0], self.exact.lanes
        vectors = -(-source.width // lanes)
        used = min(ACCUMULATORS, vectors)
        kept = registers(used, self.exact.type, "kept")
        for number in range(used):
            put(kept, number, self.neutral())
        with T.serial(0, count) as row:
            for number in range(vectors):
                loaded = self.loaded.load(frame["in0"], source.index(channel, first + row, number * lanes))
                value = self.exact.convert(loaded, self.loaded.dtype)
                beyond = (number + 1) * lanes - source.width
                if beyond > 0:  # what lies beyond the image is whatever it is
                    value = self.exact.choose(self.exact.integers(number * lanes - source.width), value, self.neutral())
                put(kept, number % used, self.both(kept[number % used], value))
        for number in range(1, used):
            put(kept, 0, self.both(kept[0], kept[number]))
        return kept[0]

    def combine_parts(self, frame, channel, parts: int):
        kept = registers(1, self.exact.type, "whole")
        put(kept, 0, self.neutral())
        with T.serial(0, parts) as part:
            loaded = self.exact.load(frame["partial"], (channel * parts + part) * self.exact.lanes)
            put(kept, 0, self.both(kept[0], loaded))
        return kept[0]

    def store(self, frame, channel, total) -> None:
        """Reduce across lanes, by halves that are turned round, and finish: every lane has the result."""
        lanes = self.exact.lanes
        across, sums = registers(1, self.exact.type, "across"), registers(1, self.vector.type, "sums")
        put(across, 0, total)
        step = lanes // 2
        while step:
            turned = self.exact.shuffle(across[0], across[0], [(lane + step) % lanes for lane in range(lanes)])
            put(across, 0, self.both(across[0], turned))
            step //= 2
        result = across[0]
        if self.average:
            source = self.workload.inputs[0]
            result = result * self.exact.splat(1 / (source.height * source.width))
        parts = [self.loaded.convert(result, "float32")] * (self.vector.lanes // lanes)
        put(sums, 0, parts[0] if len(parts) == 1 else self.vector.gather(parts))
        rows = RowTiles(self.workload.output, self.vector, 1)
        finish(frame, self.workload, self.vector, rows, [(channel, True)], sums, 0, 0, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], 0, 0)


GLOBAL_POOL = Rule("global_pool", PlaneParts, space, make)
