"""Copies between host, device buffers and images; allocation failures."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from handwritten import HANDLE, INT32, load, missing
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "float64", "bool")


@pytest.fixture(scope="module")
def device():
    return tvm.opencl(0)


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


@settings(deadline=None, max_examples=60)
@given(shape=st.lists(st.integers(0, 17), min_size=0, max_size=4), dtype=st.sampled_from(DTYPES))
def test_copies_there_and_back_are_equal(shape, dtype):
    device = tvm.opencl(0)
    host = numbers(tuple(shape), dtype)
    there = tvm.runtime.tensor(host, device)
    again = tvm.runtime.empty(host.shape, dtype, device)
    again.copyfrom(there)
    np.testing.assert_array_equal(there.numpy(), host)
    np.testing.assert_array_equal(again.numpy(), host)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_copies_of_views_at_offsets_are_equal(data):
    device = tvm.opencl(0)
    total = data.draw(st.integers(1, 4000), label="elements")
    start = data.draw(st.integers(0, total - 1), label="start")
    count = data.draw(st.integers(1, total - start), label="count")
    host = np.arange(total, dtype="float32")
    whole = tvm.runtime.tensor(host, device)
    view = whole._create_view((count,), "float32", start * 4)
    np.testing.assert_array_equal(view.numpy(), host[start : start + count])
    view.copyfrom(-host[start : start + count])  # host to device at an offset
    expected = host.copy()
    expected[start : start + count] *= -1
    np.testing.assert_array_equal(whole.numpy(), expected)
    other = tvm.runtime.tensor(np.zeros(total, "float32"), device)
    other._create_view((count,), "float32", (total - count) * 4).copyfrom(view)  # device to device, two offsets
    np.testing.assert_array_equal(other.numpy()[total - count :], -host[start : start + count])
    assert not other.numpy()[: total - count].any()


@pytest.mark.parametrize(
    ("scope", "shape", "dtype"),
    [
        ("global.texture", (5, 7, 4), "float32"),
        ("global.texture", (3, 5, 7, 4), "float32"),
        ("global.texture-nhwc", (5, 7, 4), "float32"),
        ("global.texture-nhwc", (2, 3, 5, 7, 4), "float32"),
        ("global.texture-weight", (19, 3, 3, 4), "float32"),
        ("global.texture", (1, 1, 4), "float32"),
        ("global.texture", (33, 65, 4), "int32"),
        ("global.texture", (33, 65, 4), "uint8"),
        ("global.texture", (9, 11, 4), "float16"),
    ],
)
def test_image2d_there_and_back(device, scope, shape, dtype):
    host = numbers(shape, dtype)
    image = tvm.runtime.empty(shape, dtype, device, mem_scope=scope)
    image.copyfrom(host)
    np.testing.assert_array_equal(image.numpy(), host)

    buffer = tvm.runtime.empty(shape, dtype, device)
    buffer.copyfrom(image)
    np.testing.assert_array_equal(buffer.numpy(), host)
    another = tvm.runtime.empty(shape, dtype, device, mem_scope=scope)
    buffer.copyfrom(host[::-1].copy())
    another.copyfrom(buffer)
    np.testing.assert_array_equal(another.numpy(), host[::-1])
    image.copyfrom(another)
    np.testing.assert_array_equal(image.numpy(), host[::-1])


def test_kernel_reads_and_writes_images(device):
    code = """// Function: flip
    __constant sampler_t nearest = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP | CLK_FILTER_NEAREST;
    __kernel void flip(__read_only image2d_array_t from, __write_only image2d_array_t to, __global float* sums,
                       int width) {
        int x = get_global_id(0), y = get_global_id(1);
        float4 texel = read_imagef(from, nearest, (int4)(width - 1 - x, y, 0, 0));
        write_imagef(to, (int4)(x, y, 0, 0), 2 * texel);
        sums[y * width + x] = texel.x + texel.y + texel.z + texel.w;
    }
    """
    flip = load(code, ("flip", [HANDLE, HANDLE, HANDLE, INT32], ["blockIdx.x", "blockIdx.y"]))["flip"]
    host = np.random.default_rng(1).random((6, 11, 4), dtype="float32")
    source = tvm.runtime.empty(host.shape, "float32", device, mem_scope="global.texture").copyfrom(host)
    target = tvm.runtime.empty(host.shape, "float32", device, mem_scope="global.texture")
    sums = tvm.runtime.empty((6, 11), "float32", device)
    flip(source, target, sums, 11, 11, 6)
    np.testing.assert_array_equal(target.numpy(), 2 * host[:, ::-1])
    np.testing.assert_allclose(sums.numpy(), host[:, ::-1].sum(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "dtype", "scope", "message"),
    [
        ((5, 7, 3), "float32", "global.texture", "4 channels, not 3"),
        ((5, 7, 4), "float64", "global.texture", "channel type"),
        ((4,), "float32", "global.texture", "1 axes does not fit"),
        ((5, 7, 4), "float32", "global.vtcm", 'memory scope "global.vtcm"'),
        ((1 << 20, 1, 4), "float32", "global.texture", "does not fit"),
        ((1 << 42,), "float32", None, "CL_INVALID_BUFFER_SIZE|CL_MEM_OBJECT_ALLOCATION_FAILURE"),
    ],
)
def test_allocations_that_cannot_be_are_refused(device, shape, dtype, scope, message):
    with pytest.raises(RuntimeError, match=message):
        tvm.runtime.empty(shape, dtype, device, mem_scope=scope)


def test_copies_to_a_device_that_is_not_there_are_refused():
    assert not tvm.opencl(99).exist
    with pytest.raises(RuntimeError, match=r"no device opencl\(99\)"):
        tvm.runtime.empty((1,), "float32", tvm.opencl(99))


def test_device_attributes_are_those_of_opencl(device):
    assert device.max_threads_per_block > 0
    assert device.max_shared_memory_per_block > 0
    assert len(device.max_thread_dimensions) >= 3
    assert device.total_global_memory > 0
    assert device.device_name
    assert device.driver_version
    assert device.api_version >= 100
    assert device.warp_size == 1
