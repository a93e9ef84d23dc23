"""Which tiles CPUs begin with: where loads are as dear as multiply-adds, those that make most of each load."""

import pytest

from codegen.lowering.layer import standalone_planes
from codegen.schedules import default_choice
from devices.profile import load_profile
from tests.host.kernel_cases import ADD, RELU, window


@pytest.mark.parametrize(("profile", "channels", "tile"), [
    ("host", (512, 512), "pointwise F16V1 f x3 u2"),
    ("host-intel", (512, 512), "pointwise F8V3 f x1 u2 copy"),
    ("host-intel", (128, 40), "pointwise F8V3 f x1 u2"),
    ("host-avx2", (512, 512), "pointwise F6V2 f x1 u2 copy"),
])  # fmt: skip
def test_pointwise_tiles_follow_from_the_price_of_loads(profile, channels, tile):
    known = load_profile(profile)
    workload = standalone_planes(window("conv", channels, (46, 46)), known.lanes)
    assert str(default_choice(workload, known)) == tile


@pytest.mark.parametrize("profile", ["host", "host-intel", "host-avx2"])
def test_residuals_are_added_in_bands(profile):
    known = load_profile(profile)
    workload = standalone_planes(window("conv", (64, 256), (92, 92), epilogue=(ADD, RELU)), known.lanes)
    tile = default_choice(workload, known).config
    assert tile.band > 0
    assert (tile.late, tile.copy) == (1, 0)


@pytest.mark.parametrize(
    ("profile", "schedule"), [("host", "direct"), ("host-intel", "phases"), ("host-avx2", "phases")]
)
def test_columns_are_split_once_where_loads_are_dear(profile, schedule):
    known = load_profile(profile)
    workload = standalone_planes(window("conv", (3, 64), (46, 46), (7, 7), stride=(2, 2)), known.lanes)
    assert default_choice(workload, known).schedule == schedule
