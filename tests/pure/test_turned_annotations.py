"""Annotations of photographs that EXIF turns or mirrors."""

import cv2
import numpy as np
import pytest
from PIL import Image

from fleetpose.errors import UsageError
from models.annotations.reading import read_coco
from models.annotations.turning import as_shown
from models.train.data.annotations import labels_of
from tests.sample_annotations import SIZE, sample_content, sample_people, write


@pytest.fixture
def content():
    return sample_content(sample_people())


def spots(size, points):
    """Black with a white spot at each point, x and y from the corner."""
    picture = np.zeros((*size, 3), np.uint8)
    for x, y in points:
        picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    return picture


@pytest.mark.parametrize("segmentation", ["polygon", "runs"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_annotations_of_a_stored_picture_turn_with_it(tmp_path, content, orientation, segmentation):
    """A white spot lies at each keypoint of the stored picture, and at each of the annotations as they are shown."""
    xy = np.random.default_rng(3).uniform((20, 20), (SIZE[1] - 20, SIZE[0] - 20), (17, 2)).astype(int) + 0.5
    path = tmp_path / "b.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(spots(SIZE, xy)).save(path, quality=100, exif=exif)
    region = np.zeros(SIZE, np.uint8)
    region[30:80, 40:45] = 1
    outline = [[40, 30, 45, 30, 45, 80, 40, 80]]
    if segmentation == "runs":
        edges = np.flatnonzero(np.diff(region.T.ravel(), prepend=0))
        outline = {"size": list(SIZE), "counts": np.diff(edges, prepend=0, append=region.size).tolist()}
    content["images"][1]["file_name"] = "b.jpg"
    content["annotations"][2] |= {"keypoints": np.column_stack([xy, np.full(17, 2)]).ravel().tolist()}
    crowd = {"id": 9, "image_id": 29, "category_id": 1, "iscrowd": 1, "segmentation": outline, "bbox": [40, 30, 5, 50]}
    content["annotations"].append(crowd)
    content["annotations"][2]["bbox"] = [*xy.min(axis=0).tolist(), *(xy.max(axis=0) - xy.min(axis=0)).tolist()]
    listed = read_coco(write(tmp_path, content))[1]
    if orientation == 3:
        assert as_shown(listed, path) is listed, "no size tells, so it is annotated as it is shown"
        return
    photograph = as_shown(listed, path)
    picture = cv2.imread(str(path))
    assert photograph.size == picture.shape[:2] == (SIZE if orientation == 1 else SIZE[::-1])
    for x, y, _ in photograph.keypoints[0].tolist():
        assert picture[int(y), int(x)].min() > 200
    low, high = photograph.keypoints[0, :, :2].min(axis=0), photograph.keypoints[0, :, :2].max(axis=0)
    assert photograph.boxes[0].tolist() == pytest.approx([*low, *(high - low)])
    turned = {1: region, 6: np.rot90(region, -1), 8: np.rot90(region)}[orientation]
    np.testing.assert_array_equal(labels_of(photograph).ignored_mask(), turned)
    left, top, width, height = (int(value) for value in photograph.boxes[1])
    assert turned[top : top + height, left : left + width].all()
    assert turned.sum() == width * height


def test_annotations_of_a_turned_picture_stay(tmp_path, content):
    """Most tools write the size of the picture as it is shown, and so are the annotations."""
    path = tmp_path / "b.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8)).save(path, exif=exif)
    listed = read_coco(write(tmp_path, content))[1]
    assert as_shown(listed, path) is listed


@pytest.mark.parametrize("orientation", [5, 7])
def test_a_mirrored_picture_of_the_other_size_is_refused(tmp_path, content, orientation):
    path = tmp_path / "b.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path, exif=exif)
    with pytest.raises(UsageError, match=r"b\.jpg is 240 x 320 but annotated as 320 x 240"):
        as_shown(read_coco(write(tmp_path, content))[1], path)
