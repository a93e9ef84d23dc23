"""TVM's tracker, the process that knows which devices are free: asking one. Being one is `tracker_service`.

The client here differs from `tvm.rpc.connect_tracker` in one point: every step has a time limit. TVM's own retries a
closed port for a minute and waits for a busy device for ever.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from devices.rpc.wire import (
    REQUEST,
    SUMMARY,
    TRACKER_MAGIC,
    message_size,
    pack_message,
    receive,
    tune,
    unpack_message,
)
from fleetpose.codec import decode
from fleetpose.errors import DeviceUnreachable, UsageError, quoted

BACKLOG = 128  # connections that nobody has accepted yet


class Address(NamedTuple):
    """Host and TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, what: str = "--tracker") -> Address:
        """HOST:PORT, the form flags take. Raises UsageError, naming the flag `what`, on anything else."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(f"{what} {text!r} is not HOST:PORT, for example 192.168.1.20:9190")
        return cls(host, int(port))

    @classmethod
    def from_environment(cls) -> Address | None:
        """The tracker of TVM_TRACKER_HOST and TVM_TRACKER_PORT (default 9190); None where no host is set."""
        host = os.environ.get("TVM_TRACKER_HOST")
        if not host:
            return None
        return cls.parse(f"{host}:{os.environ.get('TVM_TRACKER_PORT', '9190')}", "TVM_TRACKER_HOST:TVM_TRACKER_PORT")


def bind(host: str, port: int | None, what: str = "--port") -> socket.socket:
    """A listening TCP socket on `host`: at `port`, or, where that is None, at one the kernel picks, without a race.

    Raises:
        UsageError: `port` is taken, or `host` is no address of this machine.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port or 0))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is in use; give another {what}, or leave it out for a free one"
            ) from error
        raise UsageError(f"cannot listen on {host}:{port or 0}: {error.strerror or error}") from error
    return listening


class Connection:
    """A conversation with a tracker: JSON messages, each preceded by its length."""

    def __init__(self, address: Address, timeout_secs: float) -> None:
        """Connect and shake hands; OSError where nothing answers, or something else than a tracker does."""
        deadline = time.monotonic() + timeout_secs
        self.socket = socket.create_connection(address, timeout=timeout_secs)
        try:
            tune(self.socket)
            self.socket.sendall(struct.pack("<i", TRACKER_MAGIC))
            if receive(self.socket, 4, deadline) != struct.pack("<i", TRACKER_MAGIC):
                raise ConnectionError("what listens there is not a TVM tracker")
        except BaseException:
            self.socket.close()
            raise

    def ask(self, *message: Any, timeout_secs: float) -> Any:
        """Send one message, give the decoded answer.

        Raises:
            TimeoutError: none comes, or none ends, in time. OSError: the connection ends. ValueError: it is no message.
        """
        deadline = time.monotonic() + timeout_secs
        self.socket.settimeout(timeout_secs)
        self.socket.sendall(pack_message(message))
        size = message_size(receive(self.socket, 4, deadline))
        return unpack_message(receive(self.socket, size, deadline))

    def close(self) -> None:
        """End the conversation; a tracker forgets what this end had offered."""
        self.socket.close()


@contextmanager
def connect(address: Address, timeout_secs: float) -> Iterator[Connection]:
    """A Connection, closed at the end. Raises DeviceUnreachable where no tracker answers within `timeout_secs`."""
    try:
        connection = Connection(address, timeout_secs)
    except OSError as error:
        raise DeviceUnreachable(
            f"no tracker at {address}: {error.strerror or error}\n"
            f"start one there (python -m devices.serve --with-tracker ...), or try: {_diagnose(address)}"
        ) from error
    try:
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True)
class _Summary:
    """What a tracker answers when it is asked what it offers."""

    server_info: list[dict[str, Any]]
    queue_info: dict[str, dict[str, int]]


def summary(address: Address, timeout_secs: float = 5.0) -> dict[str, dict[str, int]]:
    """What a tracker offers: {key: {"servers": all of them, "free": idle now, "pending": clients waiting}}.

    Raises DeviceUnreachable where it does not answer, or not as a tracker does.
    """
    state = _summary(address, timeout_secs)
    offered: dict[str, dict[str, int]] = {}
    for server in state.server_info:
        key = str(server.get("key", "")).partition(":")[2]
        offered.setdefault(key, {"servers": 0, "free": 0, "pending": 0})["servers"] += 1
    for key, queue in state.queue_info.items():
        if key in offered or queue.get("pending"):
            offered.setdefault(key, {"servers": 0, "free": 0, "pending": 0}).update(queue)
    return offered


def servers(address: Address, timeout_secs: float = 5.0) -> list[tuple[str, int]]:
    """The servers that a tracker knows, free or taken: each one's key and port. Raises as `summary`."""
    known = _summary(address, timeout_secs).server_info
    places = [(str(server.get("key", "")).partition(":")[2], server.get("addr")) for server in known]
    return [(key, place[1]) for key, place in places if isinstance(place, list) and len(place) == 2]


def _summary(address: Address, timeout_secs: float) -> _Summary:
    with connect(address, timeout_secs) as connection:
        try:
            answer = connection.ask(SUMMARY, timeout_secs=timeout_secs)
            return decode(_Summary, decode(tuple[int, Any], answer, "its answer")[1], "its answer")
        except (OSError, ValueError) as error:
            raise _no_answer(address, error) from error


def _no_answer(address: Address, error: Exception) -> DeviceUnreachable:
    return DeviceUnreachable(f"the tracker at {address} does not answer: {error}\nsee: {_diagnose(address)}")


def request(address: Address, key: str, timeout_secs: float) -> tuple[Address, str]:
    """Ask for a free device under `key`: its server's address and the match key that opens it.

    A key nobody serves yet is waited for too (a loopback server may be starting), up to `timeout_secs` in all.

    Raises:
        DeviceUnreachable: no tracker, nobody serves `key`, or every one of them stays busy. The text says which, with
            the configuration and the command that shows more.
    """
    deadline = time.monotonic() + timeout_secs
    with connect(address, timeout_secs) as connection:
        try:
            answer = connection.ask(REQUEST, key, "", 1, timeout_secs=max(deadline - time.monotonic(), 0.01))
        except TimeoutError:
            answer = None
        except (OSError, ValueError) as error:
            raise _no_answer(address, error) from error
    if answer is None:
        raise DeviceUnreachable(_why_none(address, key, timeout_secs))
    try:
        host, port, match_key = decode(tuple[str, int, str], answer[1])
        return Address.parse(f"{host}:{port}"), match_key
    except (TypeError, ValueError, LookupError, UsageError):
        raise DeviceUnreachable(f"the tracker at {address} refuses the request: {quoted(answer)}") from None


def _diagnose(address: Address) -> str:
    return f"python -m tvm.exec.query_rpc_tracker --host {address.host} --port {address.port}"


def _why_none(address: Address, key: str, timeout_secs: float) -> str:
    """The text for a request that was not served in time."""
    offered = summary(address)
    configuration = f"tracker {address} (TVM_TRACKER_HOST, TVM_TRACKER_PORT)"
    diagnose = _diagnose(address)
    if offered.get(key, {}).get("servers"):
        state = offered[key]
        return (
            f"no free device under key {key!r} within {timeout_secs:g} s at {configuration}: "
            f"{state['servers']} there, {state['free']} free, {state['pending']} waiting\nsee who holds it: {diagnose}"
        )
    known = ", ".join(sorted(name for name in offered if offered[name]["servers"])) or "none"
    return f"no device under key {key!r} at {configuration}; keys there: {known}\nlook again: {diagnose}"
