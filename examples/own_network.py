"""A residual network of your own: its layers listed, built for this machine's OpenCL, run, checked against PyTorch.

    python examples/own_network.py

Commands take it by the same name. In this folder:  python -m codegen.build --model own_network:net --device host ...
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from devices import open_device
from models.layers import layers
from models.resolve import create_model


class Residual(nn.Module):
    """torchvision's BasicBlock: two 3x3 convolutions, and what went in added to what comes out."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.skip(x))


def net() -> nn.Module:
    """What --model own_network:net calls: weights and all; eval mode and random states are not its business."""
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(stem, Residual(16, 16), Residual(16, 32, 2), nn.Conv2d(32, 18, 1))


# What the network does not say itself; docs/extending.md has the fields and their defaults.
net.fleetpose = {  # type: ignore[attr-defined]
    "size": [96, 96],
    "outputs": ["heatmaps"],
    "preprocessing": {"mean": [128, 128, 128], "scale": 1 / 128, "channels": "RGB"},
}

if __name__ == "__main__":
    for row in layers("own_network:net"):
        print(f"{row.name:12} {row.op:5} {row.in_shape} -> {row.out_shape}  {', '.join(row.epilogue)}")
    path = Path("build/example/own.so")
    tensor = np.random.default_rng(0).uniform(-1, 1, (1, 3, 96, 96)).astype(np.float32)
    with open_device("host") as device:
        build(trace_network("own_network:net", sizes=[(96, 96)]), BuildTarget.of(device)).write(path, force=True)
        found = Artifact(path, device).run(tensor)["heatmaps"]
    expected = create_model("own_network:net")(torch.from_numpy(tensor)).detach().numpy()
    error = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"largest difference from PyTorch: {error:.1e} of the largest")
