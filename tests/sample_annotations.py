"""A small annotation file such as COCO's own, and the people in it."""

import json

import numpy as np

from benchmarks.synthetic_people import STANDING
from models.pose.skeleton import COCO_PARTS, FROM_COCO

SIZE = (240, 320)
NAMES = ("a.png", "b.png", "c.png")


def coco_keypoints(joints):
    return np.column_stack([joints[list(FROM_COCO)] + 0.5, np.full(17, 2)]).ravel().tolist()


def entry(number, image_id, joints):
    xy = joints[list(FROM_COCO)] + 0.5
    (left, top), (right, bottom) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
    box = [left, top, right - left, bottom - top]
    corners = [left, top, right, top, right, bottom, left, bottom]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": 17,
        "keypoints": coco_keypoints(joints),
        "bbox": box,
        "area": box[2] * box[3],
        "segmentation": [corners],
    }


def sample_people():
    """The people of each photograph: two, one, two."""
    random = np.random.default_rng(0)
    return [[STANDING * 200 + random.uniform((60, 5), (240, 20)) for _ in range(count)] for count in (2, 1, 2)]


def sample_content(people_of_photographs):
    """A file as COCO's own are."""
    images = [
        {"id": 30 - place, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for place, name in enumerate(NAMES)
    ]
    people = [(30 - place, joints) for place, here in enumerate(people_of_photographs) for joints in here]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_PARTS)}]
    annotations = [entry(number, image, joints) for number, (image, joints) in enumerate(people, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write(folder, content):
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path
