"""Our tracker: who offers and who asks, in order; silent, slow and false peers cost the others nothing."""

import contextlib
import json
import random
import socket
import struct
import threading
import time

import pytest

from devices.rpc import door, tracker_service
from devices.rpc.tracker import Address, Connection, bind, request, summary
from devices.rpc.tracker_service import serve_tracker
from devices.rpc.wire import PENDING_MATCHKEYS, PING, PUT, REQUEST, SUCCESS, TRACKER_MAGIC, UPDATE_INFO, pack_message
from fleetpose.errors import DeviceUnreachable

WAIT_SECS = 60.0


@pytest.fixture
def address():
    """Of a tracker in a thread of this process, which ends with it."""
    listening = bind("127.0.0.1", None)
    threading.Thread(target=serve_tracker, args=(listening,), daemon=True).start()
    return Address("127.0.0.1", listening.getsockname()[1])


@pytest.fixture
def connect(address):
    """Makes conversations with that tracker."""
    with contextlib.ExitStack() as stack:

        def make():
            connection = Connection(address, WAIT_SECS)
            stack.callback(connection.close)
            return connection

        yield make


def offer(connection, key, *match_keys):
    about = {"key": f"server:{key}", "addr": [None, 4000]}
    assert connection.ask(UPDATE_INFO, about, timeout_secs=WAIT_SECS) == SUCCESS
    for match_key in match_keys:
        assert connection.ask(PUT, key, (4000, match_key), None, timeout_secs=WAIT_SECS) == SUCCESS


def test_a_device_goes_to_one_client_and_is_counted(address, connect):
    server = connect()
    assert server.ask(PING, timeout_secs=WAIT_SECS) == SUCCESS
    offer(server, "phone", "phone:1")
    assert summary(address) == {"phone": {"servers": 1, "free": 1, "pending": 0}}
    assert server.ask(PENDING_MATCHKEYS, timeout_secs=WAIT_SECS) == ["phone:1"]
    assert request(address, "phone", WAIT_SECS) == (Address("127.0.0.1", 4000), "phone:1")
    assert server.ask(PENDING_MATCHKEYS, timeout_secs=WAIT_SECS) == []
    assert summary(address) == {"phone": {"servers": 1, "free": 0, "pending": 0}}
    with pytest.raises(DeviceUnreachable, match=r"no free device under key 'phone' .* 1 there, 0 free"):
        request(address, "phone", 0.2)


def test_the_host_that_a_server_advertises_is_told(address, connect):
    assert connect().ask(PUT, "phone", (4000, "phone:1"), "a.phone", timeout_secs=WAIT_SECS) == SUCCESS
    assert request(address, "phone", WAIT_SECS)[0] == Address("a.phone", 4000)


def test_who_waits_is_served_by_priority_and_then_in_order(address, connect):
    clients = [(connect(), priority) for priority in (1, 1, 5)]
    for client, priority in clients:
        client.socket.sendall(pack_message([REQUEST, "phone", "", priority]))
        time.sleep(0.1)  # they arrive one after the other
    offer(connect(), "phone", "phone:1", "phone:2", "phone:3")

    def answer(client):
        client.socket.settimeout(WAIT_SECS)
        (size,) = struct.unpack("<i", client.socket.recv(4, socket.MSG_WAITALL))
        return json.loads(client.socket.recv(size, socket.MSG_WAITALL))[1][2]

    assert [answer(client) for client, _ in clients] == ["phone:2", "phone:3", "phone:1"]


def test_what_a_peer_offered_and_asked_goes_with_it(address, connect):
    server, client = connect(), connect()
    offer(server, "phone", "phone:1")
    client.socket.sendall(pack_message([REQUEST, "tablet", "", 1]))
    until(lambda: summary(address).get("tablet") == {"servers": 0, "free": 0, "pending": 1})
    server.close()
    client.close()
    until(lambda: summary(address) == {})


def until(holds):
    deadline = time.monotonic() + WAIT_SECS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_silent_peers_cost_the_others_nothing(address, connect):
    """More than this process has descriptors for would stop TVM's own tracker."""
    offer(connect(), "phone", "phone:1")
    silent = [socket.create_connection(address) for _ in range(4 * door.MOST_GREETING)]
    quiet = [connect() for _ in range(tracker_service.MOST_PEERS + 20)]  # greeted, and say nothing
    try:
        assert summary(address) == {"phone": {"servers": 1, "free": 1, "pending": 0}}
        assert request(address, "phone", WAIT_SECS)[1] == "phone:1"
        ended = 0
        for one in [*silent, *(peer.socket for peer in quiet)]:
            one.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                ended += one.recv(5) in (b"", struct.pack("<i", TRACKER_MAGIC))
        assert ended >= 3 * door.MOST_GREETING + 20
    finally:
        for one in silent:
            one.close()


def test_a_slow_greeting_ends(address, monkeypatch):
    monkeypatch.setattr(door, "GREETING_SECS", 0.3)
    with socket.create_connection(address) as slow:
        slow.settimeout(WAIT_SECS)
        slow.sendall(struct.pack("<i", TRACKER_MAGIC)[:3])
        assert slow.recv(1) == b""


FALSE = [
    b"[]",
    b"3",
    b"{}",
    b"[99]",
    b"[[]]",
    b"[3]",
    b'[3, "k"]',
    b'[3, "k", [1]]',
    b'[3, "k", ["p", "m"]]',
    b"[3, 1, [4000, 2], 7]",
    b'[4, "k", "", "high"]',
    b'[4, "k", "", Infinity]',
    b'[4, {"k": 1}, "", 1]',
    b"[5, 3]",
    b'[5, {"key": 7, "addr": [null, 1]}]',
    b'[5, {"key": "server:x", "addr": 1}]',
    b"[" * 60_000,
    b"\xff\xff",
    b'[3, "' + b"k" * 1000 + b'", [4000, "m"]]',
]


@pytest.mark.parametrize("text", FALSE, ids=range(len(FALSE)))
def test_a_false_message_closes_its_connection_alone(address, connect, text):
    offer(connect(), "phone", "phone:1")
    false = connect()
    false.socket.settimeout(WAIT_SECS)
    false.socket.sendall(struct.pack("<i", len(text)) + text)
    assert false.socket.recv(1) == b""
    assert summary(address) == {"phone": {"servers": 1, "free": 1, "pending": 0}}


def test_garbage_closes_its_connection_alone(address, connect):
    draw = random.Random(0)
    for number in range(60):
        with socket.create_connection(address) as garbage:
            greeting = struct.pack("<i", TRACKER_MAGIC) if number % 2 else b""
            with contextlib.suppress(OSError):
                garbage.sendall(greeting + draw.randbytes(draw.randrange(1, 3000)))
    assert connect().ask(PING, timeout_secs=WAIT_SECS) == SUCCESS
