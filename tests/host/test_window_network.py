"""A small network of grey pictures, with everything that slides windows, built, loaded and compared with PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn

from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.verifying.verify import verify
from models.preprocess import Preprocessing
from models.zoo.registry import model_names, register_model
from models.zoo.spec import ModelSpec

NAME = "windows_of_the_tests"


class Windows(nn.Module):
    """A pyramid of pools of several sizes, transposed convolutions up, pads and resizes between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 2, 1, padding_mode="reflect")
        self.up = nn.ConvTranspose2d(8, 6, 4, 2, 1)
        self.grouped = nn.ConvTranspose2d(8, 6, 3, 2, 1, 1, groups=2)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        low = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2, ceil_mode=True)
        pyramid = F.interpolate(F.adaptive_avg_pool2d(low, (3, 2)), size=low.shape[2:], mode="bicubic")
        up = F.interpolate(self.up(low + pyramid), size=x.shape[2:], mode="nearest-exact")
        other = F.interpolate(self.grouped(low), size=x.shape[2:], mode="bilinear", antialias=True)
        return self.out(F.pad(torch.relu(up + other), (0, 0, 0, 0, 1, 1), value=0.5)), F.avg_pool2d(x, 3, 2, 1, True)


def test_network_of_windows_equals_float64_pytorch(host, tmp_path):
    if NAME not in model_names():
        grey = Preprocessing((128.0,), 1 / 128, "GREY")
        register_model(ModelSpec(NAME, Windows, grey, (36, 52), ("maps", "pooled"), stride=2, channels=1))
    path = tmp_path / "windows.so"
    build(trace_network(NAME, sizes=[(36, 52)]), BuildTarget.of(host, linker="lld")).write(path)
    answer = verify(Artifact(path, host), None)
    assert answer["ok"]
    assert answer["max_abs_error"] < 1e-4
