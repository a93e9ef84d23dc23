"""Work-groups fill warps whatever the grid, and are long along the axis whose work-items read neighbours."""

import math

import pytest

from codegen.inspection.gathering import grid_size
from codegen.kernels.builder import IDLE, grid_statements, work_group_shape
from codegen.layer import ConvOptions, make_conv
from codegen.lowering.layer import random_operands, standalone_planes
from codegen.schedules import schedule
from devices.profile import load_profile

GRIDS = [(46, 3), (1, 64, 138), (3, 512, 46), (64, 2116), (36, 128, 6), (1, 1, 2), (5, 7), (1000,)]


def share_of_lanes(extents, shape, warp: int) -> float:
    """Work-items that there are over lanes that groups take."""
    groups = math.prod(-(-extent // size) for extent, size in zip(extents, shape, strict=True))
    return math.prod(extents) / (groups * -(-math.prod(shape) // warp) * warp)


@pytest.mark.parametrize("extents", GRIDS)
@pytest.mark.parametrize(("most", "warp"), [(64, 8), (64, 16), (128, 64)])
def test_no_shape_takes_many_fewer_lanes(extents, most, warp):
    shape = work_group_shape(extents, most, warp)
    assert math.prod(shape) <= most
    assert all(1 <= size <= extent for size, extent in zip(shape, extents, strict=True))
    others = [(a,) for a in range(1, most + 1)]
    for _ in extents[1:]:
        others = [(*front, a) for front in others for a in range(1, most + 1) if math.prod(front) * a <= most]
    best = max(
        share_of_lanes(extents, other, warp)
        for other in others
        if all(size <= extent for size, extent in zip(other, extents, strict=True))
    )
    assert share_of_lanes(extents, shape, warp) * (1 + IDLE) ** 2 >= best


def test_a_row_of_three_tiles_is_grouped_with_other_rows():
    assert share_of_lanes((46, 3), (1, 3), 64) == pytest.approx(3 / 64)
    assert share_of_lanes((46, 3), work_group_shape((46, 3), 128, 64), 64) > 0.7


def test_a_long_last_axis_is_kept_whole():
    assert work_group_shape((64, 2116), 64, 8) == (1, 64)


def test_groups_of_an_adreno_fill_waves_of_both_widths():
    profile = load_profile("adreno-730")
    layer = make_conv((64, 80), (46, 46), ConvOptions(kernel=1))
    workload = standalone_planes(layer, profile.lanes_of("float16"), dtype="float16")
    kernel = schedule(workload, random_operands(layer, 0)[1], profile)
    items, groups = grid_size(grid_statements(kernel.func)[0])
    assert items > profile.thread_warp_size
    assert groups * profile.widest_wave < 1.3 * 10 * 138  # ten blocks of filters, three tiles in each of 46 rows


def test_a_cpu_has_groups_of_one():
    assert {work_group_shape(extents, 1, 1) for extents in GRIDS if len(extents) == 2} == {(1, 1)}
