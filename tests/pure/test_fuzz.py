"""Readers of files that need no torch, on damaged and malicious files: an answer, or a refusal in one line."""

import pytest

from tests.fuzz.apart import check_damaged, run_apart
from tests.fuzz.data_readers import DATA_READERS
from tests.fuzz.measurement_readers import MEASUREMENT_READERS
from tests.fuzz.readers import READERS as OUR_READERS
from tests.fuzz.running import FAULTS, Reader, fuzz
from tests.sweep import EVERYTHING

READERS = {**OUR_READERS, **DATA_READERS, **MEASUREMENT_READERS}
#: files for each reader
COUNT = 10_000 if EVERYTHING else 30


@pytest.fixture(scope="module")
def tallies():
    return run_apart(READERS, "--count", str(COUNT))


@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses_whatever_it_is_given(tallies, name):
    check_damaged(tallies[name], COUNT)


def loop(_path):
    while True:
        pass


def crash(_path):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda path: {}["key"], "tracebacks"),
        (crash, "crashes"),
        pytest.param(loop, "hangs", marks=pytest.mark.long),
    ],
)
def test_the_fuzzer_finds_faults(read, kind):
    tally = fuzz(Reader(".x", lambda: [b"a"], lambda content, _rng: content, read), 2)
    assert (tally.tried, tally.held) == (2, 0)
    assert [len(tally.faults[each]) for each in FAULTS] == [2 * (each == kind) for each in FAULTS]
