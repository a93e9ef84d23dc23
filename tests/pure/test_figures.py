"""The README's table and clip are what tools/figures.py makes."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from models.pose.person import Person

ROOT = Path(__file__).parents[2]


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


figures = tool("figures")
clip = tool("tracking_clip")


def test_readme_has_the_table_that_the_measured_rows_give():
    text = figures.README.read_text()
    assert figures.with_table(text, figures.engine_table(figures.read_rows())) == text
    for name in ("people.png", "tracking.gif", "latency.png"):
        assert f"](docs/{name})" in text


def test_readme_without_the_table_s_place_is_refused():
    with pytest.raises(SystemExit, match="README"):
        figures.with_table("no table", "| a |")


def test_clip_is_short_and_small():
    image = pytest.importorskip("PIL.Image").open(ROOT / "docs" / "tracking.gif")
    assert image.is_animated
    secs = image.info["duration"] * image.n_frames / 1000
    assert 2 <= secs <= 4
    assert image.width <= 480
    assert (ROOT / "docs" / "tracking.gif").stat().st_size <= 1_500_000


def people_at(number, identities):
    """A person with its nose where each walker's is."""
    people = []
    for walker, identity in zip(clip.WALKERS, identities, strict=True):
        keypoints = np.full((18, 3), np.nan)
        keypoints[:, 2] = 0
        keypoints[0] = *clip.nose_of(walker, number), 0.9
        people.append(Person(keypoints, 1.0, identity))
    return people


def test_changed_or_missing_identities_are_refused():
    clip.check_identities([people_at(number, (1, 2)) for number in range(clip.FRAMES)])
    with pytest.raises(AssertionError, match="changed"):
        clip.check_identities([people_at(number, (1, 2) if number < 20 else (2, 1)) for number in range(clip.FRAMES)])
    with pytest.raises(AssertionError, match="not seen"):
        clip.check_identities([people_at(number, (1, 2))[:1] for number in range(clip.FRAMES)])
