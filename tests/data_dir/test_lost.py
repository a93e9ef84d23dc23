"""What a changed network loses on part of a folder of photographs, in AP and in agreement (needs ../shared)."""

from __future__ import annotations

import json

import pytest
import torch

from models.accuracy.lost import AGREEMENT, AP, LossJudge, annotations_of
from models.accuracy.oks import evaluate_keypoints
from models.accuracy.protocol import fit_free, maps_of
from models.annotations.photograph import coco_dataset
from models.pose.decoding.decoders import decoder_for
from models.prune.reconstruction.calibration import find_photographs
from models.resolve import create_model, model_spec

MODEL = "human_pose_0001"


@pytest.fixture(scope="module")
def dense(shared_dir):
    return create_model(MODEL, shared_dir / "data/lwop/human_pose_0001.safetensors")


@pytest.fixture(scope="module")
def photographs(shared_dir):
    return find_photographs([shared_dir / "data/photos_val/images"])[3:8]


def test_annotations_of_some_photographs_are_theirs(shared_dir, photographs):
    told = json.loads((shared_dir / "data/photos_val/person_keypoints.json").read_text())
    annotated, annotations = annotations_of([*photographs, shared_dir / "docs/README.md"])
    dataset = coco_dataset(annotations)
    assert annotated == list(photographs)
    names = {image["id"]: image["file_name"] for image in told["images"]}
    for image in dataset["images"]:
        ours = [entry["bbox"] for entry in dataset["annotations"] if entry["image_id"] == image["id"]]
        theirs = [entry["bbox"] for entry in told["annotations"] if names[entry["image_id"]] == image["file_name"]]
        assert ours == theirs
    assert [image["file_name"] for image in dataset["images"]] == [path.name for path in photographs]
    assert [entry["id"] for entry in dataset["annotations"]] == list(range(1, len(dataset["annotations"]) + 1))


def test_ap_on_some_photographs_is_that_of_a_folder_of_them(shared_dir, dense, photographs, tmp_path):
    spec, source = model_spec(MODEL), shared_dir / "data/photos_val"
    told = json.loads((source / "person_keypoints.json").read_text())
    wanted = {path.name for path in photographs}
    told["images"] = [image for image in told["images"] if image["file_name"] in wanted]
    told["annotations"] = [
        entry for entry in told["annotations"] if entry["image_id"] in {image["id"] for image in told["images"]}
    ]
    (tmp_path / "few.json").write_text(json.dumps(told))
    decode, run = decoder_for(spec.outputs, spec.decoding).decode, maps_of(dense, spec)

    def people_of(image):
        tensor, placement = fit_free(image, spec)
        return decode(dict(zip(spec.outputs, run(tensor), strict=True)), placement)

    judge = LossJudge.of(dense, spec, photographs)
    assert judge.unit == AP
    assert judge.ceiling == pytest.approx(evaluate_keypoints(tmp_path / "few.json", source / "images", people_of).ap)
    loss = judge.judge(dense)
    assert loss is not None
    assert loss.lost == 0


def test_photographs_that_are_not_annotated_are_judged_by_agreement(shared_dir, dense, photographs, tmp_path):
    for path in photographs:
        (tmp_path / path.name).symlink_to(path.resolve())
    judge = LossJudge.of(dense, model_spec(MODEL), find_photographs([tmp_path]))
    assert (judge.unit, judge.ceiling) == (AGREEMENT, 1.0)
    changed = create_model(MODEL, shared_dir / "data/lwop/human_pose_0001.safetensors")
    with torch.no_grad():
        for weight in changed.parameters():
            if weight.ndim == 4:
                weight[weight.abs() < weight.abs().flatten().quantile(0.2)] = 0
    loss = judge.judge(changed)
    assert loss is not None
    assert 0 < loss.lost <= 1
    assert loss.error > 0
