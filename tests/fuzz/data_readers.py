"""Readers of people's data: annotations with their photographs, tables of latencies, pictures, videos."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from codegen.artifact.video import CODECS, VideoReader, VideoWriter
from latency.dataset.read import Dataset
from latency.network_model.foreign_networks import read_networks
from models.accuracy.oks import evaluate_keypoints
from models.annotations.pictures import check_whole, read_head
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS
from models.preprocess import read_image
from models.train.data.photographs import read_photographs
from tests.fuzz.data_mutations import mutate_annotations, mutate_table
from tests.fuzz.mutations import mutate_bytes
from tests.fuzz.running import Reader

#: (height, width) of the annotated photographs
SIZE = (24, 32)
PICTURES = (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif")


def annotation_samples() -> list[bytes]:
    outline = [[4.0, 4.0, 12.0, 4.0, 12.0, 16.0, 4.0, 16.0]]
    runs = {"size": list(SIZE), "counts": [100, 50, SIZE[0] * SIZE[1] - 150]}
    person: dict[str, Any] = {
        "category_id": 1, "iscrowd": 0, "num_keypoints": 17, "keypoints": [8, 9, 2] * 17, "area": 96.0
    }  # fmt: skip
    crowd: dict[str, Any] = {"category_id": 1, "iscrowd": 1, "num_keypoints": 0, "keypoints": [0] * 51}
    images = [
        {"id": 7 + place, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for place, name in enumerate("ab")
    ]
    annotations = [
        {"id": 1, "image_id": 7, **person, "bbox": [4, 4, 8, 12], "segmentation": outline},
        {"id": 2, "image_id": 7, **person, "bbox": [14.5, 4, 8, 12], "segmentation": outline},
        {"id": 3, "image_id": 8, **crowd, "area": 50, "bbox": [4, 4, 3, 20], "segmentation": runs},
        {"id": 4, "image_id": 8, **crowd, "bbox": [4, 4, 3, 20]},
        {"id": 5, "image_id": 8, "category_id": 1, "keypoints": [5.5, 6, 1] * 17},
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_PARTS)}]
    return [json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()]


def read_annotations(path: Path) -> object:
    """As evaluation and as training read them."""
    cv2.setNumThreads(1)  # OpenCV's threads do not survive a fork
    images = path.parent / "images"
    if not images.exists():
        images.mkdir()
        for name in "ab":
            (images / name).write_bytes(cv2.imencode(".png", np.zeros((*SIZE, 3), np.uint8))[1].tobytes())
    found = [Person(np.tile([left, 9.0, 1.0], (18, 1)), left) for left in (8.0, 20.0)]
    evaluation = evaluate_keypoints(path, images, lambda _: found)
    labels = [item.labels for item in read_photographs([path.parent], [path], unlabelled=True).items]
    return evaluation, [of_one.ignored_mask() for of_one in labels if of_one is not None]


def table_samples() -> list[bytes]:
    header = "framework,device,gpu,op,cin,cout,h_in,h_out,k,stride,groups,ms_median,ms_min,ms_max,kernels,model,family"
    rows = (
        "conv,64,128,56,28,3,2,1,0.5,0.4,0.6,conv_linked_:_add_17_linked_:_relu_,m,f",
        "dw,64,64,56,56,3,1,64,0.2,0.1,0.3,,m,f",
        "CONCATENATION,32,96,14,14,1,1,1,0.1,0.1,0.1,,n,g",
        "MEAN,64,64,7,1,7,1,1,0.1,0.1,0.1,,n,g",
        "aten::add,64,64,7,7,1,1,1,0.1,0.1,0.1,,n,g",
    )
    return ["\n".join([header, *(f"tflite,s10,Mali-G76 MP12,{row}" for row in rows)]).encode()]


def read_table(path: Path) -> object:
    dataset = Dataset.read([path], ["framework=tflite"])
    return dataset.samples(every_op=True), dataset.networks()


def network_samples() -> list[bytes]:
    return [b"framework,device,model,family,e2e_ms\ntflite,s10,m,f,12.5\ntflite,s10,n,g,4\n"]


def picture_samples() -> list[bytes]:
    shades = np.add.outer(np.arange(60), np.arange(80)).astype(np.uint8)
    picture = np.dstack([shades, 2 * shades, 255 - shades])
    return [cv2.imencode(suffix, picture)[1].tobytes() for suffix in PICTURES]


def read_picture(path: Path) -> object:
    check_whole(path)
    return read_head(path), read_image(path)


def video_samples() -> list[bytes]:
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in CODECS:
            writer = VideoWriter(Path(folder) / f"whole{suffix}", (48, 64), 25.0, follow_clock=False)
            for number in range(8):
                writer.write(np.full((48, 64, 3), 20 * number, np.uint8), number / 25)
            writer.finish()
            samples.append(writer.path.read_bytes())
    return samples


def read_video(path: Path) -> object:
    with VideoReader(str(path)) as video:
        frames = [frame for _, frame in zip(range(30), video, strict=False)]
    assert all(frame.image.shape[:2] == video.size for frame in frames)
    return frames


DATA_READERS = {
    "annotations": Reader(".json", annotation_samples, mutate_annotations, read_annotations),
    "table": Reader(".csv", table_samples, mutate_table, read_table),
    "networks": Reader(".csv", network_samples, mutate_table, lambda path: read_networks(path, {"device": ["s10"]})),
    "picture": Reader(".picture", picture_samples, mutate_bytes, read_picture),
    "video": Reader(".video", video_samples, mutate_bytes, read_video),
}
