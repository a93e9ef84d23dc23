"""Identities of people who walk, cross, hide and return."""

import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from models.pose.person import Person
from models.pose.tracking.track import Tracker, TrackSettings, keypoint_similarity

FPS = 30.0


def standing(x, y=20.0, height=200.0, jitter=0.0, random=None):
    xy = STANDING * height + (x, y)
    if jitter:
        xy = xy + random.normal(0, jitter, xy.shape)
    return Person(np.column_stack([xy, np.full(len(xy), 0.8)]), 10.0)


def without(person, parts):
    keypoints = person.keypoints.copy()
    keypoints[list(parts)] = np.nan, np.nan, 0
    return Person(keypoints, person.score)


#: Everyone found is somebody at once.
AT_ONCE = TrackSettings(least_seen=1)


def follow(frames, settings=AT_ONCE):
    """frames: per frame a dict name -> Person, in the order in which they are listed. name -> identities given."""
    tracker = Tracker(settings)
    given = {}
    for number, frame in enumerate(frames):
        people = tracker.update(list(frame.values()), number / FPS)
        identities = [person.identity for person in people]
        assert len(set(identities) - {None}) == sum(identity is not None for identity in identities)
        for name, identity in zip(frame, identities, strict=True):
            given.setdefault(name, []).append(identity)
    return given


def kept(given):
    return all(len(set(identities)) == 1 for identities in given.values())


def test_similarity_equals_oks_of_coco():
    one, moved = standing(100).keypoints[:, :2], standing(110).keypoints[:, :2]
    found = keypoint_similarity(one[None], moved[None])
    assert found.shape == (1, 1, 18)
    width, height = np.ptp(one, axis=0)
    # The nose (sigma 0.026) and the left hip (0.107), 10 pixels apart.
    for part, sigma in ((0, 0.026), (11, 0.107)):
        assert found[0, 0, part] == pytest.approx(np.exp(-100 / (2 * width * height * (2 * sigma) ** 2)))
    missing = one.copy()
    missing[3] = np.nan
    assert keypoint_similarity(one[None], missing[None])[0, 0].tolist() == [1.0] * 3 + [0.0] + [1.0] * 14


def test_track_has_a_size_with_one_keypoint_or_none():
    alone = np.full((1, 18, 2), np.nan)
    assert (keypoint_similarity(alone, alone) == 0).all()
    alone[0, 0] = 5, 5
    assert keypoint_similarity(alone, alone)[0, 0, 0] == 1


def test_identities_start_at_one_and_the_order_of_people_is_kept():
    tracker = Tracker()
    first = tracker.update([standing(100), standing(400)], 0.0)
    assert [person.identity for person in first] == [1, 2]
    second = tracker.update([standing(402), standing(99), standing(700)], 1 / FPS)
    assert [person.identity for person in second] == [2, 1, 3]
    assert second[0].keypoints[0, 0] == pytest.approx(402)
    assert tracker.seen == 3


def test_tracker_keeps_identities_when_people_swap_places_in_the_list():
    frames = []
    for number in range(20):
        pair = [("left", standing(100 + number)), ("right", standing(170 - number))]
        frames.append(dict(pair if number % 2 else pair[::-1]))
    assert kept(follow(frames))


@pytest.mark.parametrize("speed", [3.0, 7.0, 11.0])
@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5, 0.75])
def test_crossing_people_keep_their_identities(speed, offset):
    """They walk through each other in the same pose and at the same size: only their motion tells them apart.

    In a frame in which they are at the same place nothing does, and either may be either.
    """
    random = np.random.default_rng(int(speed * 100 + offset * 4))
    frames = []
    for number in range(41):
        along = (number - 20 + offset) * speed
        frames.append(
            {
                "right": standing(400 + along, jitter=1.0, random=random),
                "left": standing(400 - along, jitter=1.0, random=random),
            }
        )
    given = follow(frames)
    if offset == 0:
        for identities in given.values():
            del identities[20]
    assert kept(given)


def test_who_is_hidden_while_another_passes_returns_as_before():
    frames = []
    for number in range(41):
        along = (number - 20) * 5.0
        frame = {"front": standing(400 + along), "behind": standing(400 - along)}
        if 15 <= number <= 25:
            del frame["behind"]
        frames.append(frame)
    given = follow(frames)
    assert kept(given)
    assert set(given["front"]) != set(given["behind"])


def test_who_stops_while_hidden_is_found_where_last_seen():
    frames = [{"one": standing(100 + 6 * number)} for number in range(10)]
    frames += [{}] * 10 + [{"one": standing(100 + 6 * 9)}]
    assert kept(follow(frames))


@pytest.mark.parametrize(("missing", "same"), [(0, True), (1, True), (5, True), (6, False)])
def test_a_person_is_waited_for_max_missing_frames(missing, same):
    frames = [{"one": standing(100)}, *[{}] * missing, {"one": standing(101)}]
    assert kept(follow(frames, TrackSettings(max_missing=5, least_seen=1))) is same


def test_tracker_without_patience_waits_for_nobody():
    assert not kept(follow([{"one": standing(100)}, {}, {"one": standing(100)}], TrackSettings(max_missing=0)))


def test_tracker_gives_a_new_identity_to_somebody_else():
    tracker = Tracker()
    tracker.update([standing(100)], 0.0)
    assert tracker.update([standing(300)], 1 / FPS)[0].identity == 2


def test_three_similar_keypoints_are_enough_and_two_are_not():
    for count, same in ((3, True), (2, False)):
        seen = without(standing(100), range(count, 18))
        assert kept(follow([{"one": standing(100)}, {"one": seen}])) is same


def test_shoulders_on_a_line_are_followed():
    """The box of three keypoints in a row has no area; they have a size nonetheless."""
    frames = [{"one": without(standing(100 + number), set(range(18)) - {1, 2, 5})} for number in range(5)]
    assert kept(follow(frames))


def test_a_crowd_with_jitter_and_misses_keeps_its_identities():
    """Twelve people in two directions, each passing another; a keypoint in five and a person in ten is not found."""
    random = np.random.default_rng(7)
    names = range(12)
    frames = []
    for number in range(90):
        frame = {}
        for name in random.permutation(names).tolist():
            x = 150.0 * name + 3 * (number + 0.37) * (-1) ** name
            seen = standing(x, jitter=1.5, random=random)
            if random.random() > 0.1:
                frame[name] = without(seen, np.flatnonzero(random.random(18) < 0.2))
        frames.append(frame)
    for name, identities in follow(frames).items():
        # A frame in which two are at the same place may be confused; it may not stay so.
        usual = max(set(identities), key=identities.count)
        assert identities[0] == identities[-1] == usual, name
        assert identities.count(usual) >= 0.95 * len(identities), name


def test_tracker_bears_times_that_do_not_grow_and_empty_frames():
    tracker = Tracker()
    assert tracker.update([], 0.0) == []
    for number in range(4):
        assert tracker.update([standing(100 + number)], 0.0)[0].identity == 1


def test_few_keypoints_are_nobody_until_seen_three_times():
    few = set(range(18)) - {1, 2, 3, 4}
    frames = [{"flicker": without(standing(700), few), "walker": standing(100)}, {"walker": standing(101)}]
    frames += [{"walker": standing(102 + number), "shy": without(standing(400), few)} for number in range(4)]
    given = follow(frames, TrackSettings())
    assert given == {"flicker": [None], "walker": [1] * 6, "shy": [None, None, 2, 2]}


def test_tracker_refuses_bad_settings():
    with pytest.raises(ValueError):
        TrackSettings(max_missing=-1)
