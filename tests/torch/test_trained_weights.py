"""The weights that come with the project: they load, and each file has its card."""

from pathlib import Path

import numpy as np
import pytest

import models
from models.frontend.trace import trace
from models.resolve import create_model

FOLDER = Path(models.__file__).parent / "trained"
MODEL = "resnet50_3"


@pytest.mark.long
def test_trained_weights_are_finite_and_dense():
    weights = trace(create_model(MODEL, FOLDER / f"{MODEL}.safetensors"), (3, 368, 368), MODEL).weights
    assert all(np.isfinite(value).all() for value in weights.values())
    assert np.mean([(value == 0).mean() for value in weights.values()]) < 0.01


def test_trained_weights_have_a_card():
    card = (FOLDER / "README.md").read_text()
    assert all(path.name in card for path in FOLDER.iterdir() if path.suffix == ".safetensors")
