"""Maps -> people: crowds of known people, the plain reference decoder, and hostile maps."""

import numpy as np
import pytest

from benchmarks.synthetic_people import crowd, render_fields
from fleetpose.errors import UsageError
from models.pose.decoding.paf import PafSettings, decode
from models.pose.decoding.peaks import find_peaks
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS, COCO_SIGMAS, FROM_COCO, HEATMAPS, LIMBS, PAF_CHANNELS, PAFS, PARTS
from models.preprocess import Placement
from tests.pure.reference_decoder import find_peaks as reference_peaks
from tests.pure.reference_decoder import reference_decode, upsample

SIZE = (46, 46)


def render(people, size, noise=0.0, random=None):
    """heatmaps and pafs."""
    return tuple(render_fields(people, size, noise, random).values())


def in_cells(size):
    """A placement in which photograph pixels are cells."""
    return Placement(size, size, size)


def distances(found, truth):
    """(len(found), len(truth)): the farthest joint, cells; infinite where one has a joint that the other lacks."""
    found = np.array([getattr(person, "keypoints", person)[:, :2] for person in found]).reshape(-1, 1, 18, 2)
    truth = np.asarray(truth)[None]
    gap = np.hypot(*np.moveaxis(found - truth, -1, 0))
    gap[np.isnan(found[..., 0]) & np.isnan(truth[..., 0])] = 0
    return np.nan_to_num(gap, nan=np.inf).max(axis=2)


def assert_same_people(found, truth, tolerance):
    assert len(found) == len(truth)
    if len(truth):
        gaps = distances(found, truth)
        assert gaps.min(axis=0).max() <= tolerance
        assert sorted(gaps.argmin(axis=0)) == list(range(len(truth)))


def test_skeleton_joins_every_keypoint():
    assert sorted(channel for pair in PAF_CHANNELS for channel in pair) == list(range(PAFS))
    assert len(PARTS) == HEATMAPS - 1
    assert len(LIMBS) == len(PAF_CHANNELS)
    ends = [end for _, end in LIMBS[:17]]
    assert sorted([*ends, PARTS.index("neck")]) == list(range(18))
    assert all(start in (1, *ends[:at]) for at, (start, _) in enumerate(LIMBS[:17]))


