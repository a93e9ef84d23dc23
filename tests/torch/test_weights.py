"""Weights by path: round trips, the published checkpoint's layout, and every way a file can be wrong."""

from __future__ import annotations

import pytest
import torch
from random_weights import shake_batch_norms
from safetensors.torch import save_file
from torch import nn

from fleetpose.errors import UsageError
from models.resolve import create_model
from models.zoo.weights import load_weights, save_weights


def conv(inputs, outputs, kernel=3, padding=1, bn=True, dilation=1, stride=1, relu=True, bias=True, groups=1):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)]
    return nn.Sequential(*layers, *[nn.BatchNorm2d(outputs)] * bn, *[nn.ReLU()] * relu)


def separable(inputs, outputs, stride=1, dilation=1, bn=True):
    act = nn.ReLU if bn else nn.ELU
    first = [nn.Conv2d(inputs, inputs, 3, stride, dilation, dilation, inputs, bias=False)]
    second = [nn.Conv2d(inputs, outputs, 1, bias=False)]
    norms = [[nn.BatchNorm2d(inputs)], [nn.BatchNorm2d(outputs)]] if bn else [[], []]
    return nn.Sequential(*first, *norms[0], act(), *second, *norms[1], act())


class PublishedBlock(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.initial = conv(inputs, 128, 1, 0, bn=False)
        self.trunk = nn.Sequential(conv(128, 128), conv(128, 128, dilation=2, padding=2))

    def forward(self, x):
        x = self.initial(x)
        return x + self.trunk(x)


class Published(nn.Module):
    """A stand-in with the names and arithmetic of the published network, biases before batch norm included."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            conv(3, 32, stride=2, bias=False),
            *(separable(*one) for one in [(32, 64), (64, 128, 2), (128, 128), (128, 256, 2), (256, 256), (256, 512)]),
            separable(512, 512, dilation=2),
            *(separable(512, 512) for _ in range(4)),
        )
        self.cpm = nn.Module()
        self.cpm.align = conv(512, 128, 1, 0, bn=False)
        self.cpm.trunk = nn.Sequential(*(separable(128, 128, bn=False) for _ in range(3)))
        self.cpm.conv = conv(128, 128, bn=False)
        self.initial_stage = self.stage([conv(128, 128, bn=False) for _ in range(3)], 512)
        blocks = [PublishedBlock(185), *(PublishedBlock(128) for _ in range(4))]
        self.refinement_stages = nn.ModuleList([self.stage(blocks, 128)])

    @staticmethod
    def stage(trunk, width):
        made = nn.Module()
        made.trunk = nn.Sequential(*trunk)
        for name, outputs in (("heatmaps", 19), ("pafs", 38)):
            head = [conv(128, width, 1, 0, bn=False), conv(width, outputs, 1, 0, bn=False, relu=False)]
            setattr(made, name, nn.Sequential(*head))
        return made

    def forward(self, x):
        x = self.cpm.align(self.model(x))
        features = self.cpm.conv(x + self.cpm.trunk(x))
        inner = self.initial_stage.trunk(features)
        heatmaps, pafs = self.initial_stage.heatmaps(inner), self.initial_stage.pafs(inner)
        stage = self.refinement_stages[0]
        inner = stage.trunk(torch.cat([features, heatmaps, pafs], 1))
        return stage.heatmaps(inner), stage.pafs(inner)


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(0)
    return shake_batch_norms(Published())


@pytest.mark.parametrize("wrap", ["state_dict", "bare", "data_parallel"])
def test_load_weights_takes_the_published_checkpoint(published, tmp_path, wrap):
    state = published.state_dict()
    if wrap == "data_parallel":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    path = tmp_path / "checkpoint_iter_370000.pth"
    torch.save(state if wrap == "bare" else {"state_dict": state, "iter": 370000, "optimizer": {"lr": [1.0]}}, path)
    module = create_model("lwop", path).double()
    x = torch.randn(1, 3, 48, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for ours, theirs in zip(module(x), published.double()(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())
    published.float()


@pytest.mark.parametrize("name", ["lwop", "human_pose_0001"])
def test_save_weights_keeps_every_bit(name, tmp_path):
    module = shake_batch_norms(create_model(name, seed=5))
    save_weights(module, tmp_path / "w.safetensors")
    again = create_model(name, tmp_path / "w.safetensors", seed=6)
    for key, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_save_weights_needs_force_over_a_file(tmp_path):
    module = create_model("lwop")
    save_weights(module, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="exists; add --force"):
        save_weights(module, tmp_path / "w.safetensors")
    save_weights(module, tmp_path / "w.safetensors", force=True)


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1))


def refused(module: nn.Module, path) -> str:
    """The one-line message `load_weights` ends with; the module must be untouched."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(UsageError) as error:
        load_weights(module, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert "\n" not in str(error.value)
    return str(error.value)


def test_load_weights_names_a_missing_file(tmp_path):
    assert (
        refused(small(), tmp_path / "no.safetensors") == f"cannot read weights {tmp_path}/no.safetensors: no such file"
    )
    assert refused(small(), tmp_path).endswith("it is a directory")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".txt"])
