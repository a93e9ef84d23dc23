"""Networks in .onnx files: converted with their weights, names and sizes, and compared with ONNX's own evaluator."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.resolve import create_model, model_spec

onnx = pytest.importorskip("onnx")
needs_onnx2torch = pytest.mark.skipif(find_spec("onnx2torch") is None, reason="onnx2torch is not installed")
pytest.importorskip("onnx.reference")


def write_network(path, sides=(32, 48), metadata=None):
    """A convolution, batch norm, ReLU, pool, transposed convolution, resize, concatenation; a map, a vector, tokens."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)

    def constant(name, *shape, low=-0.3, high=0.3):
        return numpy_helper.from_array(random.uniform(low, high, shape).astype(np.float32), name)

    weights = [
        constant("w1", 8, 3, 3, 3),
        constant("b1", 8),
        *(constant(name, 8) for name in ("scale", "shift", "mean")),
        constant("variance", 8, low=0.5, high=1.5),
        constant("w2", 8, 6, 4, 4),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
        numpy_helper.from_array(np.array([0, -1], np.int64), "flat"),
        numpy_helper.from_array(np.array([0, 1], np.int64), "first"),
        numpy_helper.from_array(np.array([-1], np.int64), "rest"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], "/stem/conv/Conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"], "/stem/norm/Norm"),
        helper.make_node("Relu", ["n"], ["r"], "/stem/Relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "/pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["p", "w2"], ["t"], "/up/ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["p", "", "scales"], ["u"], "/up/Resize", mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
        helper.make_node("Concat", ["t", "u"], ["joined"], "/Concat", axis=1),
        helper.make_node("Sigmoid", ["joined"], ["heatmaps"], "/Sigmoid"),
        helper.make_node("GlobalAveragePool", ["p"], ["g"], "/Pool"),
        helper.make_node("Reshape", ["g", "flat"], ["vector"], "/Reshape"),
        helper.make_node("Shape", ["p"], ["sides"], "/Shape"),
        helper.make_node("Gather", ["sides", "first"], ["leading"], "/Gather"),
        helper.make_node("Concat", ["leading", "rest"], ["shape"], "/Shape_1", axis=0),
        helper.make_node("Reshape", ["p", "shape"], ["tokens"], "/Reshape_1"),
    ]  # fmt: skip
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *sides])]
    outputs = [
        helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, [1, 14, None, None]),
        helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 8]),
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [1, 8, None]),
    ]
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    if metadata:
        helper.set_model_props(model, {"fleetpose": json.dumps(metadata)})
    onnx.save(model, path)
    return str(path)


@needs_onnx2torch
def test_onnx_network_is_traced_with_its_weights_and_names(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    spec = model_spec(path)
    assert (spec.size, spec.fixed_size, spec.outputs, spec.stride) == (
        (32, 48),
        True,
        ("heatmaps", "vector", "tokens"),
        2,
    )
    graph = trace(create_model(path), (3, 32, 48), dtype=np.float64)
    assert [layer.name for layer in graph.layers if layer.op == "conv"] == ["stem.conv.Conv", "up.ConvTranspose"]
    x = np.random.default_rng(1).normal(size=(1, 3, 32, 48)).astype(np.float32)
    expected = onnx.reference.ReferenceEvaluator(path).run(None, {"x": x})
    for ours, theirs in zip(graph.answer.restore(run_graph(graph, x)).values(), expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@needs_onnx2torch
def test_onnx_network_of_free_size_reads_its_description(tmp_path):
    said = {"size": [24, 40], "stride": 4, "preprocessing": {"mean": [0, 0, 0], "scale": 1.0, "channels": "RGB"}}
    spec = model_spec(write_network(tmp_path / "net.onnx", ("H", "W"), said))
    assert (spec.size, spec.fixed_size, spec.stride, spec.preprocessing.channels) == ((24, 40), False, 4, "RGB")


def test_onnx_files_are_refused_in_words(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"cannot read .*nothing.onnx: No such file"):
        model_spec(str(tmp_path / "nothing.onnx"))
    path = tmp_path / "net.onnx"
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    path.write_bytes(b"no protobuf")
    with pytest.raises(UsageError, match=r"which is missing .*: pip install 'fleetpose\[onnx\]'"):
        model_spec(str(path))
    monkeypatch.undo()
    if find_spec("onnx2torch") is None:
        return
    with pytest.raises(UsageError, match="is not a file that onnx2torch can read"):
        model_spec(str(path))
    with pytest.raises(UsageError, match="says another size than the 32x48"):
        model_spec(write_network(path, metadata={"size": [64, 64]}))
