"""Kernels that read their operands by pointers, as GPUs want them, against float64 on this machine's OpenCL."""

import re
from dataclasses import replace

import pytest

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.vectors import pieces
from codegen.linking.link import opencl_source
from codegen.lowering.layer import compile_layer, random_operands, standalone_planes
from codegen.schedules.columns import ColumnTile
from codegen.schedules.direct import Tile
from codegen.schedules.pointwise import PointwiseTile
from codegen.schedules.winograd import WinogradTile
from devices.profile import load_profile
from models.plans.sparsity import Sparsity
from tests.host.kernel_cases import ADD, RELU, window
from tests.host.test_kernels import check

ODD = window("conv", (7, 13), (6, 21), (3, 3), epilogue=(RELU,))
#: what is special about each: filters that are no whole loads, rest turns, loops over kernel rows, lists of all kinds
CASES = {
    "5 filters": (ODD, ScheduleChoice("direct", Tile(5, 2)), None),
    "6 filters of groups": (
        window("conv", (6, 12), (5, 19), (3, 3), groups=2),
        ScheduleChoice("direct", Tile(6, 1)),
        None,
    ),
    "7 filters, stride 2": (
        window("conv", (3, 11), (13, 30), (3, 3), stride=(2, 2)),
        ScheduleChoice("direct", Tile(7, 1)),
        None,
    ),
    "stem": (window("conv", (3, 9), (15, 34), (7, 7), stride=(2, 2)), ScheduleChoice("direct", Tile(8, 2)), None),
    "stride 3": (window("conv", (4, 5), (10, 31), (3, 3), stride=(3, 3)), ScheduleChoice("direct", Tile(4, 2)), None),
    "1x1": (
        window("conv", (11, 19), (5, 23), epilogue=(ADD, RELU)),
        ScheduleChoice("pointwise", PointwiseTile(3, 2, unroll=4, late=1)),
        None,
    ),
    "1x1 tiles": (
        window("conv", (3, 8), (5, 23)),
        ScheduleChoice("pointwise", PointwiseTile(8, 1, tiles=3, unroll=4)),
        None,
    ),
    "columns": (ODD, ScheduleChoice("columns", ColumnTile(4, 1, 2, unroll=4)), "columns:0.5:4x1"),
    "uneven columns": (
        ODD,
        ScheduleChoice("columns", ColumnTile(4, 2, unroll=4, sorted=1)),
        "columns:0.5:4x1:free",
    ),
    "entries of 3 channels": (
        ODD,
        ScheduleChoice("columns", ColumnTile(3, 1, channels=3, unroll=2)),
        "block_punched:0.5:3x3",
    ),
    "columns, stride 2": (
        window("conv", (5, 8), (13, 30), (3, 3), stride=(2, 2)),
        ScheduleChoice("columns", ColumnTile(8, 1, 2, unroll=4)),
        "columns:0.5:8x1",
    ),
    "Winograd": (ODD, ScheduleChoice("winograd", WinogradTile(2, 5, 2)), None),
    "Winograd of 4 x 4": (
        window("conv", (5, 6), (11, 37), (3, 3), epilogue=(ADD, RELU)),
        ScheduleChoice("winograd", WinogradTile(4, 4, 2)),
        None,
    ),
    "Winograd of 4 x 4, narrow": (
        window("conv", (5, 6), (7, 9), (3, 3)),
        ScheduleChoice("winograd", WinogradTile(4, 4, 1)),
        None,
    ),
    "Winograd's rest": (
        window("conv", (3, 4), (6, 21), (3, 3)),
        ScheduleChoice("winograd", WinogradTile(2, 4, 1, 0)),
        None,
    ),
    "sparse Winograd": (
        ODD,
        ScheduleChoice("winograd_sparse", WinogradTile(4, 4, 2)),
        "connectivity:0.5:4x1",
    ),
    "uneven sparse Winograd": (
        ODD,
        ScheduleChoice("winograd_sparse", WinogradTile(2, 4, 1)),
        "connectivity:0.5:4x1:free",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_streaming_kernels_equal_float64(host, name):
    layer, choice, text = CASES[name]
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5)
    sparsity = Sparsity.parse(text) if text else None
    check(host, layer, (1, 1), profile=phone, choice=choice, sparsity=sparsity)


@pytest.mark.parametrize("widest", [2, 4, 8, 16])
def test_pieces_end_with_the_last_element(widest):
    for count in range(70):
        ends = [0]
        for start, lanes in pieces(count, widest):
            assert start == ends[-1]
            assert lanes <= widest
            ends.append(start + lanes)
        assert ends[-1] == count


@pytest.mark.parametrize("name", ["5 filters", "stem", "1x1", "columns", "sparse Winograd"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_no_weight_is_loaded_by_an_index(name, dtype):
    layer, choice, text = CASES[name]
    profile = load_profile("mali-g76")
    sparsity = Sparsity.parse(text) if text else None
    workload = standalone_planes(layer, profile.lanes_of(dtype), (1, 1), dtype, sparsity)
    weights = random_operands(layer, 0)[1].pruned(sparsity)
    source = opencl_source(compile_layer(workload, weights, profile, choice=choice).module)
    assert re.search(r"weight_at\d+ \+= ", source)
    assert not re.search(r"weight_ptr\[", source)
