"""Logs of AutoTVM: both versions are the layers they say, agree with tables of the same rows, and keep failures."""

import gzip
import json
import logging

import pytest

from fleetpose.errors import UsageError
from latency.dataset.foreign.autotvm import read_autotvm
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.read import Dataset
from latency.dataset.tvm_kernels import FAILURES, parse_config
from tests.foreign_files import MALI, MALI_ENTITY, TEXTURE_ENTITY, new_line, old_line, texture_line

ADRENO_660 = MeasuredOn("Adreno 660")


def samples(path, configurations=False, of=ADRENO_660, where=()):
    return Dataset.read([path], where, configurations, of).samples()


def write(path, *lines):
    path.write_bytes(b"".join(lines))
    return path


def test_version_0_2_is_the_layer_it_says(tmp_path):
    (sample,) = samples(write(tmp_path / "t.log", texture_line()), configurations=True)
    assert sample.layer.macs == 64 * 128 * 9 * 28 * 28
    assert (sample.layer.in_shapes[0], sample.layer.out_shape, sample.layer.padding) == (
        (64, 28, 28), (128, 28, 28), (1, 1))  # fmt: skip
    assert (sample.ms, sample.dtype, sample.widened) == (pytest.approx(0.5), "float16", "")
    assert (sample.framework, sample.device, sample.gpu) == ("tvm", "adreno-660", "Adreno 660")
    assert (sample.config["filters"], sample.config["group_filters"]) == (2 * 4, 8)


def test_version_0_1_is_the_layer_it_says(tmp_path):
    line = old_line([1, 992, 7, 7], [128, 992, 1, 1], [[1, 1], [0, 0], [1, 1], "NCHW", "float32"], MALI_ENTITY,
                    [[0.0012345], 0, 1.78, 1538220265.3])  # fmt: skip
    (sample,) = samples(write(tmp_path / "t.log", line), of=MeasuredOn("Mali-T860 MP4"))
    assert sample.layer.macs == 992 * 128 * 49
    assert (sample.ms, sample.dtype, sample.device) == (pytest.approx(1.2345), "float32", "rk3399")


def test_oldest_logs_have_no_dilation(tmp_path):
    line = old_line([1, 3, 224, 224], [64, 3, 3, 3], [[2, 2], [1, 1], "NCHW", "float32"], MALI_ENTITY,
                    [[0.0035], 0, 0.63, 1534784665.5])  # fmt: skip
    (sample,) = samples(write(tmp_path / "t.log", line), of=MeasuredOn("Mali-T860 MP4"))
    assert sample.layer.out_shape == (64, 112, 112)
    assert sample.layer.macs == 3 * 64 * 9 * 112 * 112


@pytest.mark.parametrize(
    ("task", "data", "kernel", "settings", "macs", "groups"),
    [
        ("depthwise_conv2d_nchwc.image2d", [1, 960, 32, 32], [960, 1, 3, 3], [[1, 1], [2, 2, 2, 2], [2, 2], "float16"],
         960 * 9 * 32 * 32, 960),
        ("conv2d_nchwc.image2d", [1, 16, 28, 28, 4], [32, 64, 3, 3, 4], [[2, 2], [0, 0, 1, 1], [1, 1], "float16"],
         64 * 128 * 9 * 14 * 14, 1),
        ("depthwise_conv2d_nchwc.image2d", [1, 16, 28, 28, 4], [16, 1, 3, 3, 4], [[1, 1], [1, 1], [1, 1], "float16"],
         64 * 9 * 28 * 28, 64),
        ("conv2d_nhwc.image2d", [1, 65, 65, 320], [1, 1, 320, 256], [[1, 1], [0, 0, 0, 0], [1, 1], "float16"],
         320 * 256 * 65 * 65, 1),
        ("depthwise_conv2d_nhwc.image2d", [1, 28, 28, 32], [3, 3, 32, 1], [[1, 1], [1, 1, 1, 1], [1, 1], "float16"],
         32 * 9 * 28 * 28, 32),
        ("group_conv2d_nchw.mali", [1, 64, 28, 28], [128, 16, 3, 3], [[1, 1], [1, 1, 1, 1], [1, 1], 4, "float16"],
         128 * 16 * 9 * 28 * 28, 4),
        ("conv2d_nchw_winograd.image2d", [1, 64, 17, 30], [32, 64, 1, 7], [[1, 1], [0, 3, 0, 3], [1, 1], "float16"],
         64 * 32 * 7 * 17 * 30, 1),
        ("dense.mali", [1, 1024], [1000, 1024], [None, "float16"], 1024 * 1000, 1),
    ],
)  # fmt: skip
def test_templates(tmp_path, task, data, kernel, settings, macs, groups):
    line = new_line(data, kernel, settings, [], [[0.001], 0, 1.0, 1.0], task=task)
    (sample,) = samples(write(tmp_path / "t.log", line))
    assert (sample.layer.macs, sample.layer.groups) == (macs, groups)
    assert sample.kernel == ("winograd4" if "winograd" in task else "vector" if "dense" in task else sample.kernel)


