"""Agreement of torch networks: a network that sees drawn people, its copy, its copy with other weights, its zeros."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.synthetic_people import crowd, render_fields
from models.accuracy.agreement import agreement_facts, measure_agreement
from models.accuracy.protocol import maps_of
from models.preprocess import Preprocessing
from models.zoo.spec import ModelSpec

SIZE = (128, 128)
SPEC = ModelSpec("seer", "no.module:factory", Preprocessing((0, 0, 0), 1.0), size=SIZE)


class Seer(nn.Module):
    """Sees whom a photograph shows, because the first pixel says which; the weights are what it answers."""

    def __init__(self, people: list[int]) -> None:
        super().__init__()
        random = np.random.default_rng(3)
        cells = (SIZE[0] // 8, SIZE[1] // 8)
        maps = [render_fields(crowd(random, number, cells), cells, 0.0, random) for number in people]
        self.heatmaps = nn.Parameter(torch.from_numpy(np.stack([answer["heatmaps"] for answer in maps])))
        self.pafs = nn.Parameter(torch.from_numpy(np.stack([answer["pafs"] for answer in maps])))

    def forward(self, x):
        number = int(x[0, 0, 0, 0])
        return self.heatmaps[number : number + 1], self.pafs[number : number + 1]


@pytest.fixture
def photographs(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((*SIZE, 3), number, np.uint8))
    return paths


@pytest.fixture
def seer():
    return Seer([1, 2, 1, 0, 2, 1]).eval()


def changed(network: nn.Module, change) -> nn.Module:
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.parameters():
            change(parameter)
    return other


def test_copy_agrees_wholly_and_zeros_in_nothing(seer, photographs):
    same = agreement_facts(seer, copy.deepcopy(seer), SPEC, photographs)
    assert same["agreement"] == pytest.approx(1)
    assert same["interval"] == pytest.approx([1, 1])
    assert (same["divergence"], same["people_dense"], same["people_again"]) == (0, 7, 7)
    nothing = agreement_facts(seer, changed(seer, lambda weights: weights.zero_()), SPEC, photographs)
    assert (nothing["agreement"], nothing["people_pruned"], nothing["people_again"]) == (0, 0, 0)


def test_agreement_falls_with_noise_on_the_weights(seer, photographs):
    torch.manual_seed(0)
    noise = [torch.randn_like(parameter) for parameter in seer.parameters()]
    values = []
    for size in (0.0, 0.05, 0.1, 0.2):
        other, steps = copy.deepcopy(seer), iter(noise)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter += size * next(steps)
        values.append(measure_agreement(maps_of(seer, SPEC), maps_of(other, SPEC), SPEC, photographs).value)
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(1)
    assert values[-1] < 0.8


def test_photograph_that_cannot_be_read_is_a_reason_not_an_error(seer, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    facts = agreement_facts(seer, seer, SPEC, [tmp_path / "broken.png"])
    assert facts["agreement"] is None
    assert "broken.png is not an image" in facts["why_none"]
    assert "there is none" in agreement_facts(seer, seer, SPEC, [])["why_none"]
