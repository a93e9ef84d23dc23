"""Training on real photographs (needs ../shared): every one is read, and a few steps of distillation run."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from fleetpose import cli
from models.resolve import create_model
from models.train.__main__ import main, make_parser
from models.train.data.photographs import read_photographs
from models.train.data.samples import Damaged, Views
from models.train.settings import TrainSettings


@pytest.fixture(scope="module")
def data(shared_dir):
    return shared_dir / "data"


def test_photographs_of_the_data_folder_are_annotated(data):
    found = read_photographs([data / "photos_train"])
    assert len(found.items) == found.annotated == 53
    people = [item.labels.people for item in found.items]
    assert sum(map(len, people)) == 143  # of 244 annotations, 101 have no keypoint
    assert any(item.labels.ignored_mask().any() for item in found.items)


def test_photographs_without_annotations_are_read(data):
    """Any depth of folders; a file of annotations for some of them."""
    found = read_photographs([data / "photos_more"], [data / "photos_more" / "coco_sg_pose.json"], unlabelled=True)
    assert len(found.items) == 2303
    assert found.annotated == 19


def test_views_of_real_photographs_hold_their_people(data):
    views = Views(read_photographs([data / "photos_train"]), TrainSettings(steps=1), 8, (128.0, 128.0, 128.0))
    for position in range(20):
        view = views[position, 256]
        assert not isinstance(view, Damaged)
        image, heatmaps, pafs, weight = view
        assert image.shape == (3, 256, 256)
        assert image.std() > 5
        assert heatmaps[:-1].max() > 0.3  # each view is about somebody
        assert np.abs(pafs).max() <= 1.0001
        assert 0 <= weight.min() <= weight.max() == 1


@pytest.mark.long
def test_distillation_of_the_papers_network(data, tmp_path):
    out = tmp_path / "w.safetensors"
    flags = [
        "--model",
        "resnet50_3",
        "--teacher",
        "human_pose_0001",
        "--data",
        data / "photos_train",
        "--device",
        "cpu",
    ]
    flags += ["--teacher-weights", data / "lwop" / "human_pose_0001.safetensors", "--crop", 64, "--batch", 2]
    assert cli.run(main, make_parser(), [str(flag) for flag in (*flags, "--steps", 2, "-o", out)]) == 0
    with open(tmp_path / "w.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert all(float(row[name]) > 0 for name in ("labels", "soft", "hints"))
    create_model("resnet50_3", out)
