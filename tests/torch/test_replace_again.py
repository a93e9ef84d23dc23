"""Advice that can always be carried out, and networks that are replaced twice."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.replace import advise, plan_of, read_plan, replace_operators, save_replaced
from models.resolve import create_model


class Scaled(nn.Module):
    """A product with the mean of everything: no gate, and no plane is left of its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
        return F.silu(x * x.mean())


def test_a_mean_of_everything_is_no_gate():
    found = advise(Scaled(), (3, 9, 9))
    assert [each.replacement.kind for each in found] == ["activation"]


@pytest.mark.parametrize(
    "norm", [nn.SyncBatchNorm(8), nn.BatchNorm2d(8, track_running_stats=False)], ids=lambda n: repr(n)
)
def test_a_chain_before_another_batch_norm_is_refused_in_the_advice(norm):
    network = nn.Sequential(nn.Conv2d(3, 8, 7, padding=3), norm, nn.ReLU()).eval()
    (found,) = [each for each in advise(network, (3, 16, 16)) if each.replacement.kind == "kernel"]
    assert "is no BatchNorm2d with running statistics" in found.refused
    assert not plan_of([found])


def test_what_is_replaced_twice_stands_alone(tmp_path, monkeypatch):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    monkeypatch.chdir(first)
    elu = plan_of(advise(create_model("lwop"), (3, 64, 64), only=["activation"]))
    save_replaced(replace_operators(create_model("lwop"), elu), "x.safetensors", "lwop", elu)
    once = create_model("x.json", "x.safetensors")
    plain = plan_of(advise(once, (3, 64, 64), only=["dilation"]))
    save_replaced(replace_operators(once, plain), second / "y.safetensors", "x.json", plain)
    monkeypatch.chdir(second)
    (first / "x.json").unlink()
    name, plan = read_plan("y.json")
    assert (name, plan) == ("lwop", (*elu, *plain))
    assert create_model("y.json", "y.safetensors")(torch.zeros(1, 3, 32, 32))[0].shape == (1, 19, 4, 4)
