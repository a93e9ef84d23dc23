"""People's own annotation files: every way to write the same thing reads the same; the rest is refused by name."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from fleetpose import cli
from fleetpose.errors import UsageError
from models import evaluate
from models.accuracy.oks import evaluate_keypoints
from models.annotations.areas import BOX_SHARE
from models.annotations.reading import read_coco
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS, FROM_COCO
from models.train.data.annotations import labels_of
from tests.sample_annotations import NAMES, SIZE, entry, sample_content, sample_people, write

NAN = float("nan")


@pytest.fixture
def truth():
    return sample_people()


@pytest.fixture
def content(truth):
    return sample_content(truth)


def evaluated(folder, content, truth):
    """The metrics of people who are found beside where they are, the last of them not at all."""
    for place, name in enumerate(NAMES):
        cv2.imwrite(str(folder / name), np.full((*SIZE, 3), 10 * place, np.uint8))
    random = np.random.default_rng(1)
    found = [
        [Person(np.column_stack([joints + random.normal(0, 5, (18, 2)), np.ones(18)]), 9.0 - number)
         for number, joints in enumerate(here)]
        for here in truth
    ]  # fmt: skip
    found[-1].pop()
    evaluation = evaluate_keypoints(write(folder, content), folder, lambda image: found[image[0, 0, 0] // 10])
    return evaluation.to_dict()


def each(field, value):
    """Sets a field of all annotations; a value of None removes it."""

    def change(content):
        for number, annotation in enumerate(content["annotations"]):
            annotation.pop(field, None)
            if value is not None:
                annotation[field] = value(number) if callable(value) else value

    return change


def image_ids(new_id):
    def change(content):
        for image in content["images"]:
            image["id"] = new_id(image["id"])
        for annotation in content["annotations"]:
            annotation["image_id"] = new_id(annotation["image_id"])

    return change


def mixed_ids(content):
    """Texts here and numbers there, of the same ids."""
    for image in content["images"]:
        image["id"] = str(image["id"])
    for number, annotation in enumerate(content["annotations"]):
        annotation["image_id"] = [int, float, str][number % 3](annotation["image_id"])


def floats(content):
    for annotation in content["annotations"]:
        annotation["keypoints"] = [float(value) for value in annotation["keypoints"]]
        annotation["keypoints"][2::3] = [2.0, 1.0, 0.7] * 5 + [3, True]


def unlabelled_nowhere(content):
    """Not labelled, and so without a place; labelled in none of the variants that this is compared with."""
    for annotation in content["annotations"]:
        annotation["keypoints"][:3] = [None, NAN, 0]


def other_category(content):
    content["categories"] = [
        {"id": 1, "name": "dog"},
        {"id": "7", "name": "Person", "keypoints": list(COCO_PARTS)},
        {"id": 8, "name": "horse", "keypoints": ["nose"]},
    ]
    for annotation in content["annotations"]:
        annotation["category_id"] = 7
    content["annotations"].insert(0, {"id": 50, "image_id": 30, "category_id": 1, "bbox": [0, 0, 5, 5]})


def unnamed_category(content):
    content["categories"] = [{"id": 4, "name": "swimmer", "keypoints": list(COCO_PARTS)}, {"id": 5, "name": "pool"}]
    each("category_id", 4)(content)


def order_of_names(content):
    """Keypoints in the order of their names, with others between them."""
    names = ["neck", *reversed(COCO_PARTS)]
    content["categories"][0]["keypoints"] = [name.replace("_", " ").title() for name in names]
    for annotation in content["annotations"]:
        rows = [annotation["keypoints"][at : at + 3] for at in range(0, 51, 3)]
        annotation["keypoints"] = [1, 2, 2, *(value for row in reversed(rows) for value in row)]


def unlisted(content):
    content["annotations"].append({**content["annotations"][0], "image_id": 99})


SAME = {
    "ids from 0": each("id", lambda number: number),
    "ids repeated": each("id", 3),
    "ids absent": each("id", None),
    "ids are texts": each("id", "{}x".format),
    "image ids are numbers as texts": image_ids(str),
    "image ids are texts": image_ids("photo-{}".format),
    "image ids are of several kinds": mixed_ids,
    "image ids begin at 0": image_ids(lambda number: number - 28),
    "iscrowd absent": each("iscrowd", None),
    "iscrowd a text": each("iscrowd", "0"),
    "iscrowd a truth": each("iscrowd", lambda _: False),
    "num_keypoints absent": each("num_keypoints", None),
    "num_keypoints wrong": each("num_keypoints", 0),
    "segmentation absent": each("segmentation", None),
    "visibilities are floats": floats,
    "bbox absent": each("bbox", None),
    "area absent": each("area", None),
    "area 0": each("area", 0),
    "another category": other_category,
    "a category of another name": unnamed_category,
    "category_id absent": each("category_id", None),
    "no categories": lambda content: content.pop("categories"),
    "keypoints in another order": order_of_names,
    "an annotation of an unlisted photograph": unlisted,
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_same_people_written_otherwise_have_the_same_metrics(tmp_path, content, truth, change):
    plain = evaluated(tmp_path, content, truth)
    assert 0.2 < plain["ap"] < 0.9
    change(content)
    assert evaluated(tmp_path, content, truth) == pytest.approx(plain, abs=1e-9)


def test_what_is_not_labelled_needs_no_place(tmp_path, content, truth):
    for annotation in content["annotations"]:
        annotation["keypoints"][:3] = [0, 0, 0]
    plain = evaluated(tmp_path, content, truth)
    unlabelled_nowhere(content)
    assert evaluated(tmp_path, content, truth) == pytest.approx(plain)


def test_crowds_and_people_without_keypoints_do_not_count(tmp_path, content, truth):
    plain = evaluated(tmp_path, content, truth)
    uncounted = ({"iscrowd": "1"}, {"keypoints": None}, {"keypoints": [0] * 51}, {"iscrowd": 1.0})
    for number, changes in enumerate(uncounted):
        extra = {**entry(90 + number, 30, STANDING * 50), **changes, "bbox": [280, 200, 20, 30]}
        content["annotations"].append(extra)
    assert evaluated(tmp_path, content, truth) == pytest.approx(plain)
    (photograph, *_) = read_coco(write(tmp_path, content))
    assert photograph.counted.tolist() == [True, True, False, False, False, False]


def test_area_is_the_outlines_or_a_share_of_the_box(tmp_path, content):
    stated, outlined, boxed, bare = content["annotations"][:4]
    stated["area"] = 777
    outlined |= {"area": None, "segmentation": [[10, 10, 50, 10, 50, 30, 10, 30], [60, 60, 70, 60, 70, 70, 60, 70]]}
    boxed |= {"area": 0, "segmentation": None, "bbox": [10, 10, 40, 100]}
    bare |= {"area": 0, "segmentation": [], "bbox": [0, 0, 0, 0]}
    first, second, third = read_coco(write(tmp_path, content))
    assert first.areas.tolist() == [777, 40 * 20 + 100]
    assert second.areas.tolist() == [BOX_SHARE * 4000]
    height = 0.73 * third.boxes[0, 3]
    assert third.boxes[0].tolist() == pytest.approx(entry(0, 0, third_joints(content))["bbox"])
    assert third.areas[0] == pytest.approx(height * max(third.boxes[0, 2], third.boxes[0, 3] / 3))


def third_joints(content):
    joints = np.zeros((18, 2))
    joints[list(FROM_COCO)] = np.reshape(content["annotations"][3]["keypoints"], (17, 3))[:, :2] - 0.5
    return joints


@pytest.mark.parametrize("kind", ["uncompressed", "compressed"])
def test_area_and_box_of_run_lengths(tmp_path, content, kind):
    from pycocotools import mask as coco_mask

    mask = np.zeros(SIZE, np.uint8)
    mask[20:60, 100:130] = 1
    mask[200:203, 7:9] = 1
    code = coco_mask.encode(np.asfortranarray(mask))
    runs, outside = [], 0
    for value in mask.T.ravel().tolist():
        if value != outside:
            runs.append(0)
            outside = value
        runs = runs or [0]
        runs[-1] += 1
    segmentation = {"size": list(SIZE), "counts": code["counts"].decode() if kind == "compressed" else runs}
    crowd = {"segmentation": segmentation, "area": None, "bbox": None, "keypoints": [0] * 51, "iscrowd": 1}
    content["annotations"][2] |= crowd
    photograph = read_coco(write(tmp_path, content))[1]
    assert photograph.areas.tolist() == [40 * 30 + 6]
    assert photograph.boxes.tolist() == [[7, 20, 123, 183]]
    np.testing.assert_array_equal(labels_of(photograph).ignored_mask(), mask)


def in_entry(**fields):
    return lambda content: content["annotations"][2].update(fields)


def in_image(**fields):
    return lambda content: content["images"][1].update(fields)


REFUSED = {
    "keypoints too few": (in_entry(keypoints=[1, 2, 3]), r"annotation 3 of b\.png: keypoints is not 51 finite numbers"),
    "keypoints too many": (in_entry(keypoints=[1] * 54), "keypoints is not 51"),
    "keypoints nested": (in_entry(keypoints=[[1, 2, 2]] * 17), "keypoints is not 51"),
    "keypoints deeper": (in_entry(keypoints=[[1]] * 51), "keypoints is not 51"),
    "keypoints texts": (in_entry(keypoints=["x"] * 51), "keypoints is not 51"),
    "keypoints an object": (in_entry(keypoints={"x": 1}), "keypoints is not 51"),
    "keypoints a number": (in_entry(keypoints=3), "keypoints is not 51"),
    "a keypoint is nowhere": (in_entry(keypoints=[None, 3, 2] * 17), "a labelled keypoint lies at no place"),
    "a keypoint is not finite": (in_entry(keypoints=[1e999, 3, 2] * 17), "a labelled keypoint lies at no place"),
    "a keypoint is far away": (in_entry(keypoints=[1e300, 3, 2] * 17), "a labelled keypoint lies at no place"),
    "a visibility is null": (in_entry(keypoints=[1, 3, None] * 17), "a visibility in its keypoints is no number"),
    "iscrowd": (in_entry(iscrowd="maybe"), r"annotation 3 of b\.png: iscrowd is neither 0 nor 1 but 'maybe'"),
    "iscrowd a list": (in_entry(iscrowd=[0]), "iscrowd is neither"),
    "iscrowd 2": (in_entry(iscrowd=2), "iscrowd is neither"),
    "bbox huge": (in_entry(bbox=[0, 0, 1e300, 1e300]), r"annotation 3 of b\.png: bbox is no box in a picture: \[0"),
    "bbox negative": (in_entry(bbox=[0, 0, -4, 4]), "bbox is no box"),
    "bbox of three": (in_entry(bbox=[0, 0, 4]), "bbox is not 4 finite numbers"),
    "bbox half null": (in_entry(bbox=[0, 0, 4, None]), "bbox is no box"),
    "area negative": (in_entry(area=-1), r"annotation 3 of b\.png: area -1 is nobody's in such a picture"),
    "area huge": (in_entry(area=1e300), "area 1e\\+300 is nobody's"),
    "area a list": (in_entry(area=[3]), "area is not a finite number"),
    "nothing known": (
        in_entry(keypoints=[0] * 51, bbox=None, segmentation=None),
        r"annotation 3 of b\.png has no labelled keypoint, no bbox and no segmentation",
    ),
    "segmentation, which the area is of": (
        in_entry(area=None, segmentation=[[1, 2, 3, 4, 1e300, 6]]),
        r"annotation 3 of b\.png: its segmentation has a corner that no picture has",
    ),
    "segmentation endless": (in_entry(area=None, segmentation=[[0, 0, 9e4, 9e4] * 99]), "is longer than 1000000 pix"),
    "run lengths": (
        in_entry(area=None, segmentation={"size": list(SIZE), "counts": [5, 5]}),
        "the run lengths of its segmentation do not add up to 240 x 320 pixels",
    ),
    "run lengths compressed": (
        in_entry(area=None, segmentation={"size": list(SIZE), "counts": "0o"}),
        "its segmentation is none of COCO's kinds",
    ),
    "image id twice": (in_image(id=30), r"a\.png and b\.png have one id, 30; ids must differ"),
    "image id twice, as a text": (in_image(id="30"), r"a\.png and b\.png have one id"),
    "image id null": (in_image(id=None), r"b\.png has no id but None"),
    "image listed twice": (in_image(file_name="a.png"), r"lists a\.png twice"),
    "image without a name": (in_image(file_name=None), "photograph 2 has no file_name but None"),
    "image without height": (in_image(height=None), r"b\.png: its height is not a number of pixels but None"),
    "image of no width": (in_image(width=0), r"b\.png: its width is not a number of pixels but 0"),
    "image of half a pixel": (in_image(width=0.5), r"b\.png: its width"),
    "image too large": (in_image(width=1 << 20, height=1 << 20), "more pixels than OpenCV reads"),
    "image of another size": (in_image(width=300), r"b\.png is 320 x 240 but annotated as 300 x 240"),
    "image missing": (in_image(file_name="d.png"), r"1 of 3 photographs are missing in .*, the first is .*d\.png"),
    "image of no file's name": (in_image(file_name="d\0.png"), "has a text with a zero byte"),
    "image of too long a name": (in_image(file_name="d" * 4000), "1 of 3 photographs are missing"),
    "nobody has keypoints": (each("keypoints", None), "no other has; give COCO's person_keypoints"),
    "all of other photographs": (each("image_id", 7), "image 7, which the file does not list, and so are all others"),
    "all of another category": (each("category_id", 5), "none of 5 annotations is of its category of people, 1"),
    "categories nobody can tell": (
        lambda content: content.update(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]),
        "which of its categories is the person",
    ),
    "14 keypoints": (
        lambda content: content["categories"][0].update(keypoints=[f"joint {number}" for number in range(14)]),
        "of its people's 14 keypoints none is called nose; COCO's 17 are needed",
    ),
    "an annotation is a list": (
        lambda content: content["annotations"].append([]),
        r"an annotation is no object but \[\]",
    ),
    "a crowd in one picture": (
        lambda content: content["annotations"].extend([content["annotations"][2]] * 1000),
        r"b\.png has 1001 annotations; more than 1000 are not taken",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_understood_is_refused_before_any_network_runs(tmp_path, content, change, message):
    for name in NAMES:
        cv2.imwrite(str(tmp_path / name), np.zeros((*SIZE, 3), np.uint8))
    change(content)

    def network(image):
        pytest.fail("it ran")

    with pytest.raises(UsageError, match=message) as caught:
        evaluate_keypoints(write(tmp_path, content), tmp_path, network)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value).replace(str(tmp_path), "")) < 320


@pytest.mark.parametrize("name", ["c.png", "c.jpg"])
def test_a_damaged_photograph_is_named_before_any_network_runs(tmp_path, content, name):
    for other in NAMES:
        cv2.imwrite(str(tmp_path / other), np.zeros((*SIZE, 3), np.uint8))
    content["images"][2]["file_name"] = name
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    whole = cv2.imencode(name[1:], noise)[1].tobytes()
    path = write(tmp_path, content)
    for damaged, message in ((b"", "is empty"), (whole[:-400], "is a truncated"), (b"x" * 99, "is not an image")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(UsageError, match=rf"{name} {message}"):
            evaluate_keypoints(path, tmp_path, lambda _: pytest.fail("it ran"))


def test_evaluate_command_looks_at_all_sets_before_it_makes_a_network(tmp_path, content, capsys):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        (folder / "images").mkdir(parents=True)
        for name in NAMES:
            cv2.imwrite(str(folder / "images" / name), np.zeros((*SIZE, 3), np.uint8))
        (folder / "person_keypoints.json").write_text(json.dumps(content))
    (folders[1] / "images" / "b.png").write_bytes(b"no picture")
    flags = ["--model", "resnet50", "--weights", str(tmp_path / "none.pth"), "--data", *map(str, folders)]
    assert cli.run(evaluate.main, evaluate.make_parser(), flags) == 2
    assert "second/images/b.png is not an image" in capsys.readouterr().err


def test_photographs_in_which_nobody_counts_are_said(tmp_path, content, truth, caplog):
    each("keypoints", [0] * 51)(content)
    assert evaluated(tmp_path, content, truth)["ap"] is None
    assert "nobody has a labelled keypoint, so that there is no AP" in caplog.text


def test_many_annotations_are_read_as_one_by_one(tmp_path, content):
    """Blocks of annotations are converted at one go; one odd entry in the midst of them changes none of the others."""
    plain = content["annotations"][2]
    content["annotations"] = [dict(plain) for _ in range(900)]
    content["annotations"][500]["keypoints"] = [str(value) for value in plain["keypoints"]]
    content["annotations"][7]["keypoints"] = None
    photograph = read_coco(write(tmp_path, content))[1]
    wanted = np.reshape(plain["keypoints"], (17, 3))
    assert len(photograph.keypoints) == 900
    assert photograph.labelled[7] == 0
    others = np.arange(900) != 7
    np.testing.assert_array_equal(photograph.keypoints[others], np.broadcast_to(wanted, (899, 17, 3)))
