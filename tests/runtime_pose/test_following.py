"""Videos: the runtime's identities and smoothing against `models.pose.tracking`."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from benchmarks.runtime_pose import RuntimePose
from benchmarks.synthetic_people import RENDERERS, STANDING, hide
from models.pose.decoding.decoders import decoder
from models.pose.person import Person
from models.pose.tracking.smooth import OneEuroSettings, Smoother
from models.pose.tracking.track import Tracker, TrackSettings
from models.preprocess import Placement, contained_size
from tests import sweep
from tests.runtime_pose.comparing import assert_same_people
from tests.runtime_pose.following import RuntimeFollower

FRAMES = 120


def walks(random, number, wide):
    """(FRAMES, number, 2) places: random walks with a drift."""
    start, drift = random.uniform(0, wide, (number, 2)), random.normal(0, wide / 150, (number, 2))
    return start + np.cumsum(drift + random.normal(0, wide / 300, (FRAMES, number, 2)), axis=0)


def crossings(random, number, wide):
    """People who walk through each other and back."""
    places = np.zeros((FRAMES, number, 2))
    for index in range(number):
        swing = 2 * np.pi * (np.arange(FRAMES) / random.integers(40, 90) + random.random())
        places[:, index, 0] = wide / 2 * (1 + np.sin(swing))
        places[:, index, 1] = random.uniform(0, wide / 20)
    return places


def still(random, number, wide):
    return np.repeat(random.uniform(0, wide, (1, number, 2)), FRAMES, axis=0)


def video(random, places, gaps):
    """Per frame people, of whom some are missing for a while, whole or in part, in another order each time."""
    number = places.shape[1]
    heights = random.uniform(60, 250, number)
    until = np.zeros(number, int)
    for frame, spots in enumerate(places):
        people = []
        for index in range(number):
            if random.random() < gaps:
                until[index] = frame + random.integers(1, 30)
            if frame < until[index]:
                continue
            xy = STANDING * heights[index] + spots[index] + random.normal(0, 1.5, STANDING.shape)
            keypoints = np.column_stack([xy, random.uniform(0.1, 1, len(xy))])
            keypoints[random.random(len(xy)) < (0.6 if random.random() < 0.15 else 0.1)] = np.nan, np.nan, 0
            people.append(Person(keypoints, float(random.random())))
        yield [people[index] for index in random.permutation(len(people))]


def times(random, steady):
    """Frames' times; not steady: uneven, at times the same as before, once after a long pause."""
    if steady:
        return np.arange(FRAMES) / 30
    steps = random.choice([0.0, 0.01, 0.033, 0.2], FRAMES)
    steps[FRAMES // 2] = 3.0
    return np.cumsum(steps)


@sweep.part(12)
@pytest.mark.parametrize(
    ("motion", "number", "gaps", "steady", "seed"),
    list(product([walks, crossings, still], [1, 4, 12], [0.0, 0.03], [True, False], range(3))),
)
def test_video(library, motion, number, gaps, steady, seed):
    random = np.random.default_rng([seed, number])
    tracker, smoother = Tracker(), Smoother()
    follower = RuntimeFollower(library, TrackSettings(), OneEuroSettings())
    given = set()
    frames = video(random, motion(random, number, 600.0), gaps)
    for people, secs in zip(frames, times(random, steady).tolist(), strict=True):
        tracked = tracker.update(people, secs)
        runtime_tracked, runtime_smoothed = follower(people, secs)
        assert_same_people(tracked, runtime_tracked)
        assert_same_people(smoother(tracked, secs), runtime_smoothed, tolerance=1e-6)
        given |= {person.identity for person in tracked}
    assert given - {None}


@pytest.mark.parametrize(
    ("track_settings", "smoothing_settings"),
    [
        (TrackSettings(similar=0.2, least_similar=1), OneEuroSettings(freq=60, beta=0.5)),
        (TrackSettings(similar=0.95, least_similar=6, max_missing=0), OneEuroSettings(min_cutoff=3, beta=0)),
        (TrackSettings(max_missing=40, sure_keypoints=18, least_seen=10), OneEuroSettings(derivative_cutoff=0.2)),
    ],
)
def test_settings_of_following(library, track_settings, smoothing_settings):
    random = np.random.default_rng(3)
    scaled = replace(smoothing_settings, beta=0.4 * smoothing_settings.beta)
    tracker, smoother = Tracker(track_settings), Smoother(scaled)
    follower = RuntimeFollower(library, track_settings, smoothing_settings, scale=0.4)
    frames = video(random, walks(random, 6, 600.0), 0.02)
    for people, secs in zip(frames, times(random, True).tolist(), strict=True):
        tracked = tracker.update(people, secs)
        runtime_tracked, runtime_smoothed = follower(people, secs)
        assert_same_people(tracked, runtime_tracked)
        assert_same_people(smoother(tracked, secs), runtime_smoothed, tolerance=1e-6)


def test_video_that_starts_with_nobody_and_goes_on_with_strangers(library):
    """Nobody to compare with, then nobody who is alike."""
    tracker, follower = Tracker(), RuntimeFollower(library, TrackSettings(), OneEuroSettings())
    for frame in range(12):
        people = [Person(np.column_stack([STANDING * 50 + 500 * frame, np.ones(len(STANDING))]), 1.0)] * (frame > 2)
        tracked, _ = follower(people, frame / 30)
        assert_same_people(tracker.update(people, frame / 30), tracked)
    assert tracker.seen == 9


def test_maps_of_a_video(library):
    """From maps on, as fp_follow does; after a restart all begins anew."""
    random = np.random.default_rng(5)
    placement = Placement((900, 700), (368, 368), contained_size((900, 700), (368, 368)))
    pose = RuntimePose(library, "paf")
    pose.place(placement)
    for _ in range(2):
        tracker = Tracker()
        smoother = Smoother(OneEuroSettings(beta=OneEuroSettings().beta * placement.content_size[0] / 900))
        for frame in range(20):
            spots = np.array([[10 + 0.5 * frame, 4.0], [30 - 0.5 * frame, 6.0]])
            people = hide(random, STANDING * 36 + spots[:, None], 0.05)
            maps = RENDERERS["paf"](people, (46, 46), 0.01, random)
            maps = {title: values.astype(np.float32) for title, values in maps.items()}
            tracked = tracker.update(decoder("paf").decode(maps, placement), frame / 30)
            assert_same_people(smoother(tracked, frame / 30), pose.follow(maps, frame / 30))
        assert tracker.seen >= 2
        pose.restart()
