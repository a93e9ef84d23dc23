"""The AP that the card of the project's own weights states (needs ../shared)."""

from pathlib import Path

import pytest

import models
from models.accuracy.protocol import evaluate_network
from models.zoo.resolve import create_model, model_spec

FOLDER = Path(models.__file__).parent / "trained"


@pytest.mark.parametrize(("name", "ap"), [("resnet50_3", 0.344), ("resnet50_3-2.15x", 0.229)])
def test_ap_is_what_the_card_says(shared_dir, name, ap):
    network = create_model("resnet50_3", FOLDER / f"{name}.safetensors")
    found = evaluate_network(network, model_spec("resnet50_3"), shared_dir / "data/photos_val")
    assert found.ap == pytest.approx(ap, abs=0.003)
