"""The AP that the card of the project's own weights states (needs ../shared)."""

from pathlib import Path

import pytest

import models
from models.accuracy.protocol import evaluate_network
from models.resolve import create_model, model_spec

FOLDER = Path(models.__file__).parent / "trained"


@pytest.mark.long
def test_trained_ap_is_what_the_card_says(shared_dir):
    network = create_model("resnet50_3", FOLDER / "resnet50_3.safetensors")
    evaluation = evaluate_network(network, model_spec("resnet50_3"), shared_dir / "data/photos_val")
    assert evaluation.ap == pytest.approx(0.344, abs=0.003)