@pytest.mark.parametrize("content", [b"", b"not weights at all, only text\n" * 9], ids=["empty", "text"])
def test_load_weights_refuses_another_kind_of_file(tmp_path, suffix, content):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    kind = "PyTorch checkpoint" if suffix == ".pth" else "safetensors file"
    assert f"{path} is not a {kind}" in refused(small(), path)


def test_load_weights_refuses_a_truncated_file(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(small().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "is not a safetensors file" in refused(small(), path)


class Trap:
    """Unpickles into a call; a checkpoint may not do that."""

    def __reduce__(self):
        return (print, ("a checkpoint ran code",))


@pytest.mark.parametrize("content", [Trap(), [1, 2], {}, {"epoch": 3}], ids=["code", "list", "empty", "no tensors"])
def test_load_weights_refuses_a_checkpoint_without_a_state_dict(tmp_path, content, capsys):
    path = tmp_path / "w.pth"
    torch.save(content, path)
    assert str(path) in refused(small(), path)
    assert "ran code" not in capsys.readouterr().out


def saved(tmp_path, **changes):
    """A file of `small`'s tensors with changes by name, "__" for "."; None leaves one out."""
    tensors = small().state_dict() | {name.replace("__", "."): value for name, value in changes.items()}
    save_file({name: value for name, value in tensors.items() if value is not None}, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_load_weights_names_missing_and_unexpected_tensors(tmp_path):
    path = saved(tmp_path, **{"0__weight": None, "9__weight": torch.zeros(2), "9__bias": torch.zeros(2)})
    message = refused(small(), path)
    assert message.startswith(f"{path} does not fit Sequential: 1 tensor missing of 8 (0.weight), 2 tensors unexpected")
    assert "9.bias, 9.weight" in message


def test_load_weights_names_a_wrong_shape(tmp_path):
    message = refused(small(), saved(tmp_path, **{"2__weight": torch.zeros(5, 4, 3, 3)}))
    assert "1 tensor of the wrong shape (2.weight: expected (5, 4, 1, 1), found (5, 4, 3, 3))" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_load_weights_refuses_values_that_are_no_numbers(tmp_path, value):
    bias = torch.zeros(5)
    bias[3] = value
    assert "tensor 2.bias has 1 NaN or infinite values of 5" in refused(small(), saved(tmp_path, **{"2__bias": bias}))


def test_a_bias_of_int8_is_refused_not_cast(tmp_path):
    message = refused(small(), saved(tmp_path, **{"2__bias": torch.zeros(5, dtype=torch.int8)}))
    assert "tensor 2.bias is int8" in message


def test_half_precision_weights_are_widened(tmp_path):
    module = small()
    load_weights(module, saved(tmp_path, **{"2__bias": torch.full((5,), 0.5, dtype=torch.float16)}))
    assert module[2].bias.dtype == torch.float32
    assert module[2].bias.tolist() == [0.5] * 5


def test_counters_of_batch_norm_are_not_needed(tmp_path):
    load_weights(small(), saved(tmp_path, **{"1__num_batches_tracked": None}))


def test_another_models_file_is_recognised(tmp_path):
    save_weights(create_model("human_pose_0001"), tmp_path / "w.safetensors")
    with pytest.raises(UsageError) as error:
        create_model("lwop", tmp_path / "w.safetensors")
    message = str(error.value)
    assert "does not fit lwop: " in message
    assert message.endswith("; it fits --model human_pose_0001")
    assert message.count(", ...") == 2  # names are cut off after the first few


def test_a_foreign_file_fits_nothing(tmp_path):
    with pytest.raises(UsageError, match="does not fit lwop: ") as error:
        create_model("lwop", saved(tmp_path))
    assert "it fits" not in str(error.value)
