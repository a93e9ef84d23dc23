"""Predictors that come with the package: they load, answer, say whose kernels they are of, and are small."""

import lzma

import pytest

from fleetpose.errors import DataError, UsageError
from latency.box import ENTRIES, MOST_BYTES
from latency.cost_model.box import shipped
from latency.cost_model.trees import Trees, slim
from latency.dataset.sample import Sample
from tests.pure.made_up_devices import layers

LAYER = layers(1)[0]


def test_the_box_has_what_the_command_builds_and_is_small():
    assert shipped.names() == sorted(ENTRIES)
    assert sum(path.stat().st_size for path in shipped.FOLDER.iterdir()) <= MOST_BYTES


@pytest.mark.parametrize("name", ENTRIES)
def test_each_device_answers_with_an_interval_and_names_its_origin(name):
    predictor = shipped.shipped(name)
    about = predictor.metadata
    usual = Sample(LAYER, "pointwise", framework=about["framework"], gpu=about["gpu"])
    (answer,) = predictor.predict([usual])
    assert 0 < answer.low < answer.ms < answer.high < 20 * answer.ms
    assert about["source"] == ENTRIES[name].source
    assert about["licence"] in ("MIT", "Apache-2.0")
    assert about["framework"] != "fleetpose"


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(UsageError, match="adreno-730"):
        shipped.shipped("adreno-731")


def test_a_file_comes_before_the_box(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.find_predictor("adreno-730") is shipped.shipped("adreno-730")
    (tmp_path / "adreno-730").write_text("{}")
    with pytest.raises(UsageError, match="is no predictor"):
        shipped.find_predictor("adreno-730")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"not xz" + data, lambda _: lzma.compress(b"[1]")]
)
def test_a_damaged_file_is_said(tmp_path, monkeypatch, damage):
    content = (shipped.FOLDER / f"adreno-730{shipped.SUFFIX}").read_bytes()
    (tmp_path / f"broken{shipped.SUFFIX}").write_bytes(damage(content))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises((DataError, UsageError), match="install the package again"):
        shipped.shipped("broken")


def test_slim_trees_answer_the_same():
    predictor = shipped.shipped("adreno-730")
    full = predictor.model.trees.to_json()
    again = Trees.from_json(slim(full), 1 + len(predictor.to_json()["features"]["names"]))
    assert again.to_json()[0]["learner"]["gradient_booster"] == full[0]["learner"]["gradient_booster"]
