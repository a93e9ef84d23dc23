"""Whatever the network does to a session, its result is right or the device is unreachable, with the step named."""

import gc
import json
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tvm

from devices.diagnosis import small_kernel
from devices.rpc import tracker
from devices.rpc.connection import RpcConnection
from devices.rpc.limits import VARIABLE
from devices.rpc.loopback import KEY, Loopback
from devices.rpc.wire import pack_name
from devices.rpc_session import RpcSession
from fleetpose.errors import DeviceUnreachable
from tests import sweep
from tests.faulty_network import DOWN, KINDS, UP, Fault, FaultyNetwork
from tests.rpc_faults import OfferedAgent, holds

ROOT = Path(__file__).parents[2]
WAIT_SECS = 300.0

# torch would be loaded by TVM, which takes two seconds
SEEDED = "import sys; sys.modules['torch'] = None; from tests.rpc_faults import main; sys.exit(main())"
NAMES_A_STEP = re.compile(
    r"went away while (asking|looking up|uploading|sending|loading|calling|running|fetching)"
    r"|no tracker at|the tracker at|the tracker named|no device under key|no free device"
)


def seeded(runs, *flags, first=0):
    """Findings of so many sessions with a fault each, in a process of their own, which may crash without harm."""
    command = [sys.executable, "-c", SEEDED, "--json", "--runs", str(runs), "--seed", str(first), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECS + 20 * runs, cwd=ROOT)
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(findings) == runs, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return findings


@pytest.mark.parametrize("flags", [(), ("--agent",)], ids=["devices", "agent"])
def test_seeded_faults_hold(flags):
    findings = seeded(300 if sweep.EVERYTHING else 10, *flags)
    assert [finding for finding in findings if not holds(finding)] == []
    assert {finding["kind"] for finding in findings} == set(KINDS)
    said = [finding["outcome"] for finding in findings if finding["outcome"] != "right"]
    assert said
    assert [text for text in said if not NAMES_A_STEP.search(text)] == []


@pytest.mark.long
@pytest.mark.parametrize("flags", [(), ("--agent",)], ids=["devices", "agent"])
def test_seeded_faults_crash_nobody_where_the_server_has_no_checksums(flags):
    """As with TVM's own servers: a flipped byte of data is not noticed there, but does no harm to this process."""
    for finding in seeded(100, "--plain", *flags, first=1000):
        outcome = finding["outcome"]
        assert holds(finding) or (finding["kind"] == "flip" and not outcome.startswith("hang")), finding


@pytest.fixture(scope="module", params=["devices", "agent"])
def pair(request, tmp_path_factory):
    """A tracker and a device that it offers, behind a server of `devices` or the agent."""
    offered = Loopback() if request.param == "devices" else OfferedAgent(tmp_path_factory.mktemp("agent") / "work")
    yield offered
    offered.close()


@pytest.fixture(scope="module")
def kernel_path(tmp_path_factory, pair):
    name = "small.so" if isinstance(pair, Loopback) else "small.fpk"
    return small_kernel.build(tmp_path_factory.mktemp("kernel") / name)


class Reached:
    """A session with `pair`'s device through a network of the test's."""

    def __init__(self, pair):
        server, match_key = tracker.request(pair.address, KEY, WAIT_SECS)
        self.network = FaultyNetwork(server)
        self.session = RpcSession(
            "rpc:faulty", lambda: RpcConnection(tracker.Address(*self.network.address), match_key, WAIT_SECS), None
        )

    def fault(self, kind, direction, after=0):
        """From so many bytes of this direction on."""
        self.network.set_fault(Fault(kind, direction, self.network.passed[direction] + after))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session.close()
        self.network.close()


@pytest.fixture
def reached(pair, monkeypatch):
    monkeypatch.setenv(VARIABLE, "answer=1,load=30,call=1,close=1")
    with Reached(pair) as one:
        yield one


