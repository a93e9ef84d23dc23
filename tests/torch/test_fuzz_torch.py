"""Readers of networks and weights on damaged and malicious files; see tests/pure/test_fuzz.py."""

import pytest

from tests.fuzz.running import Reader, fuzz
from tests.fuzz.torch_readers import TORCH_READERS
from tests.sweep import EVERYTHING

#: files for each reader; a program takes a fifth of a second
COUNT, PROGRAMS = (10_000, 10_000) if EVERYTHING else (40, 10)


@pytest.mark.parametrize("name", TORCH_READERS)
def test_a_reader_of_networks_or_weights_answers_or_refuses(name):
    count = PROGRAMS if name == "exported program" else COUNT
    tally = fuzz(TORCH_READERS[name], count)
    assert (tally.tried, tally.held) == (count, count), tally.faults
    assert tally.outcomes["refused"] > count / 5, "the files are hardly damaged"


def test_whole_networks_and_weights_are_read():
    for name, reader in TORCH_READERS.items():
        untouched = Reader(reader.suffix, reader.samples, lambda content, _rng: content, reader.read)
        assert fuzz(untouched, 2).outcomes == {"read": 2}, name
