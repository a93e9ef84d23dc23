"""Databases that TVM's MetaSchedule writes: convolutions of any kind are the layers that they were made of."""

import numpy as np
import pytest
import tvm
from tvm import te, topi
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.read import Dataset

GPU = MeasuredOn("Mali-G76 MP12")


def convolution(channels, filters, side, kernel, stride, padding, dilation=1, groups=1, dtype="float32"):
    """TVM's own convolution with a bias and a ReLU."""
    x = te.placeholder((1, channels, side, side), name="x", dtype=dtype)
    w = te.placeholder((filters, channels // groups, kernel, kernel), name="w", dtype=dtype)
    if groups == 1:
        y = topi.nn.conv2d(x, w, stride, padding, dilation, "NCHW", "OIHW", dtype)
    elif groups == channels == filters:
        y = topi.nn.depthwise_conv2d_nchw(x, w, stride, padding, dilation, dtype)
    else:
        y = topi.nn.group_conv2d_nchw(x, w, stride, padding, dilation, groups, dtype)
    bias = te.placeholder((1, filters, 1, 1), name="b", dtype=dtype)
    return te.create_prim_func([x, w, bias, topi.nn.relu(topi.add(y, bias))])


def channels_last(channels, filters, side, kernel):
    x = te.placeholder((1, side, side, channels), name="x")
    w = te.placeholder((kernel, kernel, channels, filters), name="w")
    return te.create_prim_func([x, w, topi.nn.conv2d(x, w, 1, kernel // 2, 1, "NHWC", "HWIO")])


def product():
    left, right = te.placeholder((32, 64), name="left"), te.placeholder((64, 16), name="right")
    return te.create_prim_func([left, right, topi.matmul(left, right)])


def write_database(folder, functions, secs=(0.001, 0.002)):
    database = ms.database.JSONDatabase(work_dir=str(folder))
    target = tvm.target.Target({"kind": "opencl", "device": "mali"})
    for function in functions:
        module = tvm.IRModule({"main": function})
        arguments = ms.arg_info.ArgInfo.from_entry_func(module, remove_preproc=False)
        trace, workload = Schedule(module).trace, database.commit_workload(module)
        for times in (list(secs), [1e10]):
            database.commit_tuning_record(ms.database.TuningRecord(trace, workload, times, target, arguments))
    return [folder / "database_tuning_record.json", folder / "database_workload.json"]


@pytest.mark.parametrize(
    "values",
    [
        (8, 16, 14, 3, 2, 1), (8, 16, 14, 1, 1, 0), (3, 16, 15, 7, 2, 3), (8, 16, 15, 3, 1, 2, 2),
        (8, 8, 14, 3, 1, 1, 1, 8), (8, 16, 15, 3, 1, 1, 1, 2), (8, 8, 15, 5, 2, 2, 1, 8, "float16"),
        (8, 16, 1, 1, 1, 0), (1, 16, 14, 3, 1, 1), (8, 1, 14, 3, 1, 1),
    ],
)  # fmt: skip
def test_convolution_is_the_layer_it_was_made_of(tmp_path, values):
    channels, filters, side, kernel, stride, padding, dilation, groups, dtype = (
        *values,
        *(1, 1, "float32")[len(values) - 6 :],
    )
    (sample,) = Dataset.read(write_database(tmp_path, [convolution(*values)]), (), False, GPU).samples()
    layer = sample.layer
    out = (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    assert (layer.in_shapes[0], layer.out_shape) == ((channels, side, side), (filters, out, out))
    assert (layer.kernel, layer.stride, layer.dilation) == ((kernel,) * 2, (stride,) * 2, (dilation,) * 2)
    assert layer.groups == groups
    assert layer.macs == filters * channels // groups * kernel**2 * out**2
    assert (sample.ms, sample.dtype) == (pytest.approx(np.mean([1.0, 2.0])), dtype)


def test_channels_last_is_read_and_a_product_is_not(tmp_path, caplog):
    paths = write_database(tmp_path, [channels_last(8, 16, 14, 3), product()])
    (sample,) = Dataset.read(paths, (), False, GPU).samples()
    assert sample.layer.macs == 8 * 16 * 9 * 14 * 14
    assert "2: records of workloads that are no convolution" in caplog.text
    assert "1 of 2 measurements failed" in caplog.text