def test_a_stalled_call_ends(reached, kernel_path):
    module = reached.session.load(kernel_path)
    reached.fault("stall", DOWN)
    says = r"went away while running: no answer within 1 s \("
    with pytest.raises(DeviceUnreachable, match=says), reached.session.guard("running"):
        small_kernel.error_on(reached.session, module)
    assert not reached.session.alive()


def test_a_stalled_upload_ends(reached):
    reached.fault("stall", UP, after=100_000)
    says = r"went away while sending it: nothing moved for 1 s \(calling a function\)"
    with pytest.raises(DeviceUnreachable, match=says), reached.session.guard("sending it"):
        reached.session.remote.upload(bytearray(50_000_000), "large.bin")


def test_a_stall_while_memory_is_freed_ends(reached):
    """TVM frees what is remote in a destructor, which holds the interpreter's lock: no Python thread could act."""
    tensor = tvm.runtime.tensor(np.zeros(10, "float32"), device=reached.session.device)
    reached.fault("stall", DOWN)
    del tensor
    gc.collect()
    assert not reached.session.alive()
    with pytest.raises(DeviceUnreachable, match=r"no answer within 1 s \(freeing memory\)"):
        reached.session.function("fleetpose.conditions")


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_cut_fetch_says_so(reached, kind):
    tensor = tvm.runtime.tensor(np.zeros(1_000_000, "float32"), device=reached.session.device)
    reached.fault(kind, DOWN, after=2_000_000)
    says = r"went away while fetching: the connection ended( in the middle of an answer)?\n"
    with pytest.raises(DeviceUnreachable, match=says), reached.session.guard("fetching"):
        tensor.numpy()


def test_a_flipped_bit_of_data_is_noticed(reached):
    given = np.arange(1_000_000, dtype="float32")
    tensor = tvm.runtime.tensor(given, device=reached.session.device)
    reached.fault("flip", DOWN, after=2_000_000)
    says = "bytes were changed or lost on the way"
    with pytest.raises(DeviceUnreachable, match=says), reached.session.guard("fetching"):
        tensor.numpy()


def test_a_session_that_idles_has_no_limit(reached, kernel_path):
    threading.Event().wait(2.5)
    assert small_kernel.error_on(reached.session, reached.session.load(kernel_path)) == 0


def greet_falsely(answer):
    """The address of a server that answers every greeting with `answer`, then says nothing more."""
    listening = tracker.bind("127.0.0.1", None)

    def serve():
        clients = []
        while True:
            client, _ = listening.accept()
            clients.append(client)
            client.recv(1000)
            client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return tracker.Address("127.0.0.1", listening.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "timed out"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no RPC server of TVM's"),
        (pack_name("server:x")[:9], "timed out"),
        (b"\x71\xf2\x0f\x00\xff\xff\xff\x7f", "no RPC server of TVM's"),
        (b"\x73\xf2\x0f\x00", "does not know the match key"),
        (pack_name("server:x"), "no answer within 1 s (starting the session)"),
        (pack_name("server:x") + b"\xff" * 8, "not"),
        (pack_name("server:x -chunked=1") + b"\0" * 24, "changed or lost on the way"),
    ],
    ids=["silent", "http", "half", "long", "mismatch", "mute", "garbage", "chunk"],
)
def test_a_false_server_is_device_unreachable(monkeypatch, answer, says):
    monkeypatch.setenv(VARIABLE, "handshake=1,answer=1")
    with pytest.raises(DeviceUnreachable, match=r"the tracker named the server at .*, which does not answer") as caught:
        RpcConnection(greet_falsely(answer), "x:1", 30.0)
    assert says in str(caught.value)


def test_a_server_that_is_not_there_is_device_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(DeviceUnreachable, match=r"does not answer: .*Connection refused"):
            RpcConnection(tracker.Address("127.0.0.1", unused.getsockname()[1]), "x:1", 30.0)


def test_connections_leave_no_thread_and_no_descriptor(pair):
    def count():
        return [len(list(Path(f"/proc/self/{part}").iterdir())) for part in ("fd", "task")]

    for number in range(5):
        with Reached(pair) as one:
            assert one.session.info.name
        gc.collect()
        if number == 2:
            before = count()
    assert count() == before
