"""Every call of OpenCL and every allocation fails once: one line says so, nothing is lost, nothing crashes."""

from __future__ import annotations

import pytest

from tests import sweep
from tests.runtime_c.running import DEVICE_ERROR, EVENTS, NO_MEMORY, RECORD, WRONG_RESULT, Runner, expected_values
from tests.runtime_c.tiny_package import doubling_package


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("refusals"))


def assert_right_or_told(answer: dict, statuses: tuple[int, ...]) -> bool:
    """Whether it was told: an error's status and text, or else the right values."""
    if "status" not in answer:
        assert answer["values"] == [expected_values()]
        return False
    assert answer["status"] in statuses
    assert answer["error"]
    return True


@pytest.mark.slow
@pytest.mark.part(2)
@pytest.mark.parametrize("flags", [0, EVENTS, RECORD])
def test_each_call_fails_once(runner, flags):
    """A step that fails in the self-check is replaced, a part of a buffer becomes a buffer; the rest are errors."""
    package, runs = doubling_package(), 2
    calls = runner.run(package, flags=flags, runs=runs, faults="none")["calls"]
    told = [
        assert_right_or_told(
            runner.run(package, flags=flags, runs=runs, faults="none", FAIL_CALL=str(number)),
            (NO_MEMORY, DEVICE_ERROR, WRONG_RESULT),
        )
        for number in sweep.sample(range(1, calls + 1), 12)
    ]
    assert any(told)


@pytest.mark.slow
def test_each_allocation_fails_once(runner, tmp_path):
    """Until a run is right: those behind are the cache file's, which nobody misses, and the program's own."""
    answers = [
        runner.run(
            doubling_package(), cache=tmp_path / str(number), program=runner.counting, FAIL_ALLOCATION=str(number)
        )
        for number in range(1, 31)
    ]
    assert [answer["held"] for answer in answers] == [["0"]] * len(answers)
    told = [assert_right_or_told(answer, (NO_MEMORY,)) for answer in answers if "own" not in answer]
    assert 15 < sum(told) < len(told)
    assert told == sorted(told, reverse=True)
