"""The One-Euro filter: still points hold still, moving ones do not lag, missing ones stay missing."""

import math

import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from models.pose.person import Person
from models.pose.tracking.smooth import OneEuro, OneEuroSettings, Smoother


def run(values, times, settings=None):
    one = OneEuro(np.shape(values[0]), settings or OneEuroSettings())
    return np.array([one(np.asarray(value, float), time) for value, time in zip(values, times, strict=True)])


def plain_one_euro(values, times, freq=15.0, min_cutoff=1.0, beta=0.05, derivative_cutoff=1.0):
    """Algorithm 1 of the paper for one number, written down word for word."""

    def alpha(rate, cutoff):
        return 1 / (1 + rate / (2 * math.pi * cutoff))

    filtered, speed, before = values[0], 0.0, times[0]
    out = [filtered]
    for value, time in zip(values[1:], times[1:], strict=True):
        rate = 1 / (time - before) if time > before else freq
        speed += alpha(rate, derivative_cutoff) * ((value - filtered) * rate - speed)
        filtered += alpha(rate, min_cutoff + beta * abs(speed)) * (value - filtered)
        out.append(filtered)
        before = time
    return out


def test_smoother_is_the_papers_algorithm_at_uneven_times():
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.01, 0.2, 100))
    times[50] = times[49]
    values = np.cumsum(random.normal(0, 10, 100))
    np.testing.assert_allclose(run(values, times), plain_one_euro(values, times), rtol=1e-12)


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_jitter_of_still_points_shrinks_and_they_stay_in_place(fps):
    random = np.random.default_rng(1)
    truth = np.array([320.0, 240.0])
    noisy = truth + random.normal(0, 2.0, (20 * fps, 2))
    smooth = run(noisy, np.arange(len(noisy)) / fps)[2 * fps :]
    moves = [np.abs(np.diff(track, axis=0)).mean() for track in (noisy, smooth)]
    # With beta 0.05 the filter opens for the noise's own speed: what is left moves a third as much from frame to frame.
    assert moves[1] < 0.4 * moves[0]
    assert np.abs(smooth.mean(axis=0) - truth).max() < 0.3


@pytest.mark.parametrize("speed", [100.0, 300.0, 1000.0])
def test_moving_points_lag_by_little(speed):
    """A ramp: in the end the lag is at most 40 ms at 100 pixels a second and falls with speed."""
    times = np.arange(90) / 30
    smooth = run(speed * times, times)
    lag_secs = (speed * times - smooth)[-1] / speed
    cutoff = 1 + 0.05 * speed
    assert 0 < lag_secs < 1 / (2 * math.pi * cutoff) + 1e-3
    assert lag_secs < 0.04


def test_less_jitter_for_less_beta_and_less_lag_for_more():
    random = np.random.default_rng(2)
    times = np.arange(300) / 30
    noise, ramp = random.normal(0, 2, 300), 100 * times
    jitter = [np.diff(run(noise, times, OneEuroSettings(beta=beta)))[60:].std() for beta in (0.0, 0.05, 0.5)]
    lag = [(ramp - run(ramp, times, OneEuroSettings(beta=beta)))[-1] for beta in (0.0, 0.05, 0.5)]
    assert jitter == sorted(jitter)
    assert lag == sorted(lag, reverse=True)


def test_scale_of_the_picture_and_beta_cancel():
    random = np.random.default_rng(3)
    times, values = np.arange(50) / 30, random.normal(0, 5, 50)
    small, large = run(values, times), run(4 * values, times, OneEuroSettings(beta=0.05 / 4))
    np.testing.assert_allclose(large, 4 * small)


def test_missing_stays_missing_and_leaves_its_neighbours_alone():
    times = np.arange(10) / 30
    values = np.column_stack([np.linspace(0, 9, 10), np.linspace(50, 59, 10)])
    whole = run(values, times)
    values[4:6, 0] = np.nan
    holed = run(values, times)
    assert np.isnan(holed[4:6, 0]).all()
    assert np.isfinite(holed[6:, 0]).all()
    np.testing.assert_array_equal(holed[:, 1], whole[:, 1])


def test_after_a_long_absence_the_new_place_counts():
    values, times = [[0.0], [0.0], [np.nan], [300.0]], [0, 0.03, 1, 5]
    assert run(values, times)[-1, 0] == pytest.approx(300, abs=3)


def test_what_appears_late_starts_where_it_is():
    assert run([[np.nan], [7.0]], [0.0, 0.1])[-1, 0] == 7.0


def test_times_that_do_not_grow_count_as_one_frame():
    values = [0.0, 10.0, 20.0]
    stuck = run(values, [1.0, 1.0, 1.0])
    np.testing.assert_allclose(stuck, run(values, [1.0, 1.0 + 1 / 15, 1.0 + 2 / 15]))


def moved(x, identity, hidden=()):
    keypoints = np.column_stack([STANDING * 200 + (x, 20), np.full(18, 0.8)])
    keypoints[list(hidden)] = np.nan, np.nan, 0
    return Person(keypoints, 5.0, identity)


def test_people_are_smoothed_by_identity_not_by_place_in_the_list():
    smoother = Smoother()
    smoother([moved(100, 1), moved(500, 2)], 0.0)
    two, one = smoother([moved(501, 2), moved(101, 1)], 1 / 30)
    assert (two.identity, one.identity) == (2, 1)
    assert 100 < one.keypoints[0, 0] < 101
    assert 500 < two.keypoints[0, 0] < 501
    assert one.score == 5.0
    assert (one.keypoints[:, 2] == 0.8).all()


def test_hidden_keypoints_and_people_without_identity_are_left_as_they_are():
    smoother = Smoother()
    smoother([moved(100, 1)], 0.0)
    stranger = moved(100, None)
    one, same = smoother([moved(110, 1, hidden=(3,)), stranger], 1 / 30)
    assert not one.found[3]
    assert one.count == 17
    assert same is stranger


def test_smoother_forgets_filters_of_people_long_gone():
    smoother = Smoother(forget_secs=1.0)
    smoother([moved(100, 1)], 0.0)
    smoother([], 0.5)
    assert smoother([moved(300, 1)], 2.0)[0].keypoints[0, 0] == 300


def test_smoother_refuses_bad_settings():
    with pytest.raises(ValueError):
        OneEuroSettings(freq=0)
