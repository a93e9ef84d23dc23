"""Kernels that rearrange, on this machine's OpenCL, against float64; nothing of the result may be left unwritten."""

from dataclasses import replace

import pytest

from tests.host.rearrange_cases import MOVES
from tests.host.test_kernels import check


@pytest.mark.parametrize("name", MOVES)
def test_kernels_that_rearrange_equal_float64(host, name):
    check(host, MOVES[name], border=(1, 3))


@pytest.mark.parametrize("name", MOVES)
def test_kernels_that_rearrange_on_a_phone_equal_float64(host, name):
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5)
    check(host, MOVES[name], border=(2, 2), profile=phone)
