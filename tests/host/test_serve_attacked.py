"""devices.serve, and the agent, among silent, slow and false clients, and trackers that come and go."""

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from devices import open_device
from devices.diagnosis import small_kernel
from devices.rpc import tracker
from devices.rpc.wire import RPC_MAGIC, RPC_MISMATCH, pack_name
from tests.agent_serving import ServingAgent
from tests.serving import WAIT_SECS, Serving

TRACKER = """
import sys
from devices.rpc.tracker import bind
from devices.rpc.tracker_service import serve_tracker
listening = bind("127.0.0.1", int(sys.argv[1]))
print("up", flush=True)
serve_tracker(listening)
"""


@pytest.fixture(scope="module", params=["serve", "agent"])
def kind(request):
    """What offers the device: `devices.serve` or the agent."""
    return request.param


@pytest.fixture(scope="module")
def kernel_path(tmp_path_factory, kind):
    name = {"serve": "small.so", "agent": "small.fpk"}[kind]
    return small_kernel.build(tmp_path_factory.mktemp("kernel") / name)


@pytest.fixture(scope="module")
def serving(tmp_path_factory, kind):
    """The running server, with a tracker."""
    one = start_server(kind, tmp_path_factory.mktemp("serving"))
    yield one
    one.kill()


def start_server(kind, folder, tracker_address=None):
    """A server under the key "bench", at a tracker; None: at one of its own."""
    if kind == "agent":
        return ServingAgent(folder / "work", "bench", tracker=tracker_address)
    flags = [] if tracker_address is not None else ["--with-tracker"]
    if tracker_address is None:
        with tracker.bind("127.0.0.1", None) as probe:
            tracker_address = tracker.Address("127.0.0.1", probe.getsockname()[1])
    one = Serving(*flags, "--tracker", str(tracker_address), "--key", "bench")
    one.tracker = tracker_address
    one.address = tracker.Address.parse(one.lines[0].split("'bench': ")[1].split(",")[0])
    return one


@pytest.fixture(scope="module")
def address(serving):
    """The tracker's."""
    return serving.tracker


@pytest.fixture(autouse=True)
def environment(monkeypatch, address):
    monkeypatch.setenv("TVM_TRACKER_HOST", address.host)
    monkeypatch.setenv("TVM_TRACKER_PORT", str(address.port))


def check(kernel_path):
    with open_device("rpc:bench", timeout_secs=WAIT_SECS) as session:
        assert small_kernel.error_on(session, session.load(kernel_path)) == 0


def until_free(address):
    deadline = time.monotonic() + WAIT_SECS
    while True:
        with contextlib.suppress(Exception):
            if tracker.summary(address)["bench"]["free"]:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_silent_and_slow_connections_delay_nobody(serving, address, kernel_path):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(serving.address)) for _ in range(200)]
        stack.enter_context(socket.create_connection(address))
        for one in silent[:8]:
            one.sendall(struct.pack("<i", RPC_MAGIC)[:1])
        check(kernel_path)
        with open_device("rpc:bench", timeout_secs=WAIT_SECS) as session:  # those that come during a session, too
            late = [stack.enter_context(socket.create_connection(serving.address)) for _ in range(200)]
            assert small_kernel.error_on(session, session.load(kernel_path)) == 0
            for one in (*silent, *late):
                one.settimeout(WAIT_SECS)
                with contextlib.suppress(ConnectionError):
                    assert one.recv(1) == b""  # shown out, all of them
        check(kernel_path)


def test_false_greetings_are_refused_and_delay_nobody(serving, kernel_path):
    draw = random.Random(0)
    wrong = pack_name("client:bench:0123")
    for data in (wrong, wrong[:5], b"GET / HTTP/1.1\r\n\r\n", struct.pack("<ii", RPC_MAGIC, -1), draw.randbytes(5000)):
        with socket.create_connection(serving.address) as false:
            false.settimeout(WAIT_SECS)
            false.sendall(data)
            with contextlib.suppress(ConnectionError):
                assert false.recv(4) == (struct.pack("<i", RPC_MISMATCH) if data == wrong else b"")
    check(kernel_path)


def test_a_match_key_opens_the_device_once(serving, address):
    until_free(address)
    server, match_key = tracker.request(address, "bench", WAIT_SECS)
    answers = []
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(socket.create_connection(server))
            client.settimeout(WAIT_SECS)
            client.sendall(pack_name(f"client:{match_key}"))
            answers.append(struct.unpack("<i", client.recv(4))[0])
    assert answers == [RPC_MAGIC, RPC_MISMATCH]


def test_a_key_that_nobody_uses_is_replaced(serving, address, kernel_path):
    until_free(address)
    tracker.request(address, "bench", WAIT_SECS)
    check(kernel_path)


def test_serve_starts_its_tracker_again(serving, address, kernel_path, kind):
    if kind == "agent":
        pytest.skip("the agent is no tracker")
    until_free(address)
    family = serving.family()
    assert len(family) == 2
    family[1].kill()
    family[1].wait(WAIT_SECS)
    check(kernel_path)
    until_free(address)
    assert len(serving.family()) == 2
    serving.family()[1].send_signal(signal.SIGSTOP)  # one that hangs does no harm to a session that is open
    time.sleep(0.1)
    serving.family()[1].send_signal(signal.SIGCONT)
    check(kernel_path)


def start_tracker(address):
    command = [sys.executable, "-c", TRACKER, str(address.port)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert started.stdout.readline() == "up\n"
    return started


def test_a_device_is_back_after_its_tracker(monkeypatch, kernel_path, kind, tmp_path):
    with tracker.bind("127.0.0.1", None) as probe:
        address = tracker.Address("127.0.0.1", probe.getsockname()[1])
    monkeypatch.setenv("TVM_TRACKER_PORT", str(address.port))
    tracking = start_tracker(address)
    serving = start_server(kind, tmp_path, address)
    try:
        for _ in range(2):
            check(kernel_path)
            tracking.kill()
            tracking.wait()
            tracking = start_tracker(address)
        with open_device("rpc:bench", timeout_secs=WAIT_SECS) as session:  # a session outlives the tracker
            tracking.kill()
            tracking.wait()
            tracking = start_tracker(address)
            assert small_kernel.error_on(session, session.load(kernel_path)) == 0
        check(kernel_path)
    finally:
        serving.kill()
        tracking.kill()
        tracking.wait()


def test_tvms_own_server_and_client_work_with_our_tracker(serving, address, monkeypatch):
    """As a phone does that runs TVM's server."""
    import tvm.rpc

    until_free(address)
    server = tvm.rpc.Server("127.0.0.1", port=9600, port_end=9700, key="tvms", tracker_addr=address, silent=True)
    try:
        with open_device("rpc:tvms", "host", timeout_secs=WAIT_SECS, require_opencl=False) as session:
            assert session.function("tvm.rpc.server.upload") is not None
        client = tvm.rpc.connect_tracker(*address)
        assert "tvms" in client.text_summary()
        remote = client.request("bench", session_timeout=60)
        assert remote.get_function("fleetpose.conditions")()
    finally:
        server.terminate()
