"""Signals are noted once, then act as ever."""

import os
import signal
import threading

import pytest

from fleetpose.interrupt import until_interrupted


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_the_second_acts(which):
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    outer = []
    signal.signal(which, lambda *_: outer.append(1))
    try:
        with until_interrupted(signal.SIGINT, signal.SIGTERM) as interrupted:
            assert not interrupted()
            os.kill(os.getpid(), which)
            assert interrupted()
            assert not outer
            os.kill(os.getpid(), which)
            assert outer == [1]
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_handlers_come_back():
    before = signal.getsignal(signal.SIGINT)
    with until_interrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_never_interrupted():
    answers = []

    def run():
        with until_interrupted() as interrupted:
            answers.append(interrupted())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert answers == [False]
