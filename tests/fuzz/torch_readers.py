"""Readers of networks and weights: whole samples, how they are changed, and the reading. Imports torch."""

from __future__ import annotations

import io
import json
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.export import Dim

from models.frontend.trace import trace
from models.replace.files import read_plan
from models.resolve import create_model, model_spec
from models.train.running.checkpoint import load_checkpoint, save_checkpoint
from models.zoo.weights import load_weights
from tests.fuzz.mutations import mutate_archive, mutate_bytes, mutate_json, mutate_safetensors
from tests.fuzz.pickle_mutations import mutate_saved
from tests.fuzz.running import Reader

IDENTITY = {"seed": 0, "model": "net"}


class Net(nn.Module):
    """Convolutions, a norm, a pool, a constant and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 5, 1)
        self.register_buffer("factor", torch.full((4, 1, 1), 0.5))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.stem(x)
        x = torch.cat([nn.functional.max_pool2d(x, 3, 1, 1), x], 1)[:, :4] * self.factor
        return {"maps": self.head(x), "sums": x.mean((2, 3))}


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def saved(content: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **how)
    return stream.getvalue()


def checkpoint_samples() -> list[bytes]:
    state = net().state_dict()
    return [
        saved(state),
        saved({"model_state_dict": state, "epoch": 3, "args": {"lr": 0.1}}),
        saved({"state_dict": {f"module.{name}": tensor.half() for name, tensor in state.items()}}),
        saved(state, _use_new_zipfile_serialization=False),
    ]


def safetensors_samples() -> list[bytes]:
    return [save(net().state_dict(), {"identity": "a"})]


def training_samples() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.checkpoint")
        state = {"step": 3, "network": net().state_dict(), "rng": torch.get_rng_state(), "log": [[1, 0.5]]}
        save_checkpoint(path, IDENTITY, state)
        return [path.read_bytes()]


@cache
def program_samples() -> list[bytes]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for dynamic in (None, {"x": {2: 2 * Dim("h", min=8, max=64), 3: 2 * Dim("w", min=8, max=64)}}):
            path = Path(folder, "net.pt2")
            program = torch.export.export(net(), (torch.zeros(1, 3, 32, 48),), dynamic_shapes=dynamic)
            torch.export.save(
                program, path, extra_files={"fleetpose.json": json.dumps({"size": [32, 48], "stride": 2})}
            )
            found.append(path.read_bytes())
    return found


def read_program_file(path: Path) -> object:
    """As a command does: what the network is, the network, and of every fourth its graph."""
    spec, network = model_spec(str(path)), create_model(str(path))
    return trace(network, spec.input_shape(), "net") if path.stat().st_size % 4 == 0 else network


@cache
def onnx_samples() -> list[bytes]:
    """Two convolutions with a ReLU between them, and what fleetpose is told of the network."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {"a": net().stem[0].weight, "b": net().head.weight}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["p"], ["q"]),
        helper.make_node("Conv", ["q", "b"], ["maps"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 48])]
    outputs = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 5, 16, 24])]
    stored = [numpy_helper.from_array(tensor.detach().numpy(), name) for name, tensor in weights.items()]
    model = helper.make_model(helper.make_graph(nodes, "net", inputs, outputs, stored))
    model.opset_import[0].version = 17
    entry = model.metadata_props.add()
    entry.key, entry.value = "fleetpose", json.dumps({"stride": 2})
    return [model.SerializeToString()]


def replaced_samples() -> list[bytes]:
    replacements = [
        {"kind": "activation", "path": "model.1", "before": "ELU", "after": "relu", "function": False},
        {
            "kind": "kernel",
            "path": "a",
            "before": "7x7",
            "after": "3 3x3",
            "links": 3,
            "activation": "relu",
            "norm": "b",
        },
    ]
    return [json.dumps({"format": "fleetpose.replaced/1", "model": "lwop", "weights": {"file": "r.safetensors"},
                        "replacements": replacements}).encode()]  # fmt: skip


TORCH_READERS = {
    "checkpoint": Reader(".pth", checkpoint_samples, mutate_archive, lambda path: load_weights(net(), path)),
    "safetensors": Reader(
        ".safetensors", safetensors_samples, mutate_safetensors, lambda path: load_weights(net(), path)
    ),
    "training": Reader(".checkpoint", training_samples, mutate_archive, lambda path: load_checkpoint(path, IDENTITY)),
    "exported program": Reader(".pt2", program_samples, mutate_archive, read_program_file),
    "checkpoint's pickle": Reader(".pth", checkpoint_samples, mutate_saved, lambda path: load_weights(net(), path)),
    "training's pickle": Reader(
        ".checkpoint", training_samples, mutate_saved, lambda path: load_checkpoint(path, IDENTITY)
    ),
    "program's pickle": Reader(".pt2", program_samples, mutate_saved, read_program_file),
    "replaced": Reader(".json", replaced_samples, mutate_json, read_plan),
}
if find_spec("onnx") and find_spec("onnx2torch"):
    TORCH_READERS["ONNX"] = Reader(".onnx", onnx_samples, mutate_bytes, read_program_file)
