"""Faults on the way to a phone: one clear line, the right exit status, and nothing left running or forwarded."""

import contextlib
import signal
import socket
import threading
import time

import pytest

from devices.rpc import tracker
from devices.rpc.tracker import Address
from fleetpose.errors import DeviceUnreachable
from tests.agent_serving import agent_program
from tests.fake_adb.phone import UnplugNow
from tests.fake_adb.rehearsal import Rehearsal


@pytest.fixture
def rehearsal(tmp_path):
    rehearsal = Rehearsal(tmp_path, agent_program())
    yield rehearsal
    rehearsal.close()


def assert_one_line(done, status: int, *said: str) -> None:
    """The command ended with one line on stderr that says all this, and said nothing on stdout."""
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("python -m devices.android: ")
    for part in said:
        assert part in lines[0]


def pull_at(phone, part: str) -> None:
    """Pull the cable when a service that has `part` in it is asked for."""

    def before(service: str) -> None:
        if part in service:
            raise UnplugNow

    phone.before = before


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("unauthorized", "accept 'Allow USB debugging?'"),
        ("offline", "unplug it and plug it in again"),
        ("no permissions", "udev rule"),
    ],
)
def test_setup_of_a_phone_that_is_not_ready(rehearsal, state, said):
    rehearsal.plug().state = state
    assert_one_line(rehearsal.phone_command("setup"), 3, "phone R58M", state, said)
    assert rehearsal.left() == []


def test_setup_without_a_phone(rehearsal):
    assert_one_line(rehearsal.phone_command("setup"), 3, "no phone at adb's server", "USB debugging")
    assert rehearsal.left() == []


def test_setup_with_two_phones_asks_which(rehearsal):
    rehearsal.plug("A1")
    rehearsal.plug("B2")
    assert_one_line(rehearsal.phone_command("setup"), 2, "2 phones are ready", "--serial A1 --serial B2")
    named = rehearsal.phone_command("setup", "--serial", "all", "-o", "one.toml")
    assert_one_line(named, 2, "-o is one draft's file, for 2 phones", "one by one")
    assert rehearsal.left() == []


@pytest.mark.parametrize(
    "step", ["getprop", "dumpsys battery", "mkdir", "sync:", "chmod", "reverse:forward", "forward:tcp:0", "nohup"]
)
def test_setup_of_a_phone_that_is_unplugged(rehearsal, step):
    pull_at(rehearsal.plug(), step)
    assert_one_line(rehearsal.phone_command("setup"), 3, "phone R58M went away")
    assert rehearsal.left() == []


@pytest.mark.parametrize("step", ["agent.log", "cmdline"])
def test_phone_that_is_unplugged_with_its_agent_running_is_cleared_when_it_is_back(rehearsal, step):
    phone = rehearsal.plug()
    started = threading.Event()

    def before(service: str) -> None:
        if "nohup" in service:
            started.set()
        elif started.is_set() and step in service:
            raise UnplugNow

    phone.before = before
    if step == "cmdline":  # it is looked at where the agent does not come to the tracker
        phone.before = lambda service: before(service) or cut_reverse(rehearsal, service)
    assert_one_line(rehearsal.phone_command("setup", "--wait-secs", 5), 3, "phone R58M went away")
    assert rehearsal.adb.ports() == rehearsal.trackers() == []
    phone.before = lambda service: None
    rehearsal.adb.plug(phone)
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


def cut_reverse(rehearsal: Rehearsal, service: str) -> None:
    """Cut a phone's way to the tracker when its agent is about to start."""
    if "nohup" in service:
        rehearsal.adb.reverses["R58M"].pop(rehearsal.tracker_port).close()


def test_setup_of_a_phone_that_is_too_slow(rehearsal):
    rehearsal.plug().before = lambda service: time.sleep(3 if service == "sync:" else 0)
    assert_one_line(rehearsal.phone_command("setup", "--wait-secs", 1), 3, "phone R58M does not answer within 1 s")
    assert rehearsal.left() == []