def test_coco_order_is_the_documented_one():
    # pose.md: COCO index of each of the 18 parts.
    documented = [0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert [COCO_PARTS.index(part) if part != "neck" else None for part in PARTS] == documented
    assert all(PARTS[FROM_COCO[at]] == part for at, part in enumerate(COCO_PARTS))


def test_sigmas_are_those_of_pycocotools():
    from pycocotools.cocoeval import Params

    np.testing.assert_allclose(COCO_SIGMAS, Params(iouType="keypoints").kpt_oks_sigmas)


@pytest.mark.parametrize("number", [0, 1, 5, 20, 30])
@pytest.mark.parametrize("seed", range(3))
def test_paf_decoder_finds_every_joint_of_every_person(number, seed):
    people = crowd(np.random.default_rng([number, seed]), number, SIZE) if number else np.zeros((0, 18, 2))
    found = decode(*render(people, SIZE), in_cells(SIZE))
    assert_same_people(found, people, tolerance=0.1)
    assert all(person.count == 18 for person in found)


@pytest.mark.parametrize("size", [(46, 93), (60, 31)])
def test_paf_decoder_takes_maps_of_any_shape(size):
    people = crowd(np.random.default_rng(5), 6, size)
    assert_same_people(decode(*render(people, size), in_cells(size)), people, tolerance=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_people_who_overlap_are_told_apart(seed):
    random = np.random.default_rng(seed)
    left = crowd(random, 1, SIZE)[0]
    people = np.array([left, left + np.array([random.uniform(4, 6), random.uniform(-2, 2)])])
    assert_same_people(decode(*render(people, SIZE), in_cells(SIZE)), people, tolerance=0.35)


def test_people_who_cross_do_not_swap_legs():
    one = crowd(np.random.default_rng(0), 1, SIZE)[0]
    other = one + np.array([9.0, 1.5])
    other[[8, 9, 10, 11, 12, 13], 0] -= 6  # a stride to the left, towards the first person
    assert_same_people(decode(*render([one, other], SIZE), in_cells(SIZE)), [one, other], tolerance=0.35)


@pytest.mark.parametrize(
    "hidden", [["nose"], ["left_wrist", "right_ankle"], ["right_eye", "right_ear"], list(PARTS[8:14])]
)
def test_paf_decoder_leaves_absent_joints_out(hidden):
    people = crowd(np.random.default_rng(1), 3, SIZE)
    people[1, [PARTS.index(part) for part in hidden]] = np.nan
    if hidden == ["nose"]:  # eyes and ears hang on the nose
        people[1, [14, 15]] = np.nan
        people[1, [16, 17]] = np.nan
    assert_same_people(decode(*render(people, SIZE), in_cells(SIZE)), people, tolerance=0.1)


def test_an_ear_without_its_eye_is_joined_through_the_shoulder():
    people = crowd(np.random.default_rng(2), 1, SIZE)
    people[0, PARTS.index("left_eye")] = np.nan
    (found,) = decode(*render(people, SIZE), in_cells(SIZE))
    assert_same_people([found], people, tolerance=0.1)


def test_paf_decoder_takes_two_joints_for_nobody():
    people = np.full((1, 18, 2), np.nan)
    people[0, [1, 2]] = [(20, 20), (26, 20)]
    assert decode(*render(people, SIZE), in_cells(SIZE)) == []
    people[0, 3] = (26, 27)
    assert len(decode(*render(people, SIZE), in_cells(SIZE))) == 1


def test_keypoints_come_in_photograph_pixels_and_the_best_person_first():
    people = crowd(np.random.default_rng(3), 4, SIZE)
    people[2, 8:14] = np.nan
    placement = Placement((720, 600), (368, 368), (368, 307))
    found = decode(*render(people, SIZE), placement)
    assert_same_people(found, [placement.cells_to_image(joints, SIZE) for joints in people], tolerance=0.1 * 16)
    assert [person.score for person in found] == sorted((person.score for person in found), reverse=True)
    assert found[-1].count == 12


@pytest.mark.slow
def test_paf_decoder_agrees_with_the_plain_one_on_random_crowds():
    agreed = 0
    for seed in range(40):
        random = np.random.default_rng([7, seed])
        # Away from the edges, where the plain decoder takes ripples of the interpolation for joints.
        people = crowd(random, int(random.integers(1, 13)), (38, 38), overlap=0.1) + 4
        maps = render(people, SIZE, noise=0.02, random=random)
        found = decode(*maps, in_cells(SIZE))
        assert_same_people(found, people, tolerance=0.25)
        expected = sorted(reference_decode(*maps), key=lambda person: -person[1])
        if len(expected) != len(people) or any(np.isnan(joints).any() for joints, _ in expected):
            continue  # the plain decoder lost a joint to a ripple, which then made a ghost
        # Its peaks are whole upsampled pixels: up to half a pixel, 1/16 cell, away in x and in y.
        assert_same_people(found, [joints[:, :2] for joints, _ in expected], tolerance=0.13)
        agreed += np.allclose([person.score for person in found], [score for _, score in expected], rtol=0.02)
    assert agreed >= 36


@pytest.mark.parametrize("seed", range(8))
def test_a_peak_is_where_the_upsampled_map_is_highest(seed):
    random = np.random.default_rng([11, seed])
    people = crowd(random, 8, SIZE)
    heat = render(people, SIZE)[0][:18]
    peaks = find_peaks(heat, 0.1, 0.75, 128)
    for part in range(18):
        # Lower ones are ripples of cubic interpolation, mostly at the map's edges.
        expected = np.array([peak for peak in reference_peaks(upsample(heat[part])) if peak[2] > 0.3])
        here = slice(peaks.first[part], peaks.first[part + 1])
        xy, score = peaks.xy[here] * 8 + 3.5, peaks.score[here]
        assert len(xy) == len(expected)
        nearest = np.hypot(*(expected[:, None, :2] - xy[None]).transpose(2, 0, 1)).argmin(axis=1)
        np.testing.assert_allclose(xy[nearest], expected[:, :2], atol=1.01)
        np.testing.assert_allclose(score[nearest], expected[:, 2], atol=1e-3)


@pytest.mark.parametrize("at", [(0, 0), (45, 45), (0, 20.5), (20.5, 45), (10.5, 10.5), (7, 7), (12.0, 12.5)])
def test_peaks_at_edges_and_halfway_between_cells(at):
    y, x = np.mgrid[:46, :46]
    heat = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 0.875**2)).astype(np.float32)[None]
    peaks = find_peaks(heat, 0.1, 0.75, 128)
    assert len(peaks) == 1
    np.testing.assert_allclose(peaks.xy[0], at, atol=0.5 if min(at) == 0 or max(at) == 45 else 0.05)


