"""Exponentials on this machine's OpenCL, and what is made of them, against float64 over all of fp32's exponents."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import tvm

from codegen.kernels.builder import emit, kernel, put, registers
from codegen.kernels.exponential import HIGHEST, LOWEST, exponential
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Weights
from codegen.linking.link import export_shared
from codegen.lowering.layer import LoadedLayer, compile_layer, standalone_planes
from codegen.lowering.target import make_target
from models.graph.layer import Layer, Step
from models.graph.steps import apply_step

ELEMENTS = 1 << 20


def exponentials(session, x: np.ndarray, folder) -> np.ndarray:
    """e to the power of a flat array by the session's profile."""
    profile = session.profile
    vector = Vector.on(profile, profile.lanes)
    arguments = {"in0": (x.size, "float32"), "out": (x.size, "float32")}
    with kernel(arguments, (x.size // vector.lanes,), profile) as frame:
        value = registers(1, vector.type, "value")
        put(value, 0, vector.load(frame["in0"], frame.axes[0] * vector.lanes))
        power = exponential(value[0], vector)
        emit(vector.store(power, frame["out"], frame.axes[0] * vector.lanes))
    function = frame.func.with_attr("global_symbol", "powers")
    export_shared(tvm.tirx.build(tvm.IRModule({"powers": function}), target=make_target(profile)), folder / "powers.so")
    source, target = (tvm.runtime.tensor(array, session.device) for array in (x, np.full_like(x, np.nan)))
    session.load(folder / "powers.so")["powers"](source, target)
    return target.numpy()


def test_exponential_is_right_to_three_units_over_its_range(host, tmp_path):
    assert host.profile.exponential == "polynomial"
    halves = (np.arange(-250, 252) + 0.5) * np.log(2)  # where the whole exponent changes
    near = np.concatenate([np.nextafter(halves.astype(np.float32), np.float32(side)) for side in (-1e9, 1e9)])
    rest = ELEMENTS - near.size
    x = np.concatenate([near, np.random.default_rng().uniform(-90, 90, rest)]).astype(np.float32)
    result, truth = exponentials(host, x, tmp_path), np.exp(np.clip(x, LOWEST, HIGHEST).astype(np.float64))
    assert np.abs(result / truth - 1).max() <= 3e-7


def test_exponential_of_extremes_is_finite_and_of_nan_is_nan(host, tmp_path):
    largest = np.finfo(np.float32).max
    x = np.resize(np.array([np.inf, largest, 1e4, -1e4, -largest, -np.inf, 0, -0.0, 1e-38, np.nan], np.float32), 160)
    result = exponentials(host, x, tmp_path)
    assert np.isnan(result[9::10]).all()
    assert np.isfinite(result[0::10]).all()
    np.testing.assert_array_equal(result[6:9], 1)
    np.testing.assert_allclose(result[:6], np.exp([HIGHEST] * 3 + [LOWEST] * 3), rtol=3e-7)


STEPS = [
    Step("sigmoid"),
    Step("silu"),
    Step("elu", (0.7,)),
    Step("mish"),
    Step("softplus"),
    Step("gelu_tanh"),
    Step("gelu"),
    Step("tanh"),
]


@pytest.mark.parametrize("way", ["builtin", "polynomial"])
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_steps_equal_torch_over_the_range(host, step, way):
    magnitudes = np.concatenate([np.linspace(0, 20, 3000), np.geomspace(1e-30, 1e4, 1000)])
    x = np.concatenate([magnitudes, -magnitudes]).astype(np.float32).reshape(8, 8, 125)
    layer = Layer("layer", "elementwise", ("x",), (x.shape,), x.shape, epilogue=(step,))
    workload = standalone_planes(layer, host.profile.lanes)
    profile = replace(host.profile, exponential=way)
    loaded = LoadedLayer(compile_layer(workload, Weights(), profile), host)
    truth = apply_step(step, torch.from_numpy(x.astype(np.float64))).numpy()
    error = np.abs(workload.output.unpack(loaded.run([x])) - truth)
    # polynomials are ours; how good a device's own functions are is the device's affair, within OpenCL's limits
    tolerance = 6e-7 if way == "polynomial" else 1.2e-6
    assert (error <= tolerance * np.maximum(np.abs(truth), 1)).all(), error.max()
