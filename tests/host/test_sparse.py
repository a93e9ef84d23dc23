"""Sparse schedules on this machine's OpenCL against float64: fresh random inputs, weights and masks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Weights
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.schedules import candidates, default_choice
from codegen.schedules.columns import COLUMNS, ColumnTile
from codegen.schedules.pattern import PatternTile
from models.graph.reference import run_single
from models.plans.sparsity import Sparsity
from tests import sweep
from tests.host.kernel_cases import ADD, GATED, RELU, window
from tests.host.test_kernels import TOLERANCE, assert_borders_are_zero, check

LAYERS = {
    "1x1 19 to 57": window("conv", (19, 57), (9, 13), epilogue=(RELU,)),
    "1x1 185 to 38": window("conv", (185, 38), (6, 46), epilogue=(ADD, RELU)),
    "1x1 stride 2": window("conv", (16, 24), (11, 15), stride=(2, 2)),
    "3x3 145 to 88": window("conv", (145, 88), (5, 23), (3, 3), epilogue=(RELU,)),
    "3x3 stride 2": window("conv", (19, 32), (37, 41), (3, 3), stride=(2, 2), epilogue=(RELU, ADD)),
    "3x3 stride 3x1": window("conv", (6, 7), (20, 18), (3, 3), stride=(3, 1)),
    "3x3 dilation 2": window("conv", (38, 19), (12, 46), (3, 3), dilation=(2, 2)),
    "3x3 no padding": window("conv", (8, 8), (10, 20), (3, 3), padding=(0, 0), bias=False),
    "3x3 one pixel": window("conv", (5, 3), (1, 1), (3, 3)),
    "5x5": window("conv", (7, 9), (14, 29), (5, 5)),
    "7x7 stride 2": window("conv", (3, 13), (30, 34), (7, 7), stride=(2, 2)),
    "16x16 stride 16": window("conv", (3, 8), (64, 64), (16, 16), (16, 16), (0, 0)),
}
GROUPED = {
    "3x3 groups 2": window("conv", (14, 32), (9, 33), (3, 3), groups=2, epilogue=(RELU,)),
    "3x3 groups 5": window("conv", (15, 40), (11, 20), (3, 3), groups=5, epilogue=(ADD, RELU)),
    "3x3 groups 3 stride 2": window("conv", (21, 24), (17, 33), (3, 3), (2, 2), groups=3),
    "1x1 groups 4": window("conv", (36, 32), (6, 46), groups=4, epilogue=(RELU,), bias=False),
    "5x5 groups 2 dilated": window("conv", (6, 16), (12, 19), (5, 5), dilation=(2, 2), groups=2),
}
BLOCKS = ("columns:{}:4x1", "columns:{}:8x1", "block_punched:{}:8x4", "block_punched:{}:16x4", "connectivity:{}:8x8")


def columns(sparsity: Sparsity, number: int) -> ColumnTile:
    """Configurations far from the default, in turn."""
    filters, channels = sparsity.block
    return (
        ColumnTile(filters, 1, 2, band=3, channels=channels, unroll=3),
        ColumnTile(filters, 2, 1, tiles=3, order="channel", sorted=1),
        ColumnTile(2 * filters, 1, 1, band=1, tiles=2, channels=2, unroll=2),
        ColumnTile(3, 3, 3, channels=channels, order="channel", sorted=1),
    )[number % 4]


@pytest.mark.parametrize(("block", "zeros"), sweep.pairs(BLOCKS, [0, 0.3, 0.5, 0.75, 0.875, 0.999]))
def test_sparse_columns_are_right_for_blocks_and_zeros(host, block, zeros):
    layer = window("conv", (38, 57), (7, 33), (3, 3), epilogue=(ADD, RELU))
    sparsity = Sparsity.parse(block.format(zeros))
    workload = standalone_planes(layer, host.profile.lanes, sparsity=sparsity)
    choice = ScheduleChoice("columns", COLUMNS.space(workload, host.profile)[0])
    check(host, layer, border=(1, 1), sparsity=sparsity, choice=choice)


@pytest.mark.parametrize(("name", "number"), sweep.pairs(LAYERS, range(4)))
def test_sparse_columns_are_right_for_layers_and_configurations(host, name, number):
    sparsity = Sparsity.parse(BLOCKS[(number + len(name)) % len(BLOCKS)].format(0.7) + (":free" if number % 2 else ""))
    check(
        host,
        LAYERS[name],
        border=(2, 1),
        sparsity=sparsity,
        choice=ScheduleChoice("columns", columns(sparsity, number)),
    )


@pytest.mark.parametrize(
    ("name", "block"), sweep.pairs(GROUPED, [*BLOCKS[:2], "block_punched:{}:8x2", "connectivity:{}:4x1"])
)
def test_sparse_columns_are_right_for_groups(host, name, block):
    """Configurations of the space, and one that is not in it."""
    layer, text = GROUPED[name], block.format(0.6) + (":free" if "3" in name else "")
    sparsity = Sparsity.parse(text)
    assert sparsity.applies_to(layer) is None
    workload = standalone_planes(layer, host.profile.lanes, (2, 2), sparsity=sparsity)
    choices = [choice for choice in candidates(workload, host.profile) if choice.schedule == "columns"]
    assert choices[0] == default_choice(workload, host.profile)
    for choice in [*sweep.sample(choices), ScheduleChoice("columns", ColumnTile(2, 1, 2, channels=2, sorted=1))]:
        check(host, layer, (2, 2), choice=choice, sparsity=sparsity)


def test_columns_of_several_groups_lie_within_one(host):
    layer = GROUPED["3x3 groups 5"]  # 8 filters each
    with pytest.raises(ValueError, match="blocks of 3 filters do not divide"):
        check(
            host, layer, sparsity=Sparsity.parse("columns:0.5:4x1"), choice=ScheduleChoice("columns", ColumnTile(3, 1))
        )


@pytest.mark.parametrize("zeros", [0.5556, 0.7, 0.75, 0.875, 0.999])
def test_sparse_patterns_are_right_for_patterns_and_zeros(host, zeros):
    layer = window("conv", (38, 57), (7, 33), (3, 3), epilogue=(ADD, RELU))
    check(host, layer, border=(1, 1), sparsity=Sparsity("pattern", zeros, patterns=8))


@pytest.mark.parametrize(
    ("name", "tile"),
    sweep.pairs(
        [name for name, layer in LAYERS.items() if layer.kernel == (3, 3)],
        [PatternTile(2, 3), PatternTile(1, 8, band=1), PatternTile(3, 2, sorted=1)],
    ),
    ids=str,
)
def test_sparse_patterns_are_right_for_layers_and_configurations(host, name, tile):
    sparsity = Sparsity("pattern", 0.7, patterns=4, balanced=not tile.sorted)
    check(host, LAYERS[name], border=(2, 1), sparsity=sparsity, choice=ScheduleChoice("pattern", tile))


SPACES = {
    "columns:0.75:8x1": LAYERS["1x1 185 to 38"],
    "columns:0.75:4x1": LAYERS["3x3 dilation 2"],
    "block_punched:0.75:16x4:free": LAYERS["3x3 145 to 88"],
    "connectivity:0.5:5x3": LAYERS["3x3 stride 2"],
    "columns:0.5:8x1": LAYERS["1x1 stride 2"],
    "block_punched:0.75:6x3:free": LAYERS["3x3 stride 2"],
    "pattern:0.75:free": LAYERS["3x3 145 to 88"],
}


@sweep.part(3)
@pytest.mark.parametrize("text", SPACES)
@pytest.mark.parametrize("phone", [False, True], ids=["host", "phone"])
def test_sparse_columns_are_right_in_the_whole_space(host, text, phone):
    """The configurations that tuning would try."""
    profile = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5) if phone else host.profile
    layer, sparsity = SPACES[text], Sparsity.parse(text)
    workload = standalone_planes(layer, profile.lanes, (1, 1), sparsity=sparsity)
    choices = [each for each in candidates(workload, profile) if each.schedule in ("columns", "pattern")]
    assert 1 < len(choices) <= 16
    assert choices[0] == default_choice(workload, profile)
    for choice in sweep.sample(choices):
        check(host, layer, (1, 1), profile=profile, choice=choice, sparsity=sparsity)


def test_only_stride_2_is_split(host):
    sparsity = Sparsity.parse("columns:0.5:8x1")
    with pytest.raises(ValueError, match="columns are split at stride 2"):
        check(
            host, LAYERS["1x1 19 to 57"], sparsity=sparsity, choice=ScheduleChoice("columns", ColumnTile(8, 1, split=1))
        )


def check_weight(session, layer, weight: np.ndarray, choice: ScheduleChoice, sparsity: Sparsity) -> None:
    """As `check`, with a weight that need not follow the sparsity."""
    inputs, weights = random_operands(layer, np.random.SeedSequence().entropy)
    workload = standalone_planes(layer, session.profile.lanes, (1, 1), sparsity=sparsity)
    compiled = compile_layer(workload, Weights(weight, weights.bias), session.profile, choice=choice)
    flat = LoadedLayer(compiled, session).run(inputs)
    expected = run_single(layer, inputs, weight, weights.bias)
    error = np.abs(workload.output.unpack(flat) - expected).max() / np.abs(expected).max()
    assert error <= TOLERANCE, f"relative error {error}\n{layer}\n{choice}"
    assert_borders_are_zero(workload.output, flat, str(choice))


def choices_of(layer) -> list[tuple[ScheduleChoice, Sparsity]]:
    return [
        (ScheduleChoice("columns", ColumnTile(8, 1, 2, channels=4, sorted=1)), Sparsity("block_punched", 0.5, (8, 4))),
        (ScheduleChoice("columns", ColumnTile(8, 1, 2)), Sparsity("columns", 0.5, (8, 1))),
        (ScheduleChoice("pattern", PatternTile(2, 3, sorted=1)), Sparsity("pattern", 0.75, patterns=8)),
    ]


@pytest.mark.parametrize("number", range(3))
def test_sparse_columns_may_all_be_gone(host, number):
    layer = window("conv", (7, 19), (6, 20), (3, 3), epilogue=(ADD, RELU))
    check_weight(host, layer, np.zeros(layer.weight_shape, np.float32), *choices_of(layer)[number])


@pytest.mark.parametrize("number", range(3))
def test_sparse_columns_take_empty_groups_and_full_ones(host, number):
    layer = window("conv", (7, 43), (6, 20), (3, 3), epilogue=(RELU,))
    random = np.random.default_rng()
    weight = random.standard_normal(layer.weight_shape).astype(np.float32)
    weight[np.repeat(random.integers(0, 3, 6), 8)[:43] == 0] = 0
    weight[16:24] = random.standard_normal(weight[16:24].shape)
    weight[8:16] = 0
    check_weight(host, layer, weight, *choices_of(layer)[number])


def test_channels_that_are_not_kept_are_not_read(host):
    """A channel without weights may hold NaN, unless it shares an entry of the list with one that has weights."""
    layer = window("conv", (9, 8), (6, 20), (3, 3))
    sparsity = Sparsity("columns", 0.5, (8, 1))
    inputs, weights = random_operands(layer, np.random.SeedSequence().entropy)
    weights.weight[:, ::2] = 0
    inputs[0][::2] = np.nan
    workload = standalone_planes(layer, host.profile.lanes, (1, 1), sparsity=sparsity)
    compiled = compile_layer(workload, weights, host.profile)
    assert compiled.kernel.schedule == "columns"
    assert np.isfinite(workload.output.unpack(LoadedLayer(compiled, host).run(inputs))).all()


@settings(max_examples=sweep.examples(16), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_sparse_convolutions(host, data):
    def pair(name: str, low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)), name)

    def number(name: str, low: int, high: int) -> int:
        return data.draw(st.integers(low, high), name)

    pattern = data.draw(st.sampled_from(["columns", "block_punched", "connectivity", "pattern"]), "pattern")
    kernel = (3, 3) if pattern == "pattern" else pair("kernel", 1, 5)
    dilation, stride, padding, size = (
        pair("dilation", 1, 3),
        pair("stride", 1, 3),
        pair("padding", 0, 4),
        pair("size", 1, 50),
    )
    if not all(size[a] + 2 * padding[a] >= dilation[a] * (kernel[a] - 1) + 1 for a in (0, 1)):
        size = tuple(dilation[a] * (kernel[a] - 1) + 1 for a in (0, 1))
    layer = window("conv", pair("channels", 1, 40), size, kernel, stride, padding, dilation)
    balanced, zeros = data.draw(st.booleans(), "balanced"), data.draw(st.floats(0.56, 0.99), "zeros")
    if pattern == "pattern":
        sparsity = Sparsity(pattern, zeros, patterns=number("patterns", 1, 8), balanced=balanced)
        config = PatternTile(
            number("vectors", 1, 4), number("rows", 1, 9), number("band", 0, 9), number("sorted", 0, 1)
        )
    else:
        block = (number("block filters", 1, 17), 1 if pattern == "columns" else number("block channels", 1, 6))
        sparsity = Sparsity(pattern, zeros, block, balanced=balanced)
        config = ColumnTile(
            filters=number("filters", 1, 12),
            vectors=number("vectors", 1, 4),
            rows=number("rows", 1, 4),
            band=number("band", 0, 9),
            tiles=number("tiles", 1, 3),
            channels=number("channels per entry", 1, 6),
            order=data.draw(st.sampled_from(["channel", "position"]), "order"),
            unroll=number("unroll", 1, 4),
            sorted=number("sorted", 0, 1),
        )
    rule = "pattern" if pattern == "pattern" else "columns"
    check(host, layer, pair("border", 0, 2), sparsity=sparsity, choice=ScheduleChoice(rule, config))


@pytest.mark.parametrize("text", ["columns:0.5:8x1", "block_punched:0.5:8x4", "pattern:0.6", "connectivity:0.5:8x8"])
def test_sparse_schedules_read_broadcast_tensors(host, text):
    check(host, GATED["3x3"], border=(1, 1), sparsity=Sparsity.parse(text))
    leading = replace(GATED["3x3"], epilogue=(ADD, RELU), inputs=("x", "y"), in_shapes=((32, 9, 46), (19, 1, 1)))
    check(host, leading, border=(1, 1), sparsity=Sparsity.parse(text))
