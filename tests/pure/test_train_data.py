"""What there is to learn from: COCO files, folders, and everything that can be wrong with them."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from fleetpose.errors import UsageError
from models.pose.skeleton import PARTS
from models.train.data.annotations import read_annotations
from models.train.data.photographs import read_photographs

SIZE = (100, 140)
BOX = [20.0, 10.0, 40.0, 60.0]


def entry(number, image_id=1, keypoints=(10.5, 20.5, 2) * 17, **fields):
    return {"id": number, "image_id": image_id, "keypoints": list(keypoints), "bbox": BOX, "iscrowd": 0, **fields}


def write(folder, annotations, names=("a.png",), images=True):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    listed = []
    for number, name in enumerate(names, 1):
        listed.append({"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        if images:
            cv2.imwrite(str(folder / "images" / name), np.zeros((*SIZE, 3), np.uint8))
    path = folder / "person_keypoints.json"
    path.write_text(json.dumps({"images": listed, "annotations": annotations, "categories": []}))
    return path


def test_keypoints_are_measured_from_pixel_centres(tmp_path):
    labels = read_annotations(write(tmp_path, [entry(1)]))["a.png"]
    np.testing.assert_allclose(labels.people, np.broadcast_to((10.0, 20.0), (1, 18, 2)))
    assert labels.size == SIZE
    assert not labels.ignored


def test_the_neck_is_between_the_shoulders_or_nowhere(tmp_path):
    flat = np.zeros((17, 3))
    flat[5], flat[6], flat[0] = (30.5, 40.5, 1), (10.5, 20.5, 2), (1.5, 2.5, 2)  # left and right shoulder, nose
    one = flat.copy()
    one[6] = 0
    labels = read_annotations(write(tmp_path, [entry(1, keypoints=flat.ravel()), entry(2, keypoints=one.ravel())]))
    both, single = labels["a.png"].people
    np.testing.assert_allclose(both[PARTS.index("neck")], (20, 30))
    assert np.isfinite(both[:, 0]).sum() == 4
    assert np.isnan(single[PARTS.index("neck")]).all()
    np.testing.assert_allclose(single[PARTS.index("left_shoulder")], (30, 40))


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        [[20, 10, 60, 10, 60, 70, 20, 70]],
        [[20, 10, 60, 10, 60, 40, 20, 40], [20, 40, 60, 40, 60, 70, 20, 70]],
        "uncompressed",
        "compressed",
    ],
)
@pytest.mark.parametrize("crowd", [True, False])
def test_annotations_hold_ignored_regions(tmp_path, segmentation, crowd):
    """A crowd, and a person without keypoints: as polygons, run lengths of both kinds, or by its box."""
    from pycocotools import mask as coco_mask

    wanted = np.zeros(SIZE, np.uint8)
    wanted[10:70, 20:60] = 1
    if segmentation == "uncompressed":
        counts = [20 * 100 + 10, *([60, 40] * 39), 60, 30 + 80 * 100]
        segmentation = {"size": list(SIZE), "counts": counts}
    elif segmentation == "compressed":
        code = coco_mask.encode(np.asfortranarray(wanted))
        segmentation = {"size": list(SIZE), "counts": code["counts"].decode()}
    fields = {"iscrowd": 1} if crowd else {"keypoints": [0] * 51}
    entries = [entry(1), {**entry(2, segmentation=segmentation), **fields}]
    labels = read_annotations(write(tmp_path, entries))["a.png"]
    assert len(labels.people) == 1
    np.testing.assert_array_equal(labels.ignored_mask(), wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.update(keypoints=[1, 2, 3]), r"7 of a\.png: keypoints is not 51 finite numbers but \[1, 2, 3\]"),
        (lambda e: e.update(bbox=[1, 2, 3, float("inf")]), r"7 of a\.png: bbox is no box in a picture"),
        (lambda e: e.update(iscrowd=1, segmentation="no"), r"7 of a\.png: its segmentation is none of COCO's kinds"),
        (lambda e: e.update(iscrowd=1, segmentation={"counts": 3}), r"7 of a\.png: its segmentation"),
        (
            lambda e: e.update(iscrowd=1, segmentation={"counts": [200], "size": [10, 20]}),
            r"7 of a\.png: its segmentation is of a picture of \[10, 20\], not \[100, 140\]",
        ),
    ],
)
def test_annotations_refuse_incomplete_entries(tmp_path, change, message):
    wrong = entry(7)
    change(wrong)
    path = write(tmp_path, [entry(1), wrong])
    with pytest.raises(UsageError, match=message):
        read_annotations(path)


def test_annotations_leave_out_what_is_of_no_listed_photograph(tmp_path, caplog):
    (labels,) = read_annotations(write(tmp_path, [entry(1), entry(7, image_id=5)])).values()
    assert len(labels.people) == 1
    assert "1 annotations are left out: annotation 7 is of image 5, which the file does not list" in caplog.text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [{"id": 1}], "annotations": []}', '{"images": 3}'])
def test_annotations_refuse_other_files(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"a\.json"):
        read_annotations(path)
    with pytest.raises(UsageError, match="No such file"):
        read_annotations(tmp_path / "b.json")


def test_photographs_take_a_folders_own_annotations(tmp_path):
    write(tmp_path, [entry(1)], names=("a.png", "b.png"))
    assert [item.path.name for item in read_photographs([tmp_path]).items] == ["a.png"]  # b has nobody to learn
    both = read_photographs([tmp_path], unlabelled=True)
    assert [item.path.name for item in both.items] == ["a.png", "b.png"]
    assert both.annotated == 2


def test_photographs_take_annotations_of_part_of_a_folder(tmp_path):
    """A file's photographs get its labels, the others have none; a photograph counts once."""
    path = write(tmp_path / "x", [entry(1)], names=("in/a.png",), images=False)
    (tmp_path / "photos" / "in").mkdir(parents=True)
    for name in ("in/a.png", "in/c.png", "d.png"):
        cv2.imwrite(str(tmp_path / "photos" / name), np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / "photos" / "notes.txt").write_text("no photograph")
    found = read_photographs([tmp_path / "photos"], [path], unlabelled=True)
    assert {item.path.name: item.labels is not None for item in found.items} == {
        "a.png": True,
        "c.png": False,
        "d.png": False,
    }
    assert len(read_photographs([tmp_path / "photos"], [path]).items) == 1


