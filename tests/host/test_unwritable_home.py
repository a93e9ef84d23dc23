"""A home that cannot be written to, as in containers whose file system is read-only: PoCL offers no device there."""

import logging

import pytest

from devices import open_device
from devices.diagnosis.checks import CHECKS
from devices.doctor import doctor

pytestmark = pytest.mark.system_opencl


@pytest.fixture
def unwritable_home(monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null/home")
    for name in ("POCL_CACHE_DIR", "XDG_CACHE_HOME", "FLEETPOSE_CACHE_DIR", "FLEETPOSE_CACHE"):
        monkeypatch.delenv(name, raising=False)


def test_another_folder_is_taken_and_named(unwritable_home, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with caplog.at_level(logging.WARNING), open_device("host") as session:
        assert session.info.name
        folder = session.ask("fleetpose.opencl.cache_stats")["directory"]
        session.reconnect()
    assert folder.startswith(str(tmp_path))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(
        f"/dev/null/home/.cache/fleetpose cannot be written to; compiled kernels are kept in {folder}"
    )
    assert "POCL_CACHE_DIR" in warning


def test_doctor_names_the_variable_where_no_folder_is_found(unwritable_home, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/dev/null")
    names = ("RPC session", "OpenCL devices", "program cache")
    session, devices, cache = doctor(checks=[check for check in CHECKS if check.name in names])
    assert session.state == "ok"
    if devices.state == "ok":
        pytest.skip("this machine's OpenCL is none that needs a folder")
    assert "export POCL_CACHE_DIR=/a/writable/folder" in devices.mend
    assert "HOME" in cache.detail
