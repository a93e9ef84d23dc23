"""Readers of networks and weights on damaged and malicious files; see tests/pure/test_fuzz.py."""

import pytest

from tests.fuzz.apart import check_damaged, run_apart
from tests.fuzz.torch_readers import TORCH_READERS
from tests.sweep import EVERYTHING

#: files for each reader; a program takes a fifth of a second
COUNT = 10_000 if EVERYTHING else 10


@pytest.fixture(scope="module")
def tallies():
    return run_apart(TORCH_READERS, "--count", str(COUNT))


@pytest.mark.parametrize("name", TORCH_READERS)
def test_a_reader_of_networks_or_weights_answers_or_refuses(tallies, name):
    check_damaged(tallies[name], COUNT)
