"""How likely gains are: probabilities beside the intervals, what pays, what is open, and what deciding now loses."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from fleetpose.errors import UsageError
from latency.planning.gains import Caution, KernelOption, expected_loss_ms, is_uncertain, pays, probability
from latency.planning.reasons import DenseKind, Reason, read_kind
from models.plans.log_spread import LogSpread
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import TimeEstimate

HALF = Sparsity("columns", 0.5, (8, 1))
SURE, EXPECTED = Caution(confidence=0.95), Caution(confidence=0.0)
SPREADS = (LogSpread(0.1), LogSpread(0.2, 3.0), LogSpread(0.05, 30.0))
times = st.builds(
    lambda ms, down, up: TimeEstimate(ms, ms / down, ms * up),
    st.floats(0.01, 100), st.floats(1, 3), st.floats(1, 3),
)  # fmt: skip


def dense(ms: float = 1.0, wide: float = 1.0, **more) -> KernelOption:
    return KernelOption(ms, ms / wide, ms * wide, None, **more)


def sparse(ms: float, wide: float = 1.0, **more) -> KernelOption:
    return KernelOption(ms, ms / wide, ms * wide, HALF, 0.5, **more)


@given(times, times, st.sampled_from((None, *SPREADS)))
def test_probabilities_of_both_ways_add_up_to_one(first, second, spread):
    both = first.probability_faster(second, spread=spread) + second.probability_faster(first, spread=spread)
    assert both == pytest.approx(1)


@given(times, times, st.lists(st.floats(0, 0.9), min_size=2, max_size=4), st.sampled_from((None, *SPREADS)))
def test_larger_margin_is_less_likely(first, second, margins, spread):
    odds = [first.probability_faster(second, margin, spread) for margin in sorted(margins)]
    assert all(0 <= value <= 1 for value in odds)
    assert all(after <= before + 1e-12 for before, after in pairwise(odds))


@given(times, times)
def test_end_of_the_interval_is_at_ninety_five_percent(first, second):
    """Of independent intervals: what the rule was before there were probabilities."""
    low = first.speedup_over(second).low
    odds = first.probability_faster(second)
    assert first.ms == second.ms or (odds >= 0.95) == (low >= 1) or odds == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize("spread", SPREADS)
def test_spread_is_that_of_the_distribution(spread):
    law = stats.norm(0, spread.scale) if math.isinf(spread.freedom) else stats.t(spread.freedom, 0, spread.scale)
    assert spread.half_width == pytest.approx(law.ppf(0.95), rel=1e-3)
    for distance in (-0.7, -0.05, 0.0, 0.3):
        assert spread.probability_below(distance) == pytest.approx(law.cdf(distance), abs=1e-9)
        area, _ = integrate.quad(lambda error: law.sf(error), distance, np.inf)
        assert spread.expected_excess(distance) == pytest.approx(area, rel=1e-5)


def test_what_is_known_exactly_or_not_at_all():
    assert (sparse(0.9).probability_faster(dense()), sparse(1.1).probability_faster(dense())) == (1.0, 0.0)
    assert sparse(1.0).probability_faster(dense()) == 0.5
    unknown = replace(sparse(0.1), low=0.0, high=math.inf)
    assert unknown.probability_faster(dense()) == 0.5
    assert LogSpread(0.0).expected_excess(-0.3) == 0.3
    assert expected_loss_ms(unknown, dense()) == math.inf


def test_a_gain_pays_by_its_probability_its_margin_and_beyond_doubt():
    assert pays(sparse(0.9), dense())
    assert not pays(sparse(0.9), dense(), Caution(margin=0.2))
    unsure = sparse(0.9, wide=1.2)  # 0.105 of 0.182, times 1.645: 0.83
    assert probability(unsure, dense()) == pytest.approx(0.829, abs=0.001)
    assert pays(unsure, dense())
    assert not pays(unsure, dense(), SURE)
    doubt = "more channels than any layer it was fitted on"
    assert not pays(sparse(0.5, doubt=doubt), dense(), EXPECTED)
    assert not pays(sparse(0.5), dense(doubt=doubt), EXPECTED)


@given(st.floats(0.3, 3), st.floats(1.001, 2))
def test_expected_time_decides_where_no_confidence_is_asked_for(ms, wide):
    assert pays(sparse(ms, wide), dense(), EXPECTED) == (ms < 1)


def test_pairs_spread_counts_only_where_both_are_predicted():
    variant = sparse(0.9, wide=2.0, beside_dense=LogSpread(0.01))
    assert probability(variant, dense(wide=2.0)) > 0.99
    independent = sparse(0.9, wide=2.0).probability_faster(dense(wide=2.0))
    for one in (replace(variant, measured=True), variant):
        beside = dense(wide=2.0, measured=not one.measured)
        assert probability(one, beside) == pytest.approx(independent)


def test_options_are_uncertain_until_they_are_settled_or_measured():
    assert is_uncertain(sparse(0.95, wide=1.2), dense())
    measured = sparse(0.95, wide=1.2, measured=True)
    assert not is_uncertain(measured, dense(measured=True))
    assert is_uncertain(measured, dense()), "half of the ratio is still a prediction"
    assert not is_uncertain(sparse(0.5, wide=1.2), dense())
    assert is_uncertain(sparse(0.5, wide=1.2, doubt="far away"), dense())
    nearly = sparse(0.8, wide=1.2)  # 0.978
    assert not is_uncertain(nearly, dense())
    assert is_uncertain(nearly, dense(), Caution(confidence=0.99))


@pytest.mark.parametrize("caution", [EXPECTED, SURE])
def test_deciding_now_loses_what_random_truths_lose(caution):
    """Against truths drawn from the spread: the log of the time lost, where the decision was wrong."""
    drawn = stats.t(3.0, 0, 0.2).rvs(200_000, random_state=np.random.default_rng(0))
    option, rival = sparse(0.9, beside_dense=LogSpread(0.2, 3.0)), dense()
    truths = math.log(rival.ms / option.ms) - drawn
    lost = np.maximum(0, -truths if pays(option, rival, caution) else truths).mean()
    assert expected_loss_ms(option, rival, caution) == pytest.approx(math.sqrt(0.9) * lost, rel=0.02)


@pytest.mark.parametrize("values", [{"confidence": 1.0}, {"confidence": -0.1}, {"margin": 1.0}])
def test_caution_refuses_what_is_no_probability(values):
    with pytest.raises(UsageError, match=r"--(confidence|margin)"):
        Caution(**values).check()


@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_kind_of_a_reason_is_read_from_plans_of_today_and_of_before(margin):
    reason = Reason(DenseKind.UNSURE, "columns takes 0.95 of the dense time", margin)
    assert read_kind(str(reason)) is DenseKind.UNSURE
    former = "no gain survives its interval" + " and the margin of 0.05" * (margin > 0) + ": columns takes 0.95"
    assert read_kind(former) is DenseKind.UNSURE
    assert read_kind("somebody's own plan") is None
