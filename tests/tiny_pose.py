"""A pose network that trains in milliseconds, photographs with people drawn into them, and their annotations."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from benchmarks.synthetic_people import STANDING
from models.networks.head import HEATMAPS, PAFS
from models.networks.units import ConvUnit, StagedNetwork
from models.pose.skeleton import COCO_PARTS, FROM_COCO, LIMBS
from models.preprocess import Preprocessing
from models.zoo.registry import model_names, register_model
from models.zoo.spec import ModelSpec

NAME = "tiny_pose_of_the_tests"
NORMLESS = "tiny_pose_without_batch_norm"


class Branches(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.heatmaps = ConvUnit(inputs, HEATMAPS, 1, activation=None)
        self.pafs = ConvUnit(inputs, PAFS, 1, activation=None)

    def forward(self, *inputs):
        x = torch.cat(inputs, dim=1)
        return self.heatmaps(x), self.pafs(x)


class TinyPose(StagedNetwork):
    """Two strides on the way to 8, two stages; about 3,000 weights."""

    def __init__(self, width: int = 8, norm: bool = True) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            ConvUnit(3, width, stride=2, norm=norm),
            ConvUnit(width, width, stride=2, norm=norm),
            ConvUnit(width, width, stride=2, norm=norm),
        )
        self.neck = ConvUnit(width, width)
        self.initial_stage = Branches(width)
        self.refinement_stages = nn.ModuleList([Branches(width + HEATMAPS + PAFS)])

    def features(self, x):
        return self.neck(self.backbone(x))


def register_tiny() -> str:
    """The name in the registry of the one with batch norm; NORMLESS is registered, too."""
    for name, norm in ((NAME, True), (NORMLESS, False)):
        if name not in model_names():
            preprocessing = Preprocessing((128.0, 128.0, 128.0), 1 / 256)
            register_model(ModelSpec(name, TinyPose, preprocessing, size=(64, 64), parameters={"norm": norm}))
    return NAME


def draw_people(people: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: stick figures of (P, 18, 2) pixels on grey."""
    image = np.full((height, width, 3), 90, np.uint8)
    for joints in np.rint(np.nan_to_num(people, nan=-1000)).astype(int):
        for number, (start, end) in enumerate(LIMBS):
            cv2.line(image, joints[start].tolist(), joints[end].tolist(), (250 - 10 * number, 10 * number, 200), 3)
    return image


def annotation(number: int, image_id: int, joints: np.ndarray, **fields) -> dict:
    """A COCO annotation of (18, 2) pixels; a NaN is not labelled."""
    xy = joints[list(FROM_COCO)] + 0.5
    seen = np.isfinite(xy[:, :1])
    flat = np.column_stack([np.where(seen, xy, 0), np.where(seen, 2, 0)]).ravel().tolist()
    (left, top), (right, bottom) = np.nanmin(joints, axis=0).tolist(), np.nanmax(joints, axis=0).tolist()
    box = [left, top, right - left, bottom - top]
    whole = {"id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "keypoints": flat, "bbox": box}
    return {**whole, "num_keypoints": int(seen.sum()), "area": box[2] * box[3], **fields}


def write_coco(folder: Path, images: int = 6, height: int = 120, width: int = 160, seed: int = 0) -> Path:
    """A folder with images/ and person_keypoints.json: one or two people in every photograph."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    listed, annotations = [], []
    for index in range(images):
        people = [STANDING * 90 + random.uniform((30, 5), (130, 20)) for _ in range(1 + index % 2)]
        name = f"{index:03}.png"
        cv2.imwrite(str(folder / "images" / name), draw_people(np.array(people), height, width))
        listed.append({"id": 10 + index, "file_name": name, "height": height, "width": width})
        annotations += [annotation(100 * index + n, 10 + index, joints) for n, joints in enumerate(people)]
    write_annotations(folder / "person_keypoints.json", listed, annotations)
    return folder


def write_annotations(path: Path, images: list[dict], annotations: list[dict]) -> None:
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_PARTS), "skeleton": []}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
