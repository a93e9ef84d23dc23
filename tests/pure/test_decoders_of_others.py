"""Decoders of PersonLab, centres with displacements, boxes, SimCC and single heatmaps, on maps that are made here."""

from __future__ import annotations

import numpy as np
import pytest

from fleetpose.errors import UsageError
from models.pose.decoding import boxes, centres, personlab
from models.pose.decoding.decoders import Decoding, decoder, decoder_for
from models.pose.decoding.one_person import argmax, simcc
from models.pose.joints import Joints
from models.pose.skeleton import COCO_PARTS, FROM_COCO, PARTS
from models.preprocess import Placement

INPUT, STRIDE = (160, 256), 16
CELLS = (INPUT[0] // STRIDE, INPUT[1] // STRIDE)
WHOLE = Placement(INPUT, INPUT, INPUT)
#: a photograph of twice the content's size, which fills a part of the input
PART = Placement((240, 400), INPUT, (120, 200))
COCO = list(FROM_COCO)


def poses(count=2, seed=0):
    """(count, 17, 2) x, y input pixels; people stand side by side and far apart."""
    random = np.random.default_rng(seed)
    lefts = 20 + 120 * np.arange(count)
    return np.stack([random.uniform((left, 20), (left + 70, 130), (17, 2)) for left in lefts])


def cells_of():
    """(h, w, 2) x, y pixels of every cell."""
    row, column = np.indices(CELLS)
    return np.stack([column, row], axis=-1) * float(STRIDE)


def personlab_maps(people):
    """Heatmaps of discs, and in all cells the vectors of the person whose joint is nearest."""
    cells, count = cells_of(), len(personlab.EDGES)
    heat = np.zeros((17, *CELLS), np.float32)
    offsets = np.zeros((2, 17, *CELLS), np.float32)
    fields = {name: np.zeros((2, count, *CELLS), np.float32) for name in ("forward", "backward")}
    for joint in range(17):
        gap = np.stack([np.hypot(*np.moveaxis(cells - pose[joint], -1, 0)) for pose in people])
        heat[joint] = np.exp(-((gap.min(axis=0) / 20) ** 2))
        nearest = gap.argmin(axis=0)
        offsets[:, joint] = np.moveaxis((people[nearest, joint] - cells)[..., ::-1], -1, 0)
        for edge, (parent, child) in enumerate(personlab.EDGES):
            for name, start, end in (("forward", parent, child), ("backward", child, parent)):
                if start == joint:
                    vector = people[nearest, end] - people[nearest, start]
                    fields[name][:, edge] = np.moveaxis(vector[..., ::-1], -1, 0)
    flat = (offsets, fields["forward"], fields["backward"])
    return (heat, *(maps.reshape(-1, *CELLS) for maps in flat))


def check_people(people, truth, tolerance, score=None):
    """Every true pose is one person's."""
    assert len(people) == len(truth)
    ours = np.stack([person.keypoints[COCO, :2] for person in people])
    gaps = np.abs(ours[:, None] - truth[None]).max(axis=(2, 3))
    assert gaps.min(axis=1).max() <= tolerance
    assert sorted(gaps.argmin(axis=1)) == list(range(len(truth)))


@pytest.mark.parametrize("count", [1, 2])
def test_personlab_grows_every_pose_from_one_joint(count):
    truth = poses(count)
    maps = personlab_maps(truth)
    check_people(personlab.decode(*maps, WHOLE), truth, 0.01)
    check_people(personlab.decode(*maps, PART), PART.to_image(truth), 0.01)
    people = decoder("personlab").decode(dict(zip(decoder("personlab").outputs, maps, strict=True)), INPUT)
    assert [person.count for person in people] == [18] * count


def test_personlab_suppresses_roots_of_a_person_and_shadows():
    truth = poses(1)
    maps = personlab_maps(truth)
    assert len(personlab.decode(*maps, WHOLE, personlab.PersonLabSettings(suppression=1e-6))) >= 1
    assert personlab.decode(maps[0] * 0.09, *maps[1:], WHOLE) == []
    assert len(personlab.decode(*maps, WHOLE, personlab.PersonLabSettings(least_score=1.1))) == 0
    with pytest.raises(UsageError, match="differ in size"):
        personlab.decode(maps[0], maps[1][:, :-1], *maps[2:], WHOLE)
    with pytest.raises(UsageError, match=r"expected short_offsets \(34, h, w\)"):
        personlab.decode(maps[0], maps[1][:-1], *maps[2:], WHOLE)


def centre_maps(people):
    centre_map, fields = np.zeros((1, *CELLS), np.float32), np.zeros((34, *CELLS), np.float32)
    for number, pose in enumerate(people):
        x, y = np.rint(pose.mean(axis=0) / STRIDE).astype(int)
        centre_map[0, y, x] = 0.9 - 0.1 * number
        fields[:, y, x] = (pose / STRIDE - (x, y)).ravel()
    return centre_map, fields


def test_centres_give_displaced_joints_and_their_scores():
    truth = poses(2)
    people = centres.decode(*centre_maps(truth), WHOLE)
    check_people(people, truth, 1e-4)
    np.testing.assert_allclose([person.score for person in people], [0.9, 0.8], atol=1e-6)


def test_displaced_joints_move_to_the_nearest_peak_in_the_box():
    truth = poses(2)
    rough = truth + np.random.default_rng(1).normal(0, 4, truth.shape)
    heat, offsets = np.zeros((17, *CELLS), np.float32), np.zeros((2, *CELLS), np.float32)
    exact = truth.copy()
    for person, pose in enumerate(truth):
        for joint, point in enumerate(pose):
            x, y = np.rint(point / STRIDE).astype(int)
            heat[joint, y, x] = 0.5
            offsets[:, y, x] = point / STRIDE - (x, y)
            exact[person, joint] = point
    people = centres.decode(*centre_maps(rough), WHOLE, joint_heatmaps=heat)
    ours = np.stack([person.keypoints[COCO, :2] for person in people])
    expected = np.rint(truth / STRIDE) * STRIDE
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert all((person.keypoints[COCO, 2] == 0.5).all() for person in people)
    far = np.zeros_like(heat)
    far[:, 0, 0] = 0.9  # outside of both people's boxes
    people = centres.decode(*centre_maps(truth), WHOLE, joint_heatmaps=far, joint_offsets=offsets)
    check_people(people, truth, 1e-3)


def prediction_columns(people, random):
    """Per person a good box and a worse copy of it, among noise below the threshold; (56, places)."""
    columns = random.uniform(0, 100, (40, 56))
    columns[:, 4] = 0.01
    for number, pose in enumerate(people):
        low, high = pose.min(axis=0), pose.max(axis=0)
        for copy, (row, score) in enumerate(((3 + 2 * number, 0.9 - 0.2 * number), (20 + number, 0.3))):
            columns[row, :2], columns[row, 2:4] = (low + high) / 2 + copy, high - low
            columns[row, 4] = score
            columns[row, 5:] = np.column_stack([pose + 0.5 + 9 * copy, np.full(17, 0.6)]).ravel()
    return columns.T.astype(np.float32)


@pytest.mark.parametrize("form", [lambda x: x, lambda x: x[None], lambda x: x.T[None], lambda x: x[None, :, None]])
def test_boxes_of_one_person_are_suppressed(form):
    truth = poses(2)
    columns = form(prediction_columns(truth, np.random.default_rng(0)))
    people = decoder("boxes").decode({"predictions": columns}, INPUT)
    check_people(people, truth, 1e-4)
    np.testing.assert_allclose([person.score for person in people], [0.9, 0.7], atol=1e-6)
    np.testing.assert_allclose(people[0].keypoints[COCO, 2], 0.6, atol=1e-6)


def test_suppression_goes_by_the_overlap():
    pair = np.array([[10, 10, 10, 10], [10, 12, 10, 10]], float)  # 80 of 120 shared
    assert boxes.suppress(pair, 0.66, 9) == [0]
    assert boxes.suppress(pair, 0.67, 9) == [0, 1]
    assert boxes.suppress(pair, 1.0, 1) == [0]
    assert boxes.suppress(np.zeros((0, 4)), 0.5, 9) == []


def test_boxes_refuse_other_shapes_and_values():
    with pytest.raises(UsageError, match=r"expected predictions \(56, places\) of 17 joints, got \(55, 9\)"):
        boxes.decode(np.zeros((55, 9), np.float32), WHOLE)
    with pytest.raises(UsageError, match="not finite"):
        boxes.decode(np.full((56, 9), np.nan, np.float32), WHOLE)


def level_maps(people, bins, strides=(8, 16, 32), size=(160, 256)):
    """Raw maps by name: each person where its middle is, at the stride that its box's sides fit, among low scores."""
    maps = {}
    for stride in strides:
        cells = (size[0] // stride, size[1] // stride)
        maps[f"boxes_{stride}"] = np.zeros((4 * bins, *cells), np.float32)
        maps[f"scores_{stride}"] = np.full((2, *cells), -9, np.float32)
        maps[f"keypoints_{stride}"] = np.zeros((51, *cells), np.float32)
    for pose, stride in zip(people, (16, 32), strict=False):
        low, high = pose.min(axis=0), pose.max(axis=0)
        x, y = ((low + high) / 2 / stride).astype(int)
        middle = np.array([x, y]) + 0.5
        sides = np.concatenate([middle - low / stride, high / stride - middle])
        logits = sides[:, None]
        if bins > 1:  # all of a distribution on the two whole numbers next to the side
            share = np.maximum(1 - np.abs(np.arange(bins) - logits), 0)
            logits = np.log(np.maximum(share, 1e-30))
        maps[f"boxes_{stride}"][:, y, x] = logits.ravel()
        maps[f"scores_{stride}"][1, y, x] = np.log(0.9 / 0.1)
        places = (pose + 0.5) / stride - (x, y)
        joints = np.column_stack([places / 2 if bins > 1 else places - 0.5, np.full(17, np.log(0.6 / 0.4))])
        maps[f"keypoints_{stride}"][:, y, x] = joints.ravel()
    return {name: values[None] for name, values in maps.items()}


@pytest.mark.parametrize("bins", [16, 1])
@pytest.mark.parametrize("strides", [(8, 16, 32), (8, 16, 32, 64)])
def test_raw_levels_of_boxes_are_decoded(bins, strides):
    truth = poses(2)
    maps = level_maps(truth, bins, strides, (192, 256))
    chosen = decoder_for(list(maps))
    assert chosen.name == "box_levels"
    people = chosen.decode(maps, (192, 256))
    check_people(people, truth, 1e-4)
    np.testing.assert_allclose([person.score for person in people], [0.9, 0.9], atol=1e-6)
    np.testing.assert_allclose(people[0].keypoints[COCO, 2], 0.6, atol=1e-6)


def test_raw_levels_are_those_of_columns_that_were_decoded():
    """Random maps, written out cell by cell."""
    random, size = np.random.default_rng(5), (64, 96)
    maps = {name: random.normal(0, 2, values.shape) for name, values in level_maps([], 4, size=size).items()}
    columns = []
    for stride in (8, 16, 32):
        sides, scores, joints = (maps[f"{kind}_{stride}"][0] for kind in ("boxes", "scores", "keypoints"))
        for y, x in np.ndindex(scores.shape[1:]):
            shares = np.exp(sides[:, y, x].reshape(4, 4))
            left, top, right, bottom = (shares @ np.arange(4)) / shares.sum(axis=1)
            box = [x + 0.5 + (right - left) / 2, y + 0.5 + (bottom - top) / 2, left + right, top + bottom]
            points = joints[:, y, x].reshape(17, 3).copy()
            points[:, :2] = (points[:, :2] * 2 + (x, y)) * stride
            points[:, 2] = 1 / (1 + np.exp(-points[:, 2]))
            score = 1 / (1 + np.exp(-scores[:, y, x].max()))
            columns.append([*(np.array(box) * stride), score, *points.ravel()])
    expected = decoder("boxes").decode({"predictions": np.array(columns).T}, size)
    people = decoder("box_levels").decode(maps, size)
    assert len(people) == len(expected) > 5
    for ours, theirs in zip(people, expected, strict=True):
        np.testing.assert_allclose(ours.keypoints, theirs.keypoints, atol=1e-3)


def test_raw_levels_refuse_maps_that_do_not_belong_together():
    maps = level_maps(poses(2), 16)
    with pytest.raises(UsageError, match=r"no \(4 bins, h, w\).*name the maps by what they hold"):
        decoder("box_levels").decode({**maps, "boxes_8": maps["scores_8"]}, INPUT)
    with pytest.raises(UsageError, match="of one only boxes_64 is there; name all three"):
        decoder("box_levels").decode({**maps, "boxes_64": maps["boxes_32"]}, INPUT)


@pytest.mark.parametrize("split", [1, 2, 2.5])
def test_simcc_reads_bins_of_any_width(split):
    (truth,) = poses(1)
    bins = [np.zeros((1, 17, int(side * split)), np.float32) for side in (INPUT[1], INPUT[0])]
    for joint, (x, y) in enumerate(truth):
        bins[0][0, joint, round(x * split)], bins[1][0, joint, round(y * split)] = 0.7, 0.6
    outputs = {"simcc_x": bins[0], "simcc_y": bins[1]}
    check_people(decoder("simcc").decode(outputs, INPUT), truth[None], 0.5 / split + 1e-6)
    (person,) = decoder_for(outputs).decode({name: maps[0][:, None] for name, maps in outputs.items()}, PART)
    check_people([person], PART.to_image(truth)[None], 1 / split + 1e-6)
    np.testing.assert_allclose(person.keypoints[COCO, 2], 0.6)
    bins[0][0, 5] = 0
    (person,) = simcc.decode(*bins, WHOLE)
    assert np.isnan(person.keypoints[PARTS.index("left_shoulder"), 0])
    assert simcc.decode(bins[0] * 0, bins[1], WHOLE) == []


def gaussians(points, size, sigma=2.0):
    """(joints, h, w) heatmaps with means at points, in cells."""
    row, column = np.indices(size)
    return np.stack([np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2)) for x, y in points])


