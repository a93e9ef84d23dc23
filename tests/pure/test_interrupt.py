"""Signals are noted once, then act as ever."""

import os
import signal
import threading
import time

import pytest

from fleetpose.interrupt import hold_interrupt, until_interrupted


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_until_interrupted_notes_the_first_and_the_second_acts(which):
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


def test_until_interrupted_restores_handlers():
    before = signal.getsignal(signal.SIGINT)
    with until_interrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_until_interrupted_leaves_other_threads_alone():
    answers = []

    def run():
        with until_interrupted() as interrupted:
            answers.append(interrupted())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert answers == [False]


def interrupted(then):
    """What swallows an interrupt, as foreign code does that calls back into Python."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    except KeyboardInterrupt:
        then()


def fail():
    raise RuntimeError("RuntimeError")


@pytest.mark.parametrize("then", [fail, lambda: None])
def test_hold_interrupt_raises_a_swallowed_one_at_the_end(then):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), hold_interrupt():
        interrupted(then)
    assert signal.getsignal(signal.SIGINT) is before


def test_hold_interrupt_passes_other_errors_and_ignored_signals():
    with pytest.raises(RuntimeError), hold_interrupt():
        fail()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with hold_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
