"""Commands that write and need this machine's OpenCL: killed at random moments, and on a disk that is full."""

import pytest

from tests import small_disk
from tests.writing import report_of
from tests.writing.cases import ON_DEVICE

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("host")]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    assert report_of("prepare", "device", folder, folder)["problems"] == []
    return folder


@pytest.mark.parametrize("name", ON_DEVICE)
def test_command_that_is_killed_leaves_nothing_torn_and_goes_on(given, tmp_path, name):
    report = report_of("kill", name, given, tmp_path / "work")
    assert report["problems"] == []
    assert report["counts"]["killed"] >= 20, report


@pytest.mark.parametrize("name", ON_DEVICE)
def test_command_on_a_full_disk_says_so_in_one_line_and_goes_on_with_space(given, tmp_path, name):
    small_disk.need()
    report = report_of("fill", name, given, tmp_path / "work", before=small_disk.NAMESPACE)
    assert report["problems"] == []
    assert report["counts"]["refused in one line"] >= 1, report


@pytest.mark.parametrize("name", ON_DEVICE)
def test_command_takes_names_that_are_not_utf_8(given, tmp_path, name):
    assert report_of("name", name, given, tmp_path / "work")["problems"] == []