def test_setup_of_an_agent_that_ends_at_once(rehearsal, tmp_path):
    rehearsal.agent = tmp_path / "broken"
    rehearsal.agent.write_text("#!/bin/sh\necho no such luck >&2\nexit 9\n")
    rehearsal.plug()
    assert_one_line(rehearsal.phone_command("setup"), 3, "the agent on phone R58M ended at once: no such luck")
    assert rehearsal.left() == []


def test_setup_of_a_phone_that_cannot_run_androids_agent(rehearsal):
    """As it is built for phones: this machine's shell says what it thinks of an arm64 executable."""
    rehearsal.plug()
    assert_one_line(rehearsal.run("devices.android", "setup"), 3, "the agent on phone R58M ended at once: ")
    assert rehearsal.left() == []


def test_setup_of_a_phone_whose_way_to_the_tracker_is_cut(rehearsal):
    rehearsal.plug().before = lambda service: cut_reverse(rehearsal, service)
    done = rehearsal.phone_command("setup", "--wait-secs", 3)
    assert_one_line(done, 3, "does not reach the tracker")
    assert rehearsal.left() == []


def test_setup_where_something_else_has_the_trackers_port(rehearsal):
    rehearsal.plug()
    with socket.create_server(("127.0.0.1", rehearsal.tracker_port)):
        done = rehearsal.phone_command("setup")
    assert_one_line(done, 2, f"port {rehearsal.tracker_port} of 127.0.0.1 is in use", "--tracker-port")
    assert rehearsal.left() == []


def test_setup_of_a_phone_of_another_processor(rehearsal):
    phone = rehearsal.plug()
    phone.properties["ro.product.cpu.abi"] = "x86_64"
    phone.write_tables()
    done = rehearsal.run("devices.android", "setup")
    assert_one_line(done, 2, "phone R58M runs x86_64")
    assert rehearsal.left() == []


def test_setup_that_is_interrupted_leaves_nothing(rehearsal):
    asked = []

    def notice(service: str) -> None:
        if "nohup" in service:
            asked.append(process.send_signal(signal.SIGINT))

    rehearsal.plug().before = notice
    process = rehearsal.start("devices.android", "setup", "--agent", rehearsal.agent)
    _, errors = process.communicate(timeout=300)
    assert asked
    assert (process.returncode, errors) == (130, "python -m devices.android: interrupted\n")
    assert rehearsal.left() == []


def when_offered(rehearsal: Rehearsal, act) -> None:
    """Do something as soon as the tracker knows a phone, which is when the doctor's checks begin."""
    address = Address("127.0.0.1", rehearsal.tracker_port)

    def wait() -> None:
        known = []
        while not known:
            time.sleep(0.02)
            with contextlib.suppress(DeviceUnreachable):  # no tracker yet
                known = tracker.servers(address)
        act()

    threading.Thread(target=wait, daemon=True).start()


def test_phone_that_is_unplugged_while_it_is_checked(rehearsal):
    phone = rehearsal.plug()
    when_offered(rehearsal, lambda: rehearsal.adb.unplug("R58M"))
    assert_one_line(rehearsal.phone_command("setup"), 3, "phone R58M")
    assert rehearsal.adb.ports() == rehearsal.trackers() == []
    rehearsal.adb.plug(phone)
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []


def test_setup_that_is_interrupted_while_it_checks_leaves_nothing(rehearsal):
    rehearsal.plug()
    process = rehearsal.start("devices.android", "setup", "--agent", rehearsal.agent)
    when_offered(rehearsal, lambda: process.send_signal(signal.SIGINT))
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (130, "")
    assert errors.splitlines()[-1] == "python -m devices.android: interrupted"
    assert rehearsal.left() == []


def test_one_phone_that_fails_costs_the_other_nothing(rehearsal):
    good = rehearsal.plug("A1", "Pixel 8")
    pull_at(rehearsal.plug("B2"), "sync:")
    done = rehearsal.phone_command("setup", "--serial", "all")
    assert done.returncode == 3
    assert "phone A1 is rpc:pixel-8" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("python -m devices.android: phone B2 went away")
    assert [serial for serial, _ in rehearsal.adb.ports()] == ["A1", "A1"]
    assert good.processes() != []
    assert rehearsal.phone_command("stop").returncode == 0
    assert rehearsal.left() == []
