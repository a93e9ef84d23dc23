"""OKS evaluation on a small synthetic COCO file, judged by pycocotools itself."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from fleetpose.errors import UsageError
from models.accuracy.bootstrap import bootstrap_ap, draw_ap, gain
from models.accuracy.matches import SIZES, average_precision
from models.accuracy.oks import evaluate_keypoints, pool
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS, FROM_COCO

IMAGES, HEIGHT, WIDTH = 6, 240, 320


def person(joints, score=10.0):
    return Person(np.column_stack([joints, np.ones(18)]), score)


@pytest.fixture
def coco(tmp_path):
    """(annotation file, image folder, the true people of each image); image i is uniformly grey 10 i.

    Image 0 has nobody; odd images have one person, even ones three, the last of whom is small.
    """
    random = np.random.default_rng(0)
    images, annotations, truth = [], [], []
    for index in range(IMAGES):
        name = f"{index:03}.png"
        cv2.imwrite(str(tmp_path / name), np.full((HEIGHT, WIDTH, 3), 10 * index, np.uint8))
        images.append({"id": 100 - index, "file_name": name, "height": HEIGHT, "width": WIDTH})
        here = []
        for number in range(0 if index == 0 else 1 + 2 * (index % 2 == 0)):
            size = 220 if number < 2 else 100
            joints = STANDING * size + random.uniform((60, 5), (240, 20))
            here.append(joints)
            annotations.append(annotation(len(annotations) + 1, 100 - index, joints))
        truth.append(here)
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_PARTS), "skeleton": []}]
    path = tmp_path / "person_keypoints.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path, tmp_path, truth


def annotation(number, image_id, joints):
    xy = joints[list(FROM_COCO)] + 0.5
    (left, top), (right, bottom) = xy.min(axis=0), xy.max(axis=0)
    keypoints = np.column_stack([xy, np.full(17, 2)]).ravel().tolist()
    box = [left, top, right - left, bottom - top]
    fields = {"id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "num_keypoints": 17}
    return {**fields, "keypoints": keypoints, "bbox": box, "area": box[2] * box[3] * 0.7}


def answers(truth, change=lambda joints, index: joints):
    """A `people_of` that knows the truth by the image's grey, and changes it."""
    return lambda image: [
        person(change(joints, image[0, 0, 0] // 10), score=10 + joints[0, 0] / 100)  # no two alike
        for joints in truth[image[0, 0, 0] // 10]
    ]


def jitter(size):
    random = np.random.default_rng(1)
    return lambda joints, index: joints + random.normal(0, size, joints.shape)


def test_evaluate_of_perfect_people_is_ap_1(coco, capsys):
    path, folder, truth = coco
    calls = []
    result = evaluate_keypoints(path, folder, answers(truth), progress=lambda *at: calls.append(at))
    assert result.ap == pytest.approx(1)
    assert result.ar == pytest.approx(1)
    assert result.ap_medium == pytest.approx(1)
    assert result.ap_large == pytest.approx(1)
    assert calls == [(done, IMAGES) for done in range(1, IMAGES + 1)]
    assert capsys.readouterr().out == ""
    assert json.loads(json.dumps(result.to_dict()))["images"] == IMAGES


def test_per_image_results_follow_the_annotations_order(coco):
    path, folder, truth = coco
    results = evaluate_keypoints(path, folder, answers(truth)).per_image
    assert [result.file_name for result in results] == [f"{index:03}.png" for index in range(IMAGES)]
    assert [result.truths for result in results] == [len(here) for here in truth]
    assert [result.people for result in results] == [len(here) for here in truth]
    assert [result.right for result in results] == [len(here) for here in truth]


def test_evaluate_of_worse_people_is_a_lower_ap(coco):
    path, folder, truth = coco
    near = evaluate_keypoints(path, folder, answers(truth, jitter(3)))
    far = evaluate_keypoints(path, folder, answers(truth, jitter(9)))
    assert 1 > near.ap > far.ap
    assert near.ap_50 >= near.ap_75


def test_people_of_another_image_score_next_to_nothing(coco):
    path, folder, truth = coco
    turned = truth[1:] + truth[:1]
    assert evaluate_keypoints(path, folder, answers(turned)).ap < 0.5


def test_evaluate_of_shuffled_joints_is_wrong(coco):
    path, folder, truth = coco
    order = np.random.default_rng(0).permutation(18)
    assert evaluate_keypoints(path, folder, answers(truth, lambda joints, _: joints[order])).ap < 0.1


def test_evaluate_of_nobody_found_is_ap_0(coco):
    path, folder, _ = coco
    result = evaluate_keypoints(path, folder, lambda image: [])
    assert result.ap == 0
    assert result.ar == 0


def test_people_where_nobody_is_cost_precision(coco):
    path, folder, truth = coco
    ghost = person(STANDING * 200 + (150, 10), score=99.0)
    plain = evaluate_keypoints(path, folder, answers(truth))
    haunted = evaluate_keypoints(
        path, folder, lambda image: answers(truth)(image) + [ghost] * bool(image[0, 0, 0] == 0)
    )
    assert haunted.ap < plain.ap


@pytest.mark.parametrize("size", [0, 2, 5, 8, 15])
def test_average_precision_equals_pycocotools(coco, size):
    path, folder, truth = coco
    result = evaluate_keypoints(path, folder, answers(truth, jitter(size)))
    assert average_precision(result.per_image) == pytest.approx(result.ap, abs=1e-9)
    for kind in SIZES:
        assert average_precision(result.per_image, kind) == pytest.approx(getattr(result, f"ap_{kind}"), abs=1e-9)


def part_of(path, name, indices):
    """An annotation file of some of the images."""
    whole = json.loads(path.read_text())
    images = [whole["images"][index] for index in indices]
    ids = {image["id"] for image in images}
    annotations = [entry for entry in whole["annotations"] if entry["image_id"] in ids]
    part = path.with_name(name)
    part.write_text(json.dumps({**whole, "images": images, "annotations": annotations}))
    return part


def test_a_pool_of_sets_has_the_metrics_of_all_photographs_together(coco):
    path, folder, truth = coco
    whole = evaluate_keypoints(path, folder, answers(truth, jitter(6)))
    noise, parts = jitter(6), []
    for name, indices in (("first.json", range(2)), ("second.json", range(2, IMAGES))):
        parts.append(evaluate_keypoints(part_of(path, name, indices), folder, answers(truth, noise)))
    pooled = pool(parts)
    assert pooled.to_dict() == pytest.approx(whole.to_dict(), abs=1e-9)
    assert pooled.ap != pytest.approx((parts[0].ap + parts[1].ap) / 2, abs=1e-3), "no mean of means"
    assert bootstrap_ap(pooled, samples=100) == pytest.approx(bootstrap_ap(whole, samples=100))


def test_a_pool_of_nobody_has_no_metrics(coco):
    path, folder, truth = coco
    empty = part_of(path, "empty.json", [0])
    values = pool([evaluate_keypoints(empty, folder, answers(truth))] * 2).to_dict()
    assert values.pop("images") == 2
    assert set(values.values()) == {None}


def test_what_a_difference_must_be_to_show(coco):
    path, folder, truth = coco
    near, far = (evaluate_keypoints(path, folder, answers(truth, jitter(size))) for size in (3, 9))
    gained = gain(near, far, 400, 0.95, 0)
    assert gained["ap"] == pytest.approx(near.ap - far.ap)
    low, high = gained["ap_interval"]
    assert gained["resolves"] == pytest.approx((high - low) / 3.92 * 2.8, rel=0.3)  # were it a normal distribution
    assert gain(near, near, 50, 0.95, 0)["resolves"] is None
    assert (
        draw_ap(near, far, size="medium").low
        <= near.ap_medium - far.ap_medium
        <= draw_ap(near, far, size="medium").high
    )


def test_bootstrap_holds_the_ap_and_repeats(coco):
    path, folder, truth = coco
    result = evaluate_keypoints(path, folder, answers(truth, jitter(6)))
    low, high = bootstrap_ap(result, samples=200)
    assert 0 <= low < result.ap < high <= 1
    assert (low, high) == bootstrap_ap(result, samples=200)


def test_paired_bootstrap_sees_a_difference_and_none(coco):
    path, folder, truth = coco
    near = evaluate_keypoints(path, folder, answers(truth, jitter(3)))
    far = evaluate_keypoints(path, folder, answers(truth, jitter(9)))
    assert bootstrap_ap(near, near, samples=50) == (0, 0)
    low, high = bootstrap_ap(near, far, samples=200)
    assert 0 < low < near.ap - far.ap < high


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_evaluate_names_missing_files(coco):
    path, folder, truth = coco
    with pytest.raises(UsageError, match=r"cannot read the annotations .*nowhere\.json"):
        evaluate_keypoints(folder / "nowhere.json", folder, answers(truth))
    (folder / "003.png").unlink()
    with pytest.raises(UsageError, match=r"1 of 6 photographs are missing in .*, the first is .*003\.png"):
        evaluate_keypoints(path, folder, answers(truth))


def test_a_broken_photograph_is_named(coco):
    path, folder, truth = coco
    (folder / "003.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"003\.png"):
        evaluate_keypoints(path, folder, answers(truth))


def test_a_photograph_of_another_size_is_refused(coco):
    path, folder, truth = coco
    cv2.imwrite(str(folder / "003.png"), np.zeros((HEIGHT, 30, 3), np.uint8))
    with pytest.raises(UsageError, match=r"003\.png is 30 x 240 but annotated as 320 x 240"):
        evaluate_keypoints(path, folder, answers(truth))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[1, 2", '{"images": [], "annotations": [], "categories": []}', '{"images": 3}']
)
def test_what_is_no_annotation_file_is_refused(coco, text):
    path, folder, truth = coco
    path.write_text(text)
    with pytest.raises(UsageError):
        evaluate_keypoints(path, folder, answers(truth))


def test_annotations_without_keypoints_are_refused(coco):
    path, folder, truth = coco
    entry = json.loads(path.read_text())["annotations"][0]
    change(path, annotations=[{name: value for name, value in entry.items() if name != "keypoints"}])
    with pytest.raises(UsageError, match="keypoint"):
        evaluate_keypoints(path, folder, answers(truth))


def test_photographs_without_annotated_people_have_no_ap(coco):
    path, folder, truth = coco
    change(path, annotations=[])
    result = evaluate_keypoints(path, folder, answers(truth))
    assert result.ap is None
    assert average_precision(result.per_image) is None
    with pytest.raises(UsageError, match="no annotated person"):
        bootstrap_ap(result)


def test_evaluations_of_different_photographs_are_not_paired(coco):
    path, folder, truth = coco
    whole = evaluate_keypoints(path, folder, answers(truth))
    change(path, images=json.loads(path.read_text())["images"][:3])
    with pytest.raises(UsageError, match="different photographs"):
        bootstrap_ap(whole, evaluate_keypoints(path, folder, answers(truth)))