def test_digest_knows_labels_and_files_but_not_folders(tmp_path):
    for name in "xyz":
        write(tmp_path / name, [entry(1, keypoints=(10.5 + (name == "z"), 20.5, 2) * 17)])
    x, y, z = (read_photographs([tmp_path / name]).digest() for name in "xyz")
    assert x == y != z


def test_photographs_of_another_size_are_named_before_training(tmp_path):
    path = write(tmp_path, [entry(1)])
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((9, 7, 3), np.uint8))
    with pytest.raises(UsageError, match=r"a\.png is 7 x 9 but annotated as 140 x 100"):
        read_photographs([tmp_path])
    with pytest.raises(UsageError, match=r"a\.png is 7 x 9"):
        read_photographs([tmp_path / "images"], [path])


def test_photographs_name_a_missing_file(tmp_path):
    path = write(tmp_path, [entry(1)], images=False)
    with pytest.raises(UsageError, match=r"person_keypoints\.json lists a\.png, which is not in"):
        read_photographs([tmp_path])
    with pytest.raises(UsageError, match=r"lists a\.png"):
        read_photographs([tmp_path / "images"], [path])


def test_photographs_name_truncated_and_empty_files(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    good = cv2.imencode(".jpg", image)[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(good + b"\0" * 20)  # a little behind the end is common
    assert len(read_photographs([tmp_path], unlabelled=True).items) == 1
    (tmp_path / "b.jpg").write_bytes(good[: len(good) // 2])
    with pytest.raises(UsageError, match=r"b\.jpg is a truncated JPEG \(\d+ bytes\); remove it or fetch it again"):
        read_photographs([tmp_path], unlabelled=True)
    (tmp_path / "b.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"b\.jpg is empty"):
        read_photographs([tmp_path], unlabelled=True)


def test_photographs_refuse_a_folder_with_nothing_to_learn_from(tmp_path):
    with pytest.raises(UsageError, match="no photographs in"):
        read_photographs([tmp_path], unlabelled=True)
    with pytest.raises(UsageError, match="no such folder"):
        read_photographs([tmp_path / "x"])
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UsageError, match=r"no photographs with annotated people.*--teacher"):
        read_photographs([tmp_path])
    with pytest.raises(UsageError, match="not a folder"):
        read_photographs([tmp_path / "a.png"])


def test_standing_people_survive_the_round_trip(tmp_path):
    """Person.to_coco and read_annotations are each other's inverse."""
    from models.pose.person import Person

    joints = STANDING * 60 + (40, 20)
    person = Person(np.column_stack([joints, np.ones(18)]), 1.0)
    labels = read_annotations(write(tmp_path, [entry(1, keypoints=person.to_coco(1)["keypoints"])]))["a.png"]
    kept = [part for part in range(18) if PARTS[part] != "neck"]
    np.testing.assert_allclose(labels.people[0, kept], joints[kept], atol=1e-3)
