"""devices.adb against an adb server on loopback whose phones are folders."""

import contextlib
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.adb.choosing import choose_phones
from devices.adb.phone import AdbPhone, ForwardedPort, PrintedPhone
from devices.adb.server import AdbServer, AttachedPhone, find_adb
from fleetpose.errors import DeviceUnreachable, UsageError
from tests.fake_adb.phone import FakePhone, UnplugNow
from tests.fake_adb.server import FakeAdbServer


@pytest.fixture
def fake():
    server = FakeAdbServer()
    yield server
    server.close()


@pytest.fixture
def plugged(fake, tmp_path):
    phone = FakePhone("R58M", tmp_path / "phone")
    fake.plug(phone)
    return phone


@pytest.fixture
def server(fake):
    return AdbServer(*fake.address, wait_secs=20.0)


@pytest.fixture
def phone(server, plugged):
    return AdbPhone(server, plugged.serial)


def echo_once(host: str, port: int = 0) -> int:
    """A server that answers one connection with what it reads; its port."""
    listening = socket.create_server((host, port))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, listening:
            connection.sendall(connection.recv(100))

    threading.Thread(target=serve, daemon=True).start()
    return listening.getsockname()[1]


def ask(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(b"hello")
        return connection.recv(100)


def test_server_lists_phones_with_states_and_models(fake, server, plugged, tmp_path):
    other = FakePhone("1A2B", tmp_path / "other", 2)
    other.state = "no permissions"
    fake.plug(other)
    assert server.version() == 41
    assert server.phones() == [AttachedPhone("R58M", "device", "SM G973F"), AttachedPhone("1A2B", "no permissions")]


def test_shell_gives_status_and_both_streams(phone):
    assert phone.shell("echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
    assert len(phone.shell("head -c 3000000 /dev/zero | tr '\\0' a").output) == 3_000_000


def test_shell_of_endless_output_is_given_up(phone):
    with pytest.raises(DeviceUnreachable, match="answers more than 4 MiB"):
        phone.shell("cat /dev/zero")


def test_push_writes_the_file_with_its_mode(phone, plugged):
    content = bytes(range(256)) * 1000
    phone.push(content, "/data/local/tmp/program", 0o755)
    written = plugged.folder / "data/local/tmp/program"
    assert written.read_bytes() == content
    assert written.stat().st_mode & 0o777 == 0o755
    assert list(written.parent.iterdir()) == [written]


def test_push_into_no_folder_is_one_line(phone):
    with pytest.raises(DeviceUnreachable, match=r"phone R58M does not take /data/nowhere/x: .*No such file"):
        phone.push(b"x", "/data/nowhere/x")


def test_forward_leads_to_the_phone_until_it_is_removed(phone, plugged, fake):
    there = echo_once(plugged.loopback)
    port = phone.forward(there)
    assert phone.forwards() == [ForwardedPort(port, there)]
    assert ask("127.0.0.1", port) == b"hello"
    phone.remove_forward(port)
    phone.remove_forward(port)
    assert phone.forwards() == fake.ports() == []


def test_reverse_leads_from_the_phone_until_it_is_removed(phone, plugged, fake):
    here = echo_once("127.0.0.1")
    phone.reverse(here, here)
    assert phone.reverses() == [ForwardedPort(here, here)]
    assert ask(plugged.loopback, here) == b"hello"
    phone.remove_reverse(here)
    phone.remove_reverse(here)
    assert phone.reverses() == fake.ports() == []


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("unauthorized", "device unauthorized.*Allow USB debugging"),
        ("offline", "device offline; unplug it"),
        ("recovery", "device recovery; start its system"),
    ],
)
def test_phone_that_cannot_be_used_says_why_and_the_mend(phone, plugged, state, said):
    plugged.state = state
    with pytest.raises(DeviceUnreachable, match=f"^phone R58M: {said}") as caught:
        phone.shell("true")
    assert "\n" not in str(caught.value)


def test_phone_that_is_unplugged_during_a_command_is_one_line(phone, plugged, fake):
    def pull(service):
        raise UnplugNow

    plugged.before = pull
    with pytest.raises(DeviceUnreachable, match=r"^phone R58M went away: the connection was closed") as caught:
        phone.shell("true")
    assert "\n" not in str(caught.value)
    with pytest.raises(DeviceUnreachable, match=r"^phone R58M: device 'R58M' not found"):
        phone.shell("true")