@pytest.mark.parametrize(
    ("dtype", "out", "task", "expected"),
    [
        ("float16", "float16", "conv2d_nchwc.image2d", ("float16", "")),
        ("float16", "float32", "conv2d_nchwc.image2d", ("float16", "sums")),
        ("float16", "float16", "conv2d_nchwc_acc32.image2d", ("float16", "sums")),
        ("float32", "float32", "conv2d_nchwc_acc32.image2d", ("float32", "")),
    ],
)
def test_dtypes(tmp_path, dtype, out, task, expected):
    (sample,) = samples(write(tmp_path / "t.log", texture_line(dtype=dtype, out=out, task=task)))
    assert (sample.dtype, sample.widened) == expected


def test_log_and_table_of_the_same_rows_are_the_same_samples(tmp_path):
    """The rows are those of no published log; a table's padding, kind and configuration are written out by hand."""
    columns = ("framework,device,gpu,op,cin,cout,h_in,w_in,h_out,w_out,k,kh,kw,stride,padding,dilation,groups,macs,"
               "schedule,kind,layout,memory,dtype,config,ms,error,suspect")  # fmt: skip
    lines, rows = [], [columns]
    for number in range(10):
        channels, filters, stride, ms = 16 * (number + 1), 32, 1 + number % 2, 0.25 + number
        out = 28 // stride
        settings = [[stride, stride], [1, 1, 1, 1], [1, 1], "float16"]
        entity = [
            ["tile_fc", "sp", [-1, 1, 2 + number]],
            ["tile_x", "sp", [-1, 2, 7]],
            ["auto_unroll_max_step", "ot", 512],
        ]
        lines.append(
            new_line([1, channels, 28, 28], [filters, channels, 3, 3], settings, entity, [[ms / 1e3], 0, 1, 1])
        )
        config = f"tile_fc=1x{2 + number};tile_x=2x7;auto_unroll_max_step=512"
        macs = channels * filters * 9 * out * out
        rows.append(f"tvm,adreno-660,Adreno 660,conv,{channels},{filters},28,28,{out},{out},3,3,3,{stride},1:1:1:1,1,1,"
                    f"{macs},conv2d_nchwc.image2d,direct,NCHW,texture,fp16,{config},{ms},0,0")  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    write(tmp_path / "t.log", *lines)
    of_log, of_table = (samples(tmp_path / name, configurations=True) for name in ("t.log", "t.csv"))
    assert [sample.key for sample in of_log] == [sample.key for sample in of_table]
    assert [sample.schedule for sample in of_log] == [sample.schedule for sample in of_table]
    assert [sample.layer for sample in of_log] == [sample.layer for sample in of_table]
    assert [sample.ms for sample in of_log] == pytest.approx([sample.ms for sample in of_table])


