"""Convolution of stride 2 in two grids: the columns are split into even and odd ones first, then every tap is a plain
shifted vector load, as at stride 1.

Taking every second element of two vectors costs as much as several multiply-adds; here it is done once per element of
the input instead of once per tap and filter block. What the first grid leaves, [phase][channel][row][column], is
scratch of the function's own; rows that no output reads are left out where the kernel is one row high.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, function
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import BAD_PITCH_BYTES, round_up
from codegen.schedules.direct import Tile
from codegen.schedules.order import TileOrder, band_in_cache
from codegen.schedules.products import Accumulators, FilterBlocks
from codegen.schedules.rule import Rule
from codegen.schedules.tile_choice import choose_filters_and_vectors, filling_tiles
from devices.profile import Profile

#: configurations worth timing besides the default tile's orders
MOST_TILES = 3
#: taken untuned for vectors up to this width
MOST_LANES = 8


@dataclass(frozen=True)
class Phases:
    """The even and odd columns of a stride-2 convolution's input.

    Column 2 j + p of the input is column j - first of phase p.

    Attributes:
        workload: the convolution.
    """

    workload: Workload

    def tap(self, kx: int) -> tuple[int, int]:
        """(phase, column) that kernel column kx needs for output column 0."""
        layer = self.workload.layer
        at = kx * layer.dilation[1] - layer.padding[1]
        return at % 2, at // 2

    @property
    def taps(self) -> list[tuple[int, int]]:
        return [self.tap(kx) for kx in range(self.workload.layer.kernel[1])]

    @property
    def read_phases(self) -> list[int]:
        """The phases that any tap reads."""
        return sorted({phase for phase, _ in self.taps})

    @property
    def first(self) -> int:
        """Column of the input's halves that a row begins with; its even column is within the left border, or one
        element before it, where the plane has its lead."""
        return min(column for _, column in self.taps)

    @property
    def row_step(self) -> int:
        """Rows of the input from one row here to the next."""
        return 2 if self.workload.layer.kernel[0] == 1 else 1

    @property
    def rows(self) -> int:
        layer = self.workload.layer
        extent = (layer.out_shape[1] - 1) * 2 + (layer.kernel[0] - 1) * layer.dilation[0] + 1
        return -(-extent // self.row_step)

    @property
    def pitch(self) -> int:
        """Elements of a row: all that the vectors of an output row reach."""
        output = self.workload.output
        reach = max(column for _, column in self.taps) - self.first
        return round_up(output.vectors * output.lanes + reach, output.lanes)

    @property
    def stride(self) -> int:
        """Elements of a channel."""
        output, stride = self.workload.output, self.rows * self.pitch
        return stride + output.lanes if stride * output.item_bytes % BAD_PITCH_BYTES == 0 else stride

    def index(self, phase: int, channel, row, column):
        """Flat index in the scratch; `column` counts from `first`."""
        channels = self.workload.inputs[0].channels
        return (self.read_phases.index(phase) * channels + channel) * self.stride + row * self.pitch + column

    def size(self, overrun: int) -> int:
        """Elements of all, with what the widest tile may read beyond the end."""
        return len(self.read_phases) * self.workload.inputs[0].channels * self.stride + overrun


def legal(workload: Workload) -> bool:
    """Convolutions of one group and stride 2 whose input has zeros as far as they reach."""
    layer = workload.layer
    if not layer.convolves or layer.groups != 1 or layer.stride != (2, 2):
        return False
    border = workload.inputs[0].border
    return all(wanted <= zeros for wanted, zeros in zip(layer.padding, border, strict=True))


def space(workload: Workload, profile: Profile) -> list[Tile]:
    """The tile of least estimated work in its three orders, of a wider kernel first the one that streams the input, as
    its taps share it; others that fill the registers. CPUs only: elsewhere two launches and the scratch have not been
    weighed."""
    if profile.gpu != "cpu" or not legal(workload):
        return []
    layer = workload.layer
    wide, height = choose_filters_and_vectors(workload, profile), workload.output.height
    band = band_in_cache(workload, profile)
    tiles = [Tile(*wide, order) for order in ((band, height, 0) if layer.kernel == (1, 1) else (height, band, 0))]
    tiles += [Tile(*shape, height) for shape in filling_tiles(workload, profile)[:MOST_TILES]]
    return list(dict.fromkeys(tiles))


def prefers(workload: Workload, profile: Profile) -> bool:
    """On narrow vectors, or where loads are dear: measured with AVX2, a 7x7 and a 1x1 layer were 1.4 times as fast as
    with splitting at every tap, a 3x3 one hardly; with an Intel's AVX-512 1.25, 1.66 and 1.14 times. On other
    processors of 16 lanes it was not timed."""
    return workload.output.lanes <= MOST_LANES or not profile.cheap_loads


def make(workload: Workload, weights: Weights, profile: Profile, tile: Tile) -> Kernel:
    blocks, phases = FilterBlocks.of(workload.layer, tile.filters), Phases(workload)
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, tile.vectors)
    order = TileOrder(blocks.count, rows, tile.band)
    with function(workload.arguments(**blocks.constants), profile) as frame:
        frame.scratch("phases", phases.size((tile.vectors + 1) * vector.lanes), workload.dtype)
        write_split(frame, workload, phases, vector)
        with frame.grid(order.extents):

            def load(channel, row, across, number, position):
                ky, kx = position
                phase, column = phases.tap(kx)
                at = rows.column(across, number) + (column - phases.first)
                line = row * (2 // phases.row_step) + ky * workload.layer.dilation[0]
                return vector.load(frame["phases"], phases.index(phase, channel, line, at))

            Accumulators(frame, workload, blocks, rows, vector, load).run(order)
    return Kernel(frame.func, blocks.pack(weights), frame.grids)


def write_split(frame, workload: Workload, phases: Phases, vector: Vector) -> None:
    """The first grid: one row of one channel per work-item."""
    source, layer = workload.inputs[0], workload.layer
    with frame.grid((source.channels, phases.rows)) as (channel, line):
        row = line * phases.row_step - layer.padding[0]
        with T.serial(0, phases.pitch // vector.lanes) as number:
            column = number * (2 * vector.lanes) + 2 * phases.first
            # the last vectors may reach beyond the buffer's last row; what lies there is never used
            at = T.min(source.index(channel, row, column), source.size - 2 * vector.lanes)
            low, high = (vector.load(frame["in0"], at + part * vector.lanes) for part in (0, 1))
            for phase in phases.read_phases:
                target = phases.index(phase, channel, line, number * vector.lanes)
                emit(vector.store(vector.deinterleave(low, high, phase), frame["phases"], target))


PHASES = Rule("phases", Tile, space, make, prefers, widens=True)
