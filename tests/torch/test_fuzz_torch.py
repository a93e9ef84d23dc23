"""Readers of networks and weights on damaged and malicious files; see tests/pure/test_fuzz.py."""

import pytest

from tests.fuzz.__main__ import run_apart
from tests.fuzz.torch_readers import TORCH_READERS
from tests.sweep import EVERYTHING

#: files for each reader; a program takes a fifth of a second
COUNT = 10_000 if EVERYTHING else 10


@pytest.fixture(scope="module")
def tallies():
    return run_apart(TORCH_READERS, "--count", str(COUNT))


@pytest.mark.parametrize("name", TORCH_READERS)
def test_a_reader_of_networks_or_weights_answers_or_refuses(tallies, name):
    tally = tallies[name]
    assert (tally["tried"], tally["held"]) == (COUNT, COUNT), tally["faults"]
    assert tally["refused"] > COUNT / 5, "the files are hardly damaged"


def test_whole_networks_and_weights_are_read():
    for name, tally in run_apart(TORCH_READERS, "--whole", "--count", "2").items():
        assert tally["read"] == 2, name