def test_configuration_is_kept_as_tables_have_it():
    (measurement,) = read_autotvm(texture_line(), "t.log", ADRENO_660).measurements
    assert measurement.config == parse_config("tile_fc=2x8;tile_y=1x4;tile_x=7x2;tile_rcc=4;"
                                              "auto_unroll_max_step=512;unroll_explicit=0")  # fmt: skip
    assert measurement.columns["config"] == (
        "tile_fc=2x8;tile_y=1x4;tile_x=7x2;tile_rcc=4;auto_unroll_max_step=512;unroll_explicit=0",
    )
    line = old_line([1, 64, 7, 7], [128, 64, 1, 1], [[1, 1], [0, 0], "NCHW", "float32"], MALI_ENTITY, [[1e-3], 0, 1, 1])
    (measurement,) = read_autotvm(line, "t.log", ADRENO_660).measurements
    assert measurement.config["reorder_0"] == "0x1x2x3x4x5x6x9x7x8"
    assert (measurement.config["ann_reduce"], measurement.schedule) == ("nonexunroll", "topi_nn_conv2d:direct")


def test_fastest_counts_across_a_log_and_a_table(tmp_path):
    slower, faster = texture_line(ms=0.5), texture_line(ms=0.375, entity=[*TEXTURE_ENTITY, ["more", "ot", 1]])
    write(tmp_path / "a.log", slower)
    write(tmp_path / "b.log", faster)
    both = Dataset.read([tmp_path / "a.log", tmp_path / "b.log"], (), False, ADRENO_660).samples()
    assert [sample.ms for sample in both] == [pytest.approx(0.375)]


@pytest.mark.parametrize("number", range(1, 9))
def test_failures_are_named_and_are_no_times(tmp_path, caplog, number):
    failed = texture_line(filters=256, result=[[1e9], number, 0.02, 1.0])
    path = write(tmp_path / "t.log", texture_line(), failed)
    with caplog.at_level(logging.WARNING):
        assert [sample.layer.out_shape[0] for sample in samples(path)] == [128]
    assert f"1 of 2 measurements failed and have no time; they are left out (1: {FAILURES[number]})" in caplog.text


def test_log_of_failures_alone_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no row has a time"):
        samples(write(tmp_path / "t.log", texture_line(result=[[1e9], 4, 0.02, 1.0])))