@pytest.mark.parametrize(("shift", "tolerance"), [("none", 0.5), ("quarter", 0.25), ("dark", 0.01)])
def test_argmax_places_joints_between_cells(shift, tolerance):
    size, stride = (64, 48), 4
    points = np.random.default_rng(2).uniform((8, 8), (39, 55), (17, 2))
    heat = gaussians(points, size).astype(np.float32)
    placement = Placement(*[(256, 192)] * 3)
    (person,) = argmax.decode(heat, placement, argmax.ArgmaxSettings(shift=shift))
    gap = np.abs(person.keypoints[COCO, :2] - points * stride).max() / stride
    assert tolerance / 10 < gap <= tolerance or (shift == "dark" and gap <= tolerance)
    (person,) = argmax.decode(heat, placement, argmax.ArgmaxSettings(shift=shift, corner_aligned=False))
    assert np.abs(person.keypoints[COCO, :2] - ((points + 0.5) * stride - 0.5)).max() / stride <= tolerance


def test_argmax_finds_no_joint_on_flat_maps_and_stays_at_edges():
    heat = np.zeros((17, 8, 6), np.float32)
    assert argmax.decode(heat, WHOLE) == []
    heat[3, 0, 5] = 0.4
    for shift in argmax.SHIFTS:
        (person,) = argmax.decode(heat, Placement(*[(8, 6)] * 3), argmax.ArgmaxSettings(shift=shift))
        assert person.count == 1
        np.testing.assert_allclose(person.keypoints[PARTS.index("left_ear")], (5, 0, 0.4), atol=1e-6)
    with pytest.raises(UsageError, match="shift is one of none, quarter, dark"):
        argmax.ArgmaxSettings(shift="half")


