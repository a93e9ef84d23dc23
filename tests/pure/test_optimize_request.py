"""What an optimization's budget is cut into."""

from pathlib import Path

import pytest

from fleetpose.errors import UsageError
from latency.optimize.flow import STAGES, expected_secs
from latency.optimize.request import Request
from latency.optimize.state import State
from latency.planning.gains import Caution


def request(**options):
    return Request("lwop", Path("out"), budget_minutes=10.0, **options)


def test_request_leaves_collecting_the_time_that_training_does_not_take():
    data = (Path("photographs"),)
    trained, reconstructed, without = request(data=data), request(data=data, train=False), request()
    assert trained.training_minutes == pytest.approx(2)
    assert reconstructed.training_minutes is without.training_minutes is None
    assert reconstructed.secs("collect") == without.secs("collect") == pytest.approx(trained.secs("collect") + 120)


@pytest.mark.parametrize("stage", ["sensitivity", "losses", "decide"])
def test_stages_that_decide_ask_how_sure_gains_have_to_be(stage):
    """So that another --confidence decides anew."""
    assert "caution" in next(each.asks for each in STAGES if each.name == stage)


def test_request_refuses_a_confidence_that_is_none():
    with pytest.raises(UsageError, match="--confidence"):
        request(caution=Caution(confidence=1.5)).check()


def test_stages_are_expected_to_take_their_budget_or_what_they_took_before(tmp_path):
    asked = request(tune=False, data=(Path("photographs"),))
    state = State(tmp_path, {})
    first = expected_secs(asked, state)
    assert list(first) == [stage.name for stage in STAGES]
    assert first["collect"] == pytest.approx(asked.secs("collect"))
    assert first["prune"] > 60 * asked.training_minutes
    assert first["tune"] == first["accuracy"] == 1
    state.keep("collect", "digest", 30.0, "done")
    state.keep("fit", "digest", 7.0, "done")
    state.keep("decide", "digest", 1e4, "done")
    state.keep("build", "digest", 500.0)  # interrupted
    again = expected_secs(asked, state)
    assert (again["collect"], again["fit"]) == (30, 7)
    assert again["decide"] == pytest.approx(asked.secs("decide"))
    assert again["build"] == first["build"]
