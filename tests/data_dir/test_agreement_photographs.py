"""Agreement of trained networks on real photographs: with itself, with fewer weights, with none (needs ../shared)."""

from __future__ import annotations

import pytest
import torch

from models.accuracy.agreement import agreement_facts
from models.accuracy.grade import Grade, agreement_grade
from models.prune.reconstruction.calibration import find_photographs
from models.resolve import create_model, model_spec

pytestmark = pytest.mark.long

MODEL = "human_pose_0001"
#: of each convolution the smallest weights that are removed -> what agreement at OKS 0.5 may be
SHARES = {0.0: (0.999, 1.0), 0.1: (0.5, 0.97), 0.9: (0.0, 0.1)}


@pytest.fixture(scope="module")
def facts(shared_dir):
    """What agreement is measured by the share of weights that were removed, on eight photographs."""
    data = shared_dir / "data"
    photographs = find_photographs([data / "photos_val" / "images"])[:8]
    spec, weights = model_spec(MODEL), data / "lwop/human_pose_0001.safetensors"
    dense = create_model(MODEL, weights)
    return {
        share: agreement_facts(dense, pruned(create_model(MODEL, weights), share), spec, photographs)
        for share in SHARES
    }


def pruned(network, share: float):
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 4 and share:
                weight[weight.abs() < weight.abs().flatten().quantile(share)] = 0
    return network


@pytest.mark.parametrize("share", SHARES)
def test_agreement_falls_with_what_is_removed(facts, share):
    low, high = SHARES[share]
    assert low <= facts[share]["agreement_50"] <= high
    assert facts[share]["agreement"] <= facts[share]["agreement_50"]
    assert facts[share]["photographs"] == 8


def test_divergence_rises_with_what_is_removed(facts):
    divergences = [facts[share]["divergence"] for share in SHARES]
    assert divergences == sorted(divergences)
    assert divergences[0] == 0


def test_network_that_finds_nobody_has_lost(facts):
    assert agreement_grade(facts[0.0]) is Grade.KEPT
    assert agreement_grade(facts[0.9]) is Grade.LOST