def test_other_joint_sets_go_by_name_and_keep_what_has_no_part():
    joints = ("Right Hip", "neck", "thorax", "left-wrist")
    heat = gaussians([(3, 4), (5, 6), (7, 8), (9, 2)], (12, 14)).astype(np.float32)
    decoding = Decoding(joints=joints, settings={"shift": "none", "corner_aligned": False})
    (person,) = decoder_for(["heatmaps"], decoding).decode({"heatmaps": heat}, (12, 14))
    assert person.count == 3
    for part, point in (("right_hip", (3, 4)), ("neck", (5, 6)), ("left_wrist", (9, 2))):
        np.testing.assert_allclose(person.keypoints[PARTS.index(part), :2], point, atol=1e-6)
    assert person.more == {"thorax": (7.0, 8.0, 1.0)}
    assert len(Joints()) == 17 == len(COCO_PARTS)


def test_what_a_description_says_of_decoding_is_checked():
    with pytest.raises(UsageError, match="personlab decoding knows COCO's 17 joints only, not a, b"):
        decoder_for(decoder("personlab").outputs, Decoding(joints=("a", "b")))
    with pytest.raises(UsageError, match="did you mean 'simcc'"):
        decoder_for(["simcc_x", "simcc_y"], Decoding("simc"))
    with pytest.raises(UsageError, match="people are decoded from predictions"):
        decoder_for(["heatmaps"], Decoding("boxes"))
    with pytest.raises(UsageError, match="settings of heatmap_argmax decoding"):
        decoder_for(["heatmaps"], Decoding(settings={"shif": 1})).decode({"heatmaps": np.zeros((17, 4, 4))}, (4, 4))
    with pytest.raises(UsageError, match="joints are different names"):
        Joints(("a", "A"))
