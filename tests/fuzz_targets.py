"""Readers that are attacked with damaged files; see tests/fuzzing.py. Each imports what it needs, as it runs alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.mutations import damaged_bytes, damaged_json, damaged_table

SIZE = (24, 32)


class Coco:
    """A folder of photographs with annotations, as evaluation and training read it."""

    def __init__(self, folder: Path) -> None:
        from models.pose.skeleton import COCO_PARTS

        self.folder = folder
        (folder / "images").mkdir(exist_ok=True)
        for name in ("a.png", "b.png"):
            cv2.imwrite(str(folder / "images" / name), np.zeros((*SIZE, 3), np.uint8))
        outline = [[4.0, 4.0, 12.0, 4.0, 12.0, 16.0, 4.0, 16.0]]
        runs = {"size": list(SIZE), "counts": [100, 50, SIZE[0] * SIZE[1] - 150]}
        person = {"category_id": 1, "iscrowd": 0, "num_keypoints": 17, "keypoints": [8, 9, 2] * 17, "area": 96.0}
        crowd = {"category_id": 1, "iscrowd": 1, "num_keypoints": 0, "keypoints": [0] * 51}
        self.content = {
            "images": [
                {"id": 7, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]},
                {"id": 8, "file_name": "b.png", "height": SIZE[0], "width": SIZE[1]},
            ],
            "annotations": [
                {"id": 1, "image_id": 7, **person, "bbox": [4, 4, 8, 12], "segmentation": outline},
                {"id": 2, "image_id": 7, **person, "bbox": [14.5, 4, 8, 12], "segmentation": outline},
                {"id": 3, "image_id": 8, **crowd, "area": 50, "bbox": [4, 4, 3, 20], "segmentation": runs},
                {"id": 4, "image_id": 8, **crowd, "bbox": [4, 4, 3, 20]},
                {"id": 5, "image_id": 8, "category_id": 1, "keypoints": [5.5, 6, 1] * 17},
            ],
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_PARTS)}],
        }

    def write(self, seed: int) -> Path:
        path = self.folder / "person_keypoints.json"
        path.write_bytes(damaged_json(self.content, seed))
        return path

    def read(self, path: Path) -> None:
        from models.accuracy.oks import evaluate_keypoints
        from models.pose.person import Person
        from models.train.data.photographs import read_photographs

        found = [Person(np.tile([8.0, 9.0, 1.0], (18, 1)), 3.0), Person(np.tile([20.0, 9.0, 1.0], (18, 1)), 2.0)]
        evaluate_keypoints(path, self.folder / "images", lambda _: found)
        for item in read_photographs([self.folder], unlabelled=True).items:
            if item.labels is not None:
                item.labels.ignored_mask()


class Table:
    """A table of latencies, as fitting reads it."""

    text = "\n".join(
        (
            "framework,device,gpu,op,cin,cout,h_in,h_out,k,stride,groups,ms_median,ms_min,ms_max,kernels,model,family",
            "tflite,s10,Mali-G76 MP12,conv,64,128,56,28,3,2,1,0.5,0.4,0.6,conv_linked_:_add_17_linked_:_relu_,m,f",
            "tflite,s10,Mali-G76 MP12,dw,64,64,56,56,3,1,64,0.2,0.1,0.3,,m,f",
            "tflite,s10,Mali-G76 MP12,CONCATENATION,32,96,14,14,1,1,1,0.1,0.1,0.1,,n,g",
            "tflite,s10,Mali-G76 MP12,MEAN,64,64,7,1,7,1,1,0.1,0.1,0.1,,n,g",
            "tflite,s10,Mali-G76 MP12,aten::add,64,64,7,7,1,1,1,0.1,0.1,0.1,,n,g",
        )
    )
    networks = "framework,device,model,family,e2e_ms\ntflite,s10,m,f,12.5\ntflite,s10,n,g,4\n"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, seed: int) -> Path:
        path = self.folder / f"{'networks' if seed % 4 == 0 else 'layers'}.csv"
        path.write_bytes(damaged_table(self.networks if seed % 4 == 0 else self.text, seed))
        return path

    def read(self, path: Path) -> None:
        from latency.dataset.read import Dataset
        from latency.network_model.foreign_networks import read_networks

        if path.stem == "networks":
            read_networks(path, {"device": ["s10"]})
        else:
            Dataset.read([path], ["framework=tflite"]).samples(every_op=True)


class Picture:
    """A photograph in each of the formats that are common, as every command reads it."""

    suffixes = ("jpg", "png", "webp", "tif", "bmp", "gif")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shades = np.add.outer(np.arange(60), np.arange(80)).astype(np.uint8)
        picture = np.dstack([shades, 2 * shades, 255 - shades])
        self.whole = {suffix: cv2.imencode(f".{suffix}", picture)[1].tobytes() for suffix in self.suffixes}

    def write(self, seed: int) -> Path:
        suffix = self.suffixes[seed % len(self.suffixes)]
        path = self.folder / f"picture.{suffix}"
        path.write_bytes(damaged_bytes(self.whole[suffix], seed))
        return path

    def read(self, path: Path) -> None:
        from models.annotations.pictures import check_whole, read_head
        from models.preprocess import read_image

        check_whole(path)
        read_head(path)
        assert read_image(path).dtype == np.uint8


class Video:
    """A short video in each container that is written, as codegen.run reads it."""

    suffixes = ("mp4", "mkv", "avi")

    def __init__(self, folder: Path) -> None:
        from codegen.artifact.video import VideoWriter

        self.folder = folder
        self.whole = {}
        for suffix in self.suffixes:
            path = folder / f"whole.{suffix}"
            writer = VideoWriter(path, (48, 64), 25.0, follow_clock=False)
            for number in range(8):
                writer.write(np.full((48, 64, 3), 20 * number, np.uint8), number / 25)
            writer.finish()
            self.whole[suffix] = path.read_bytes()

    def write(self, seed: int) -> Path:
        suffix = self.suffixes[seed % len(self.suffixes)]
        path = self.folder / f"video.{suffix}"
        path.write_bytes(damaged_bytes(self.whole[suffix], seed))
        return path

    def read(self, path: Path) -> None:
        from codegen.artifact.video import VideoReader

        with VideoReader(str(path)) as video:
            for _, frame in zip(range(30), video, strict=False):
                assert frame.image.shape[:2] == video.size
