"""Commands that write, which need no device: killed at random moments, and on a disk that is full."""

import pytest

from tests import small_disk, sweep
from tests.writing import report_of
from tests.writing.cases import CASES, ON_DEVICE

#: of `make test`: it is given nothing, and needs no torch
QUICK = "report"
NAMES = [name for name in CASES if name not in ON_DEVICE]
PARAMETERS = [pytest.param(name, marks=() if name == QUICK else pytest.mark.long) for name in NAMES]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """What the cases are given, made when the first one that needs it asks."""
    folder = tmp_path_factory.mktemp("given")

    def make(name):
        if name != QUICK and not (folder / "coco").exists():
            assert report_of("prepare", "no device", folder, folder)["problems"] == []
        return folder

    return make


@pytest.mark.parametrize("name", PARAMETERS)
def test_command_that_is_killed_leaves_nothing_torn_and_goes_on(given, tmp_path, name):
    report = report_of("kill", name, given(name), tmp_path / "work", 0 if sweep.EVERYTHING else 4)
    assert report["problems"] == []
    assert report["counts"]["killed"] >= (20 if sweep.EVERYTHING else 1), report


@pytest.mark.parametrize("name", PARAMETERS)
def test_command_on_a_full_disk_says_so_in_one_line_and_goes_on_with_space(given, tmp_path, name):
    small_disk.need()
    count = 0 if sweep.EVERYTHING else 2
    report = report_of("fill", name, given(name), tmp_path / "work", count, small_disk.NAMESPACE)
    assert report["problems"] == []
    assert report["counts"]["refused in one line"] >= 1, report


@pytest.mark.parametrize("name", PARAMETERS)
def test_command_takes_names_that_are_not_utf_8(given, tmp_path, name):
    assert report_of("name", name, given(name), tmp_path / "work")["problems"] == []
