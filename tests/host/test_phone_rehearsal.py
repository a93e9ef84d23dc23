"""From a phone at a cable to timings and to a faster network, rehearsed: a fake adb server, a real agent behind it."""

import json
import re
import threading
import time
from pathlib import Path

import pytest

from devices.profile import PROFILE_DIR
from latency.optimize.job import RECORDS
from latency.records.read import read_records
from tests.agent_serving import agent_program
from tests.fake_adb.rehearsal import Rehearsal

NETWORK = """
from torch import nn

def net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 8, 1)
    )
"""
MODEL = ("--model", "tiny.py:net", "--size", "32x32")
TESTS_OF_PHONES = Path(__file__).parents[1] / "phone"
QUICK = ("--sparsity", "columns:0.5:4x1", "--rounds", "3", "--wait-secs", "0")


@pytest.fixture
def rehearsal(tmp_path):
    rehearsal = Rehearsal(tmp_path, agent_program())
    (tmp_path / "tiny.py").write_text(NETWORK)
    yield rehearsal
    rehearsal.close()


def set_up(rehearsal: Rehearsal, *words: str) -> dict:
    done = rehearsal.phone_command("setup", "--json", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_setup_offers_checks_and_says_what_to_type_next(rehearsal):
    phone = rehearsal.plug()
    began = time.monotonic()
    done = rehearsal.phone_command("setup")
    print(f"setup: {time.monotonic() - began:.1f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "phone R58M is rpc:sm-g973f, offered after" in done.stdout
    for said in ("samsung SM-G973F", "Samsung Exynos 9820", "12 (API 31)", "ARM, Mali-G76", "87 %, 29.1 °C"):
        assert said in done.stdout
    assert f"export TVM_TRACKER_HOST=127.0.0.1 TVM_TRACKER_PORT={rehearsal.tracker_port}" in done.stdout
    assert "python -m latency.collect --model lwop --device rpc:sm-g973f" in done.stdout
    assert done.stderr == ""
    shown = json.loads(rehearsal.phone_command("status", "--json").stdout)["phones"]
    assert [(entry["key"], entry["offered"], len(entry["forward_ports"])) for entry in shown] == [
        ("sm-g973f", True, 1)
    ]  # fmt: skip
    assert "session begins" in rehearsal.phone_command("logs").stdout
    listed = rehearsal.phone_command("shell", "-c", "ls")
    assert {"agent.log", "agent.pid", "fleetpose-agent", "work"} <= set(listed.stdout.split())
    assert rehearsal.phone_command("shell", "-c", "exit 7").returncode == 7
    done = rehearsal.phone_command("stop", "--remove")
    assert done.returncode == 0, done.stderr
    assert list((phone.folder / "data/local/tmp").iterdir()) == []
    assert rehearsal.left() == []


def test_setup_again_replaces_the_agent(rehearsal):
    phone = rehearsal.plug()
    first = set_up(rehearsal)
    process = next(process for process in phone.processes())
    second = set_up(rehearsal, "--key", "other")
    assert not process.is_running()
    assert (first["phones"][0]["key"], second["phones"][0]["key"]) == ("sm-g973f", "other")
    assert len(rehearsal.adb.ports()) == 2
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


@pytest.mark.long
def test_two_phones_are_set_up_side_by_side_and_stopped_one_by_one(rehearsal):
    rehearsal.plug("A1", "Pixel 8")
    rehearsal.plug("B2", "SM-S901B")
    ready = set_up(rehearsal, "--serial", "all")["phones"]
    assert [(phone["serial"], phone["key"], phone["healthy"]) for phone in ready] == [
        ("A1", "pixel-8", True), ("B2", "sm-s901b", True)
    ]  # fmt: skip
    assert rehearsal.phone_command("stop", "--serial", "A1").returncode == 0
    assert {serial for serial, _ in rehearsal.adb.ports()} == {"B2"}
    assert len(rehearsal.trackers()) == 1
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


def test_dry_run_prints_commands_and_asks_no_server(rehearsal):
    rehearsal.environment["FLEETPOSE_CACHE_BYTES"] = "1000000"
    done = rehearsal.phone_command("setup", "--dry-run", "--serial", "R58M", "--key", "pixel")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith("adb -s R58M ") for line in lines)
    assert [line.split()[3] for line in lines if line.split()[3] in ("push", "reverse", "forward")] == [
        "forward", "reverse", "push", "reverse", "forward"
    ]  # fmt: skip
    assert [line for line in lines if "FLEETPOSE_CACHE_BYTES=1000000 nohup" in line]
    assert rehearsal.adb.asked == []
    assert rehearsal.left() == []


@pytest.mark.long
def test_timings_are_kept_when_the_cable_is_pulled_and_go_on_when_it_is_back(rehearsal, tmp_path):
    phone = rehearsal.plug()
    key = set_up(rehearsal)["phones"][0]["key"]
    command = ("latency.collect", *MODEL, *QUICK, "--device", f"rpc:{key}", "-o", "timings.jsonl", "--json")
    process = rehearsal.start(*command)
    pulling = threading.Thread(target=pull_after_records, args=(rehearsal, tmp_path / "timings.jsonl"))
    pulling.start()
    _, errors = process.communicate(timeout=900)
    pulling.join()
    assert process.returncode == 3, errors
    assert "no device under key 'sm-g973f'" in errors
    assert errors.rstrip().endswith("what was measured is kept; the same command goes on from here")
    assert "Traceback" not in errors
    kept = read_records(tmp_path / "timings.jsonl")
    assert kept
    assert rehearsal.adb.ports() == []
    rehearsal.adb.plug(phone)
    set_up(rehearsal)
    done = rehearsal.run(*command)
    assert done.returncode == 0, done.stderr
    records = read_records(tmp_path / "timings.jsonl")
    assert [record.id for record in records[: len(kept)]] == [record.id for record in kept]
    assert len(records) > len(kept)
    assert not [record for record in records if record.failure]
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


@pytest.mark.long
def test_optimize_goes_on_where_the_cable_was_pulled(rehearsal, tmp_path):
    phone = rehearsal.plug()
    key = set_up(rehearsal)["phones"][0]["key"]
    (tmp_path / "own.toml").write_bytes((PROFILE_DIR / "host.toml").read_bytes())
    command = ("latency.optimize", *MODEL, *QUICK, "--no-tune", "--around", "6", "--profile", "own.toml",
               "--device", f"rpc:{key}", "-o", "optimized")  # fmt: skip
    timings = tmp_path / "optimized" / RECORDS
    process = rehearsal.start(*command)
    pulling = threading.Thread(target=pull_after_records, args=(rehearsal, timings))
    pulling.start()
    _, errors = process.communicate(timeout=900)
    pulling.join()
    assert process.returncode == 3, errors
    said = [line for line in errors.splitlines() if line.startswith("python -m latency.optimize: ")]
    assert len(said) == 1, errors
    assert "no device under key 'sm-g973f'" in said[0]
    assert re.search(r"\nstage \d+ of \d+, collect: what is done is kept; the same command goes on\n$", errors)
    assert "Traceback" not in errors
    kept = read_records(timings)
    assert kept
    assert not (tmp_path / "optimized" / "report.html").exists()
    assert rehearsal.adb.ports() == []
    rehearsal.adb.plug(phone)
    set_up(rehearsal)
    done = rehearsal.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    records = read_records(timings)
    assert [record.id for record in records[: len(kept)]] == [record.id for record in kept]
    assert not [record for record in records if record.failure]
    assert (tmp_path / "optimized" / "report.html").exists()
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


def pull_after_records(rehearsal: Rehearsal, path: Path) -> None:
    """Pull the cable as soon as there are records."""
    while not path.exists() or not path.read_bytes().count(b"\n"):
        time.sleep(0.05)
    rehearsal.adb.unplug("R58M")


def test_tests_for_phones_pass_on_a_phone_that_was_set_up(rehearsal):
    rehearsal.plug()
    rehearsal.environment["TVM_TRACKER_KEY"] = set_up(rehearsal)["phones"][0]["key"]
    done = rehearsal.run("pytest", "-q", "-p", "no:cacheprovider", TESTS_OF_PHONES)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed in", done.stdout, re.MULTILINE)
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


@pytest.mark.long
def test_network_is_made_fast_from_setup_on(rehearsal, tmp_path):
    rehearsal.plug()
    began = time.monotonic()
    key = set_up(rehearsal)["phones"][0]["key"]
    print(f"setup: {time.monotonic() - began:.1f} s")
    collect = ("latency.collect", *MODEL, *QUICK, "--device", f"rpc:{key}", "-o", "timings.jsonl")
    (tmp_path / "own.toml").write_bytes((PROFILE_DIR / "host.toml").read_bytes())  # as a draft is, none of ours by name
    process = rehearsal.start(*collect)
    while not (tmp_path / "timings.jsonl").exists() or not (tmp_path / "timings.jsonl").stat().st_size:
        assert process.poll() is None
        time.sleep(0.02)
    print(f"setup to the first timing: {time.monotonic() - began:.1f} s")
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    done = rehearsal.run(
        "latency.optimize",
        *MODEL,
        *QUICK,
        "--no-tune",
        "--around",
        "6",
        "--device",
        f"rpc:{key}",
        "-o",
        "optimized",
        "--profile",
        "own.toml",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert (tmp_path / "optimized" / "report.html").exists()
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


@pytest.mark.long
def test_two_phones_under_one_key_share_the_work(rehearsal, tmp_path):
    rehearsal.plug("A1", "Pixel 8")
    rehearsal.plug("B2", "Pixel 8")
    ready = set_up(rehearsal, "--serial", "all")["phones"]
    assert {phone["key"] for phone in ready} == {"pixel-8"}
    done = rehearsal.run(
        "latency.collect", *MODEL, *QUICK, "--device", "rpc:pixel-8", "--workers", "2", "-o", "both.jsonl"
    )
    assert done.returncode == 0, done.stderr
    assert not [record for record in read_records(tmp_path / "both.jsonl") if record.failure]
    logs = json.loads(rehearsal.phone_command("logs", "--json").stdout)["logs"]
    sessions = [text.count("session begins") for text in logs.values()]
    assert min(sessions) >= 1
    assert sum(sessions) >= 4  # two that checked, two that timed
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []
