"""Tables of TVM's own kernels: the layer, the configuration, the fastest of each kind, and failures as failures."""

import logging

import pytest

from fleetpose.errors import UsageError
from latency.cost_model.work_counts import count
from latency.dataset.hardware import Hardware
from latency.dataset.read import Dataset
from latency.dataset.tvm_kernels import FAILURES, parse_config, split_numbers, tiling

ROW = {
    "framework": "tvm", "device": "adreno660", "gpu": "Adreno 660", "op": "conv", "cin": 64, "cout": 128, "h_in": 28,
    "w_in": 28, "h_out": 28, "w_out": 28, "k": 3, "kh": 3, "kw": 3, "stride": 1, "padding": "1:1:1:1", "dilation": 1,
    "groups": 1, "macs": 57802752, "schedule": "conv2d_nchwc.image2d", "kind": "direct", "layout": "NCHW",
    "memory": "texture", "dtype": "fp16", "config": "tile_fc=2x8;tile_y=1x4;tile_x=7x2;tile_rcc=4", "ms": 0.5,
    "error": 0, "suspect": 0,
}  # fmt: skip
COLUMNS = tuple(ROW)


def write(path, *changes):
    rows = [{**ROW, **change} for change in changes]
    lines = [",".join(COLUMNS)] + [",".join(str(row[name]) for name in COLUMNS) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def samples(path, configurations=False, **more):
    return Dataset.read([path], (), configurations).samples(**more)


def test_a_row_is_the_layer_it_says(tmp_path):
    (sample,) = samples(write(tmp_path / "t.csv", {}))
    assert sample.layer.macs == 57802752
    assert (sample.layer.padding, sample.layer.kernel, sample.layer.out_shape) == ((1, 1), (3, 3), (128, 28, 28))
    assert (sample.kernel, sample.dtype, sample.widened, sample.ms, sample.framework) == (
        "direct", "float16", "", 0.5, "tvm")  # fmt: skip


def test_maps_and_kernels_that_are_no_squares(tmp_path):
    change = {"k": "", "kh": 1, "kw": 7, "h_in": 17, "w_in": 30, "h_out": 17, "w_out": 30, "padding": "0:3:0:3"}
    (sample,) = samples(write(tmp_path / "t.csv", change))
    assert sample.layer.macs == 64 * 128 * 7 * 17 * 30
    assert sample.layer.padding == (0, 3)


@pytest.mark.parametrize(
    ("dtype", "element", "widened"),
    [("fp16", "float16", ""), ("fp16_acc32", "float16", "sums"), ("fp32", "float32", "")],
)
def test_dtypes(tmp_path, dtype, element, widened):
    (sample,) = samples(write(tmp_path / "t.csv", {"dtype": dtype}))
    assert (sample.dtype, sample.widened) == (element, widened)


def test_the_fastest_of_each_layer_and_class_counts_unless_configurations_do(tmp_path):
    other = {"config": "tile_fc=1x8;tile_y=1x4;tile_x=7x2;tile_rcc=4", "ms": 0.4}
    winograd = {"kind": "winograd", "schedule": "conv2d_nchw_winograd.image2d", "config": "tile_y=2x64;tile_x=5x1",
                "ms": 0.3}  # fmt: skip
    path = write(tmp_path / "t.csv", {}, other, winograd)
    assert sorted((one.kernel, one.ms, one.schedule) for one in samples(path)) == [
        ("direct", 0.4, ()), ("winograd4", 0.3, ())]  # fmt: skip
    assert [one.ms for one in samples(path, configurations=True)] == [0.5, 0.4, 0.3]


def test_failed_and_doubted_configurations_are_said_and_left_out(tmp_path, caplog):
    failed = {"config": "tile_fc=64x64", "ms": "", "error": 4}
    path = write(tmp_path / "t.csv", {}, failed, {"ms": 0.01, "suspect": 1}, {"ms": ""})
    with caplog.at_level(logging.WARNING):
        assert [one.ms for one in samples(path)] == [0.5]
    assert FAILURES[4] in caplog.text
    assert "2 of 4 configurations failed" in caplog.text
    assert "1 are marked as suspect" in caplog.text


def test_tiles_and_work_groups_are_those_of_the_configuration(tmp_path):
    (sample,) = samples(write(tmp_path / "t.csv", {}), configurations=True)
    work = count(sample, Hardware())
    assert (work.tile_filters, work.tile_pixels) == (8, 7)
    assert work.grid == (4, 28, 16)
    assert (work.work_groups.items, work.work_groups.count) == (8 * 4 * 2, 2 * 7 * 2)


@pytest.mark.parametrize(
    ("schedule", "config", "expected"),
    [
        ("conv2d_nchw_spatial_pack.mali", "tile_co=8x4;tile_oh=2x1;tile_ow=1x7",
         {"filters": 4, "group_filters": 8, "rows": 1, "group_rows": 2, "columns": 7, "group_columns": 1}),
        ("conv2d_NCHWc_KCRSk_tx_tune2", "tile_fc=2x8x2;tile_y=1x1x1;tile_x=1x27x3;tile_rcc=8",
         {"filters": 16, "group_filters": 8, "rows": 1, "group_rows": 1, "columns": 3, "group_columns": 27, "step": 8}),
        ("of.another.template", "knob=1", {}),
    ],
)  # fmt: skip
def test_what_the_knobs_of_templates_mean(schedule, config, expected):
    assert tiling(schedule, parse_config(config)) == expected


def test_texts_that_are_no_splits():
    assert [split_numbers(text) for text in ("", "unrollxnone", "1x2x", "9" * 7, "1x2")] == [(), (), (), (), (1, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "int8"}, "int8"),
        ({"config": "tile_fc"}, "NAME=VALUE"),
        ({"cin": 65, "groups": 2}, "do not divide"),
        ({"ms": "fast"}, "fast"),
        ({"h_in": -1}, "h_in"),
    ],
)
def test_what_is_no_kernel_is_refused_in_a_line(tmp_path, change, message):
    with pytest.raises(UsageError, match=message) as raised:
        samples(write(tmp_path / "t.csv", change))
    assert "\n" not in str(raised.value)