def test_of_close_peaks_the_higher_stays():
    heat = np.zeros((2, 30, 30), np.float32)
    heat[0, 10, 10], heat[0, 10, 12], heat[1, 10, 11] = 0.5, 0.9, 0.7
    assert find_peaks(heat, 0.1, 3.0, 128).score.round(1).tolist() == [0.9, 0.7]
    assert len(find_peaks(heat, 0.1, 0.75, 128)) == 3
    assert find_peaks(heat, 0.1, 0.75, 1).score.round(1).tolist() == [0.9, 0.7]


def hostile(kind):
    random = np.random.default_rng(0)
    heat, pafs = np.zeros((HEATMAPS, *SIZE), np.float32), np.zeros((PAFS, *SIZE), np.float32)
    if kind == "ones":
        return heat + 1, pafs + 1
    if kind == "peaks":  # 529 of each part, 9,522 in all
        heat[:, ::2, ::2] = random.uniform(0.5, 1, (HEATMAPS, 23, 23))
        return heat, pafs + 1
    if kind == "noise":
        return random.random(heat.shape, np.float32), random.normal(0, 1, pafs.shape).astype(np.float32)
    if kind == "huge":
        return heat + 1e6 * (np.indices(heat.shape).sum(axis=0) % 3 - 1), pafs - 1e6
    return heat, pafs


@pytest.mark.parametrize("kind", ["zeros", "ones", "huge"])
def test_maps_without_people_hold_none_or_finite_ones(kind):
    found = decode(*hostile(kind), in_cells(SIZE))
    assert all(np.isfinite(person.score) for person in found)
    assert not found or kind == "huge"


@pytest.mark.parametrize("kind", ["peaks", "noise"])
def test_ten_thousand_peaks_give_a_bounded_number_of_people(kind):
    heat, pafs = hostile(kind)
    settings = PafSettings(most_peaks=40)
    peaks = find_peaks(heat[:18], 0.1, 0.75, settings.most_peaks)
    assert np.diff(peaks.first).max() <= settings.most_peaks
    found = decode(heat, pafs, in_cells(SIZE), settings)
    assert len(found) <= 17 * settings.most_peaks
    assert all(3 <= person.count <= 18 for person in found)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("which", [0, 1])
def test_values_that_are_no_confidence_are_refused(value, which):
    maps = hostile("zeros")
    maps[which][5, 3, 2] = value
    with pytest.raises(UsageError, match=r"^1 of the \d+ values of the (heatmaps|PAFs)"):
        decode(*maps, in_cells(SIZE))


@pytest.mark.parametrize(
    ("heat", "pafs"),
    [((18, 4, 4), (38, 4, 4)), ((19, 4, 4), (38, 4, 5)), ((1, 19, 4, 4), (1, 38, 4, 4)), ((19, 0, 4), (38, 0, 4))],
)
def test_maps_of_the_wrong_shape_are_refused(heat, pafs):
    with pytest.raises(UsageError):
        decode(np.zeros(heat), np.zeros(pafs), in_cells(SIZE))


def test_person_becomes_a_coco_result():
    keypoints = np.full((18, 3), np.nan)
    keypoints[:, 2] = 0
    keypoints[0] = 10, 20, 0.5
    keypoints[1] = 10, 40, 0.7
    keypoints[2] = 4, 41, 0.9
    person = Person(keypoints, 3.0)
    entry = person.to_coco(7)
    assert entry["image_id"] == 7
    assert entry["score"] == 6.0
    assert entry["keypoints"][:3] == [10.5, 20.5, 1]
    assert entry["keypoints"][18:21] == [4.5, 41.5, 1]
    assert sum(entry["keypoints"][2::3]) == 2
    assert person.count == 3
    assert person.confidence == pytest.approx(0.7)
    assert person.box == (4, 20, 10, 41)


def test_person_refuses_other_than_18_keypoints():
    with pytest.raises(ValueError, match="18"):
        Person(np.zeros((17, 3)), 1.0)
