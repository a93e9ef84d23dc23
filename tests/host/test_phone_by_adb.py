"""A phone behind adb's own server, which forwards the ports and keeps the lists: from setup to a cable that is pulled.

It needs the adb program: Debian's adb, or pip's adbutils, which brings one.
"""

import json
import os
import socket
import subprocess
import time

import pytest

from devices.adb.phone import AdbPhone
from devices.adb.server import AdbServer, find_adb
from devices.adb.wire import ServerConnection
from tests.agent_serving import agent_program
from tests.fake_adb.device import FakeDaemon
from tests.fake_adb.rehearsal import Rehearsal

pytestmark = pytest.mark.skipif(find_adb() is None, reason="no adb program; pip install adbutils brings one")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """adb's own server, at a port of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))  # it keeps its keys there
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = AdbServer("127.0.0.1", port)
    server.ensure_running()
    yield server
    subprocess.run([str(find_adb()), "-P", str(port), "kill-server"], timeout=60, check=False, capture_output=True)


@pytest.fixture
def rehearsal(server, tmp_path):
    rehearsal = Rehearsal(tmp_path, agent_program())
    rehearsal.environment |= {"ANDROID_ADB_SERVER_PORT": str(server.port), "HOME": os.environ["HOME"]}
    yield rehearsal
    rehearsal.close()


@pytest.fixture
def daemon(rehearsal, server):
    """A phone that is connected; its serial is the address of its daemon."""
    phone = rehearsal.plug()
    rehearsal.adb.unplug(phone.serial)  # it is behind adb's server, not behind the fake one
    daemon = FakeDaemon(phone)
    connect(server, daemon)
    yield daemon
    daemon.close()


def connect(server: AdbServer, daemon: FakeDaemon) -> None:
    """What `adb connect` asks for, and the wait until the phone is ready."""
    with ServerConnection((server.host, server.port), 60.0) as connection:
        connection.request(f"host:connect:{serial_of(daemon)}")
        assert "connected to" in connection.receive_text()
    wait_for(lambda: [phone.ready for phone in server.phones() if phone.serial == serial_of(daemon)] == [True])


def serial_of(daemon: FakeDaemon) -> str:
    return f"127.0.0.1:{daemon.port}"


def wait_for(happened) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_phone_is_known_by_its_serial_and_model(server, daemon):
    (phone,) = (phone for phone in server.phones() if phone.serial == serial_of(daemon))
    assert (phone.state, phone.model) == ("device", "SM G973F")


def test_files_commands_and_ports_go_through_adbs_server(server, daemon):
    phone = AdbPhone(server, serial_of(daemon))
    assert phone.shell("echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
    assert len(phone.shell("head -c 3000000 /dev/zero | tr '\\0' a").output) == 3_000_000
    content = bytes(range(256)) * 4000
    phone.push(content, "/data/local/tmp/file", 0o755)
    assert (daemon.phone.folder / "data/local/tmp/file").read_bytes() == content
    port = phone.forward(9191)
    assert [(entry.listening, entry.reached) for entry in phone.forwards()] == [(port, 9191)]
    phone.reverse(9190, port)
    assert [entry.listening for entry in phone.reverses()] == [9190]
    for _ in range(2):  # the second time there is nothing to end
        phone.remove_forward(port)
        phone.remove_reverse(9190)
    assert phone.forwards() == phone.reverses() == []


def test_phone_is_set_up_and_ended_through_adbs_server(rehearsal, server, daemon):
    done = rehearsal.phone_command("setup", "--json", "--serial", serial_of(daemon))
    assert done.returncode == 0, done.stdout + done.stderr
    phone = json.loads(done.stdout)["phones"][0]
    assert phone["healthy"]
    shown = json.loads(rehearsal.phone_command("status", "--json").stdout)["phones"]
    assert [(entry["key"], entry["offered"]) for entry in shown if entry["serial"] == serial_of(daemon)] == [
        ("sm-g973f", True)
    ]  # fmt: skip
    done = rehearsal.phone_command("stop", "--serial", serial_of(daemon))
    assert done.returncode == 0, done.stderr
    assert AdbPhone(server, serial_of(daemon)).forwards() == []
    assert daemon.reverses == {}
    assert rehearsal.left() == []


def test_cable_that_is_pulled_ends_the_ports_and_the_phone_can_come_back(rehearsal, server, daemon):
    serial = serial_of(daemon)
    done = rehearsal.phone_command("setup", "--json", "--serial", serial)
    port = json.loads(done.stdout)["phones"][0]["forward_port"]
    daemon.close()
    wait_for(lambda: serial not in [phone.serial for phone in server.phones() if phone.ready])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    done = rehearsal.phone_command("shell", "--serial", serial, "-c", "true")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    again = FakeDaemon(daemon.phone)
    connect(server, again)
    done = rehearsal.phone_command("setup", "--json", "--serial", serial_of(again))
    assert done.returncode == 0, done.stderr
    assert len(daemon.phone.processes()) == 1
    assert rehearsal.phone_command("stop", "--serial", serial_of(again)).returncode == 0
    assert rehearsal.left() == []
    again.close()