def test_other_tasks_are_counted(tmp_path, caplog):
    lines = [
        texture_line(),
        new_line([1, 8, 9, 9], [8, 4, 3, 3], [[2, 2], [1, 1], "float16", [0, 0]], [], [[1e-3], 0, 1, 1],
                 task="conv2d_transpose_nchw.mali"),
        new_line([2, 8, 9, 9], [8, 8, 3, 3], [[1, 1], [1, 1], [1, 1], "float16"], [], [[1e-3], 0, 1, 1]),
        texture_line(target="llvm -mcpu=core-avx2"),
        texture_line(task="conv2d_NCHWc_KCRSk_tx_tune2"),
        texture_line(dtype="int8"),
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        assert len(samples(write(tmp_path / "t.log", *lines))) == 1
    for said in ("1: tasks of conv2d_transpose_nchw.mali", "1: batches of several pictures", "1: layers of int8",
                 "1: tasks of conv2d_NCHWc_KCRSk_tx_tune2, a template that is not TVM's own",
                 "1: kernels for other targets than OpenCL"):  # fmt: skip
        assert said in caplog.text


def test_gpu_has_to_be_named_and_where_knows_the_columns(tmp_path):
    path = write(tmp_path / "t.log", texture_line(), texture_line(filters=64, task="conv2d_nchw_winograd.image2d"))
    with pytest.raises(UsageError, match=r"t\.log is a log of AutoTVM, which does not say which GPU .*--gpu NAME"):
        samples(path, of=MeasuredOn())
    (sample,) = samples(path, where=["kind=winograd"])
    assert (sample.kernel, sample.layer.out_shape[0]) == ("winograd4", 64)
    with pytest.raises(UsageError, match="unknown column 'knid'; did you mean 'kind'"):
        samples(path, where=["knid=winograd"])
    (first, _) = samples(path, of=MeasuredOn("Adreno 660", "my phone"))
    assert first.device == "my phone"


def test_comments_a_torn_last_line_and_gzip(tmp_path, caplog):
    content = b"# tuned for a phone\n" + texture_line() + b"\n" + texture_line(filters=64)[:-40]
    with caplog.at_level(logging.WARNING):
        assert len(samples(write(tmp_path / "t.log", content))) == 1
    assert "its last line is torn and left out" in caplog.text
    assert samples(write(tmp_path / "t.log.gz", gzip.compress(content))) == samples(tmp_path / "t.log")
    with pytest.raises(UsageError, match="is it a whole gzip file"):
        samples(write(tmp_path / "u.log.gz", gzip.compress(content)[:-20]))


def test_pickles_are_refused(tmp_path):
    line = (
        b"opencl -device=mali\tgASVDAAAAAAAAACMBHRlc3SULg==\tgASVDAAAAAAAAACMBHRlc3SULg==\tgASVDAAAAAAAAACMBHRlcw==\n"
    )
    with pytest.raises(UsageError, match="a log of AutoTVM as pickles, which can run code and are not read"):
        samples(write(tmp_path / "t.log", line))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line["result"].__setitem__(0, [-1.0]), "line 1: a time of -1 s; a time is"),
        (lambda line: line["result"].__setitem__(0, ["fast"]), r"its times: \[0\] is 'fast', not a number"),
        (lambda line: line["result"].__setitem__(1, "0"), "the number of its error is '0', not a whole number"),
        (lambda line: line["config"].__setitem__("entity", [["tile_fc"]]), "a knob is .*not a list of 3"),
        (lambda line: line["input"][2][0].__setitem__(1, [1, 0, 28, 28]), "0 is no size of a convolution"),
        (lambda line: line["input"][2][0].__setitem__(1, [1, 64, 1, 1]), "line 1: "),
        (lambda line: line["input"][2].__setitem__(2, [0, 0]), "a stride of 0"),
        (lambda line: line["input"][2].__setitem__(3, [9**9] * 4), "is no size of a convolution"),
        (lambda line: line.pop("config"), "it has no 'config'"),
    ],
)
def test_damaged_lines_are_refused_in_one_line(tmp_path, change, message):
    line = json.loads(texture_line())
    change(line)
    if line.get("input") and line["input"][2][0][1] == [1, 64, 1, 1]:
        line["input"][2][3] = [0, 0, 0, 0]
    with pytest.raises(UsageError, match=message) as refusal:
        samples(write(tmp_path / "t.log", json.dumps(line).encode() + b"\n"))
    assert "\n" not in str(refusal.value)


def test_logs_of_the_auto_scheduler_are_refused(tmp_path):
    line = b'{"i": [["[\\"conv2d\\"]", "opencl"], [[], []]], "r": [[0.001], 0, 1.5, 1606960008], "v": "v0.6"}\n'
    with pytest.raises(UsageError, match=r"line 1: it is of TVM's auto_scheduler \(Ansor\), whose logs are not read"):
        samples(write(tmp_path / "t.json", line))


def test_spread_is_that_of_the_runs():
    (measurement,) = read_autotvm(
        texture_line(result=[[1e-3, 2e-3, 3e-3, 4e-3], 0, 1, 1]), "t", ADRENO_660
    ).measurements
    assert measurement.sample.ms == pytest.approx(2.5)
    assert measurement.sample.spread == pytest.approx(2.5 / 2.5)


def test_machine_that_the_target_names_is_the_device():
    settings = [[1, 1], [0, 0], [1, 1], "NCHW", "float32"]
    lines = b"".join(old_line([1, 64, 7, 7], [128, 64, 1, 1], settings, MALI_ENTITY, [[1e-3], 0, 1, 1], target=target)
                     for target in (MALI, MALI.replace("-model=rk3399", "-model=unknown")))  # fmt: skip
    measurements = read_autotvm(lines, "t.log", MeasuredOn("Mali-T860 MP4")).measurements
    assert [measurement.sample.device for measurement in measurements] == ["rk3399", "mali-t860-mp4"]
