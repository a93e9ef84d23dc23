"""devices.doctor: sound here, and right about what is not."""

import importlib.metadata
import json
import subprocess
import sys

from devices.diagnosis import checks
from devices.diagnosis.checks import CHECKS
from devices.diagnosis.patient import Check, Missing
from devices.doctor import doctor, healthy, main, make_parser
from fleetpose import cli


def run_doctor(*flags, env=None, **more):
    command = [sys.executable, "-m", "devices.doctor", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=env, **more)


def test_doctor_calls_this_machine_sound():
    done = run_doctor("--json")
    found = json.loads(done.stdout)
    wrong = [part for part in found["parts"] if part["needed"] and part["state"] != "ok"]
    assert wrong == []
    assert (done.returncode, found["ok"]) == (0, True)
    assert {part["name"] for part in found["parts"]} == {check.name for check in CHECKS}
    assert all(part["secs"] >= 0 for part in found["parts"])


def test_doctor_table_names_every_part(capsys):
    assert cli.run(main, make_parser(), []) == 0
    printed = capsys.readouterr().out
    assert all(check.name in printed for check in CHECKS)


def test_doctor_runs_and_explains_without_tvm(tmp_path):
    (tmp_path / "tvm.py").write_text("raise ImportError('no TVM here')\n")
    done = run_doctor("--json", env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"})
    parts = {part["name"]: part for part in json.loads(done.stdout)["parts"]}
    assert done.returncode == 1
    assert parts["TVM import"]["state"] == "failed"
    assert "no TVM here" in parts["TVM import"]["detail"]
    assert "apache-tvm==0.27.0.post1" in parts["TVM import"]["mend"]
    assert parts["linker"]["state"] == "ok"
    assert parts["small kernel"]["state"] == "skipped"


def test_doctor_says_what_to_install_without_opencl(tmp_path):
    import os

    done = run_doctor("--json", env={**os.environ, "FLEETPOSE_LIBOPENCL": str(tmp_path / "none.so")})
    parts = {part["name"]: part for part in json.loads(done.stdout)["parts"]}
    assert done.returncode == 1
    assert parts["RPC round trip"]["state"] == "ok"
    assert parts["libOpenCL"]["state"] == "failed"
    assert "none.so" in parts["libOpenCL"]["detail"]
    assert "pocl-opencl-icd" in parts["libOpenCL"]["mend"]
    assert parts["small kernel"]["state"] == "skipped"


def test_doctor_reports_an_unknown_device():
    findings = {one.name: one for one in doctor("hsot")}
    assert findings["RPC session"].state == "failed"
    assert "did you mean 'host'" in findings["RPC session"].detail


def test_doctor_names_a_wrong_pin(monkeypatch):
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.1.15.post2" if name == "apache-tvm-ffi" else real(name)
    )
    (found,) = doctor(checks=[Check("TVM pins", True, checks.pins, "pip")])
    assert found.state == "failed"
    assert "apache-tvm-ffi 0.1.15.post2 is installed, 0.1.14.post1 is needed" in found.detail


def test_doctor_fails_at_a_wrong_kernel_result(monkeypatch):
    from devices.diagnosis import small_kernel

    monkeypatch.setattr(small_kernel, "error_on", lambda session, module: float("nan"))
    chosen = [check for check in CHECKS if check.name in ("RPC session", "small kernel")]
    findings = doctor(checks=chosen)
    assert findings[-1].state == "failed"
    assert "wrong by nan" in findings[-1].detail


def test_doctor_status_ignores_optional_parts():
    def absent(_):
        raise Missing("not here")

    optional, needed = (doctor(checks=[Check("x", flag, absent, "get it")]) for flag in (False, True))
    assert healthy(optional)
    assert not healthy(needed)
    assert (optional[0].state, optional[0].mend) == ("missing", "get it")


def test_doctor_reports_an_unreachable_tracker(monkeypatch):
    monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
    monkeypatch.setenv("TVM_TRACKER_PORT", "1")
    (found,) = doctor(checks=[check for check in CHECKS if check.name == "tracker"])
    assert found.state == "failed"
    assert "no tracker at 127.0.0.1:1" in found.detail