def test_phone_that_does_not_answer_is_given_up_in_time(fake, plugged):
    silent = threading.Event()
    plugged.before = lambda service: silent.wait(60)
    phone = AdbPhone(AdbServer(*fake.address, wait_secs=0.3), plugged.serial)
    with pytest.raises(DeviceUnreachable, match=r"^phone R58M does not answer within 0.3 s"):
        phone.shell("true")
    silent.set()


def test_no_adb_server_and_no_adb_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DeviceUnreachable, match="apt-get install -y adb"):
        AdbServer("127.0.0.1", port).ensure_running()


def test_adb_on_the_path_is_started_where_nothing_listens(monkeypatch, tmp_path):
    program = tmp_path / "adb"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert find_adb() == program
    AdbServer("127.0.0.1", port).ensure_running()
    assert (tmp_path / "called").read_text() == f"-P {port} start-server\n"


def test_what_is_no_adb_server_is_told(tmp_path):
    port = echo_once("127.0.0.1")
    with pytest.raises(DeviceUnreachable, match="no adb server: it answers b'000c'"):
        AdbServer("127.0.0.1", port, 20.0).version()


ANSWERS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"OKAY", b"FAIL", b"0004", b"ffff", b"zzzz", b"\x01\xff\xff\xff\xff", b"\x03\x01\0\0\0\0",
                              b"abcd"]), max_size=8).map(b"".join),
)  # fmt: skip


@given(answer=ANSWERS)
def test_whatever_answers_is_an_answer_or_one_line(answer):
    """A server that says anything at all, and then ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(1 << 16)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        server = AdbServer(*listening.getsockname()[:2], wait_secs=20.0)
        phone = AdbPhone(server, "R58M")
        for ask_server in (server.version, server.phones, phone.forwards, phone.reverses, lambda: phone.forward(1),
                           lambda: phone.shell("true"), lambda: phone.push(b"x", "/data/x"),
                           lambda: phone.remove_reverse(1)):  # fmt: skip
            said = ""
            try:
                ask_server()
            except DeviceUnreachable as error:
                said = str(error)
            assert "\n" not in said
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, ("127.0.0.1", 5037)),
        ({"ANDROID_ADB_SERVER_PORT": "6000"}, ("127.0.0.1", 6000)),
        ({"ANDROID_ADB_SERVER_ADDRESS": "10.0.0.2"}, ("10.0.0.2", 5037)),
        ({"ADB_SERVER_SOCKET": "tcp:lab:5038", "ANDROID_ADB_SERVER_PORT": "6000"}, ("lab", 5038)),
    ],
)
def test_server_is_the_one_that_adb_would_ask(monkeypatch, environment, address):
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server = AdbServer.from_environment()
    assert (server.host, server.port) == address


@pytest.mark.parametrize(
    ("name", "value"), [("ANDROID_ADB_SERVER_PORT", "x"), ("ADB_SERVER_SOCKET", "localabstract:a")]
)
def test_variable_that_names_no_server_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        AdbServer.from_environment()


def test_only_ready_phone_is_chosen_and_several_have_to_be_named(fake, server, plugged, tmp_path):
    assert choose_phones(server, []) == ["R58M"]
    other = FakePhone("1A2B", tmp_path / "other", 2)
    fake.plug(other)
    with pytest.raises(UsageError, match="2 phones are ready; say which: --serial R58M --serial 1A2B, or --serial all"):
        choose_phones(server, [])
    assert choose_phones(server, ["all"]) == ["R58M", "1A2B"]
    assert choose_phones(server, ["1A2B", "1A2B"]) == ["1A2B"]
    other.state = "unauthorized"
    assert choose_phones(server, []) == ["R58M"]
    with pytest.raises(DeviceUnreachable, match="phone 1A2B: unauthorized: unlock it"):
        choose_phones(server, ["1A2B"])
    with pytest.raises(DeviceUnreachable, match=r"no phone X at adb's server .*there: R58M, 1A2B"):
        choose_phones(server, ["X"])


def test_printed_phone_says_commands_and_does_nothing(capsys):
    phone = PrintedPhone(AdbServer("127.0.0.1", 1), "R58M")
    phone.shell("echo 'a b'")
    phone.push(b"x", "/data/x", 0o755, "agent")
    phone.reverse(9190, 9190)
    assert phone.forward(9191) == 0
    assert capsys.readouterr().out.splitlines() == [
        "adb -s R58M shell 'echo '\"'\"'a b'\"'\"''",
        "adb -s R58M push agent /data/x",
        "adb -s R58M shell 'chmod 755 /data/x'",
        "adb -s R58M reverse tcp:9190 tcp:9190",
        "adb -s R58M forward tcp:0 tcp:9191",
    ]
