"""What an optimization's budget is cut into."""

from pathlib import Path

import pytest

from latency.optimize.request import Request


def request(**options):
    return Request("lwop", Path("out"), budget_minutes=10.0, **options)


def test_request_leaves_collecting_the_time_that_training_does_not_take():
    data = (Path("photographs"),)
    trained, reconstructed, without = request(data=data), request(data=data, train=False), request()
    assert trained.training_minutes == pytest.approx(2)
    assert reconstructed.training_minutes is without.training_minutes is None
    assert reconstructed.secs("collect") == without.secs("collect") == pytest.approx(trained.secs("collect") + 120)
