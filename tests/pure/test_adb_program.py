"""adb's own program against the adb server of the tests, so that what is rehearsed there is what adb does.

It needs the program: Debian's adb, or pip's adbutils, which brings one.
"""

import os
import subprocess

import pytest

from devices.adb.phone import AdbPhone
from devices.adb.server import AdbServer, find_adb
from tests.fake_adb.phone import FakePhone
from tests.fake_adb.server import FakeAdbServer

pytestmark = pytest.mark.skipif(find_adb() is None, reason="no adb program; pip install adbutils brings one")


@pytest.fixture
def fake(tmp_path):
    server = FakeAdbServer()
    server.plug(FakePhone("R58M", tmp_path / "phone"))
    yield server
    server.close()


def run_adb(fake: FakeAdbServer, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(find_adb()), "-H", fake.address[0], "-P", str(fake.address[1]), "-s", "R58M", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_adb_lists_the_phone(fake):
    lines = run_adb(fake, "devices", "-l").stdout.splitlines()
    assert lines[1].split()[:2] == ["R58M", "device"]


def test_adb_runs_commands(fake):
    done = run_adb(fake, "shell", "getprop | grep soc.model; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "[ro.soc.model]: [Exynos 9820]\n", "err\n")


def test_adb_sends_a_file_as_we_do(fake, tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert run_adb(fake, "push", str(tmp_path / "file"), "/data/local/tmp/theirs").returncode == 0
    AdbPhone(AdbServer(*fake.address), "R58M").push(b"abc" * 100_000, "/data/local/tmp/ours")
    folder = fake.phones["R58M"].folder / "data/local/tmp"
    assert (folder / "theirs").read_bytes() == (folder / "ours").read_bytes()


def test_adb_sees_and_ends_ports_that_we_forward(fake):
    phone = AdbPhone(AdbServer(*fake.address), "R58M")
    port = phone.forward(9191)
    phone.reverse(9190, port)
    assert run_adb(fake, "forward", "--list").stdout.strip() == f"R58M tcp:{port} tcp:9191"
    assert run_adb(fake, "reverse", "--list").stdout.strip() == f"UsbFfs tcp:9190 tcp:{port}"
    assert run_adb(fake, "forward", "--remove", f"tcp:{port}").returncode == 0
    assert run_adb(fake, "reverse", "--remove", "tcp:9190").returncode == 0
    assert phone.forwards() == phone.reverses() == []


def test_we_see_and_end_ports_that_adb_forwards(fake):
    port = int(run_adb(fake, "forward", "tcp:0", "tcp:9191").stdout)
    assert run_adb(fake, "reverse", "tcp:9190", f"tcp:{port}").returncode == 0
    phone = AdbPhone(AdbServer(*fake.address), "R58M")
    assert [(entry.listening, entry.reached) for entry in (*phone.forwards(), *phone.reverses())] == [
        (port, 9191), (9190, port)
    ]  # fmt: skip
    phone.remove_forward(port)
    phone.remove_reverse(9190)
    assert fake.ports() == []


def test_adb_says_what_is_wrong_as_we_do(fake):
    fake.phones["R58M"].state = "unauthorized"
    done = run_adb(fake, "shell", "true")
    assert done.returncode == 1
    assert "device unauthorized" in done.stderr


@pytest.mark.slow
def test_our_client_asks_adbs_own_server(tmp_path):
    """The real server, with no phone: it is started by us, and answers what we ask."""
    import socket

    from devices.adb.choosing import choose_phones
    from fleetpose.errors import DeviceUnreachable

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = AdbServer("127.0.0.1", port)
    environment = {**os.environ, "HOME": str(tmp_path), "ANDROID_ADB_SERVER_PORT": str(port)}
    try:
        server.ensure_running()
        assert server.version() == 41
        assert [phone for phone in server.phones() if phone.serial == "R58M"] == []
        with pytest.raises(DeviceUnreachable, match="phone R58M: device 'R58M' not found"):
            AdbPhone(server, "R58M").shell("true")
        if not server.phones():
            with pytest.raises(DeviceUnreachable, match="no phone at adb's server"):
                choose_phones(server, [])
    finally:
        subprocess.run([str(find_adb()), "-P", str(port), "kill-server"], env=environment, timeout=60, check=False)
