"""The table of limits, its environment variable, and a tracker's messages that are none."""

import socket
import struct
import threading

import pytest

from devices.rpc import tracker
from devices.rpc.limits import VARIABLE, Limits
from fleetpose.errors import DeviceUnreachable, UsageError


def test_limits_are_as_the_variable_says(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Limits.from_environment() == Limits()
    monkeypatch.setenv(VARIABLE, "answer=2.5, call=3600,rate=1e6,")
    assert Limits.from_environment() == Limits(answer=2.5, call=3600.0, rate=1e6)


@pytest.mark.parametrize(
    "text", ["answers=2", "answer", "answer=", "answer=-1", "answer=0", "call=nan", "call=inf", "5"]
)
def test_limits_refuse_other_texts(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UsageError, match=r"FLEETPOSE_RPC_LIMITS: .* is no limit in seconds; for example connect=10,"):
        Limits.from_environment()


class FalseTracker:
    """Greets as a tracker does, then answers every message with the same bytes. A context manager."""

    def __init__(self, answer):
        self.answer = answer
        self.listening = tracker.bind("127.0.0.1", None)
        self.address = tracker.Address("127.0.0.1", self.listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            client.sendall(client.recv(4))
            client.recv(1000)
            client.sendall(self.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


def message(text):
    return struct.pack("<i", len(text)) + text


@pytest.mark.parametrize(
    "answer",
    [
        struct.pack("<i", -1),
        struct.pack("<i", 0x7FFFFFFF) + b"[",
        message(b"{"),
        message(b"\xff\xfe"),
        message(b"[" * 100_000),
        message(b"[0, " + b"9" * 5000 + b"]"),
        message(b"null"),
        message(b"[0]"),
        message(b'[0, ["host", "port", "key"]]'),
        message(b'[0, ["host", 70000, "key"]]'),
        message(b'[0, {"server_info": [1], "queue_info": 3}]'),
        message(b'[0, ["' + b"x" * 100_000 + b'"]]'),
    ],
    ids=range(12),
)
def test_a_false_tracker_is_device_unreachable(answer):
    for ask in (lambda: tracker.request(false.address, "key", 2.0), lambda: tracker.summary(false.address, 2.0)):
        with FalseTracker(answer) as false, pytest.raises(DeviceUnreachable) as caught:
            ask()
        assert len(str(caught.value)) < 500


def test_a_message_that_trickles_ends_in_time():
    with FalseTracker(struct.pack("<i", 1000) + b"[") as false, pytest.raises(DeviceUnreachable, match="timed out"):
        tracker.summary(false.address, 0.3)
