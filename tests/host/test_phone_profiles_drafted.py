"""Profiles that are drafted for phones: what small kernels reach goes into them, and what somebody wrote stays."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from devices.android.drafting import draft_profile
from devices.android.offering import CheckedPhone
from devices.android.probing import ReachedPeaks
from devices.android.setup import SetupRequest, keep_profile
from devices.info import DeviceInfo
from devices.profile import load_profile
from tests.agent_serving import agent_program
from tests.fake_adb.rehearsal import Rehearsal

POWERVR = DeviceInfo("PowerVR GE8320", vendor="Imagination", kind="gpu", compute_units=1, max_work_group=32, fp16=False)
MEASURE = """
import json, sys
from dataclasses import asdict
from devices import open_device
from devices.android.probing import measure_peaks
with open_device(sys.argv[1]) as session:
    print(json.dumps(asdict(measure_peaks(session, bool(session.info.fp16)))))
"""


@pytest.fixture
def rehearsal(tmp_path):
    rehearsal = Rehearsal(tmp_path, agent_program())
    yield rehearsal
    rehearsal.close()


def test_peaks_of_a_phone_go_into_the_draft(rehearsal, tmp_path):
    rehearsal.plug()
    phone = json.loads(rehearsal.phone_command("setup", "--json").stdout)["phones"][0]
    key, said = phone["key"], DeviceInfo(**phone["device"])
    assert said.cache_bytes > 0
    assert (min(said.image2d_width, said.image2d_height) > 0) == said.image2d
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, f"rpc:{key}"], capture_output=True, text=True, env=rehearsal.environment
    )
    assert done.returncode == 0, done.stderr
    peaks = ReachedPeaks(**json.loads(done.stdout))
    assert peaks.gflops is not None
    assert peaks.gbytes_per_sec is not None
    assert 0.1 < peaks.gflops < 1e5
    assert 0.1 < peaks.gbytes_per_sec < 1e4
    unknown = replace(said, name="PowerVR GE8320", vendor="Imagination", platform="", kind="gpu")
    (tmp_path / "draft.toml").write_text(draft_profile(unknown, peaks), encoding="utf-8")
    assert f"cache_bytes = {said.cache_bytes}  # the device says so" in (tmp_path / "draft.toml").read_text()
    profile = load_profile(tmp_path / "draft.toml")
    assert profile.peak_gflops_fp32 == pytest.approx(peaks.gflops, rel=0.01)
    assert profile.peak_gbytes_per_sec == pytest.approx(peaks.gbytes_per_sec, rel=0.01)
    assert rehearsal.phone_command("stop").returncode == 0


def test_draft_that_is_there_is_kept_unless_it_is_to_be_replaced(monkeypatch, tmp_path):
    monkeypatch.delenv("TVM_TRACKER_HOST", raising=False)  # nobody answers: peaks are left out
    path = tmp_path / "powervr.toml"
    request = SetupRequest(None, 9190, out=path)
    checked = CheckedPhone([], POWERVR)
    assert keep_profile("phone", checked, request) == (str(path), True)
    drafted = path.read_text()
    assert load_profile(path).peak_gflops_fp32 is None
    path.write_text(drafted + "peak_gflops_fp32 = 12\n")
    assert keep_profile("phone", checked, request) == (str(path), True)
    assert load_profile(path).peak_gflops_fp32 == 12
    keep_profile("phone", checked, SetupRequest(None, 9190, out=path, force=True))
    assert path.read_text() == drafted
