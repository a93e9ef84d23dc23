"""One RPC connection whose every wait has an end, and in which nothing harmful arrives.

TVM's C++ client has no time limits and believes whatever it reads. It is therefore connected to a `Relay` of this
process, and the relay to the server. Steps that are none of TVM's (reaching the server, greeting it) are done here.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from devices.rpc import tracker
from devices.rpc.lean import import_rpc
from devices.rpc.limits import Limits
from devices.rpc.relay import Relay
from devices.rpc.wire import CHUNKED, MOST_NAME_BYTES, RPC_MAGIC, RPC_MISMATCH, pack_name, receive, tune
from fleetpose.errors import DeviceUnreachable, reason

Value = TypeVar("Value")

LOCAL = "127.0.0.1"
STRANGER_SECS = 1.0  # for whoever connects to the relay and is not TVM
#: TVM has 32 sessions in a process at most, and errors hold some that have ended, in circles, until they are collected
BETWEEN_COLLECTIONS = 8
_connections = itertools.count(1)


class BackgroundCall(Generic[Value]):
    """A call in a thread of its own, which is left behind when nobody waits for it any more."""

    def __init__(self, call: Callable[[], Value], doing: str) -> None:
        self._doing = doing
        self._outcome: list[tuple[Any, BaseException | None]] = []
        self._thread = threading.Thread(target=self._work, args=(call,), daemon=True, name=doing)
        self._thread.start()

    def _work(self, call: Callable[[], Value]) -> None:
        try:
            self._outcome.append((call(), None))
        except BaseException as error:
            self._outcome.append((None, error))

    def result(self, timeout_secs: float) -> Value:
        """The call's result or its exception. Raises TimeoutError, "DOING took more than N s", when time is up."""
        self._thread.join(timeout_secs)
        if not self._outcome:
            raise TimeoutError(f"{self._doing} took more than {timeout_secs:g} s")
        value, error = self._outcome[0]
        if error is not None:
            raise error
        return value


def run_within(call: Callable[[], Value], timeout_secs: float, doing: str) -> Value:
    """`call()` in a thread of its own, given up after `timeout_secs`; its result or its exception.

    The thread is left behind when time is up; end it by what it waits for.

    Raises:
        TimeoutError: "DOING took more than N s".
    """
    return BackgroundCall(call, doing).result(timeout_secs)


class RpcConnection:
    """A connected `tvm.rpc.RPCSession` (`remote`) and the relay that it goes through.

    Attributes:
        remote: TVM's session.
        limits: how long steps may take.
    """

    def __init__(self, address: tracker.Address, match_key: str, timeout_secs: float) -> None:
        """Connect to a server that a tracker named. Raises DeviceUnreachable."""
        self.limits = Limits.from_environment()
        self._call_secs = self.limits.call
        self._relay: Relay | None = None
        deadline = time.monotonic() + timeout_secs
        if next(_connections) % BETWEEN_COLLECTIONS == 0:
            gc.collect()
        try:
            far, chunked = _reach(address, match_key, self.limits, deadline)
            self.remote = self._attach(far, match_key, chunked, deadline)
        except (RuntimeError, OSError, ValueError) as error:
            self.abort()
            raise DeviceUnreachable(
                f"the tracker named the server at {address}, which does not answer: {self.why() or reason(error)}\n"
                f"is that address reachable from here? try: nc -vz {address.host} {address.port}"
            ) from error

    @classmethod
    def request(cls, address: tracker.Address, key: str, timeout_secs: float) -> RpcConnection:
        """Ask the tracker at `address` for a device under `key` and connect to it. Raises DeviceUnreachable."""
        server, match_key = tracker.request(address, key, timeout_secs)
        return cls(server, match_key, timeout_secs)

    def _attach(self, far: socket.socket, match_key: str, chunked: bool, deadline: float) -> Any:
        """TVM's session with the server that `far` leads to, through a relay."""
        rpc = import_rpc()
        with far, tracker.bind(LOCAL, None) as listening:
            port = listening.getsockname()[1]
            connecting = BackgroundCall(lambda: rpc.connect(LOCAL, port, match_key), "starting the session")
            with _meet(listening, match_key, deadline) as near, _other_end(near) as tvm:
                self._relay = Relay(near, far, tvm, self.limits, chunked=chunked)
            return connecting.result(_left(deadline))

    def alive(self) -> bool:
        """Whether the far end still holds the connection, as far as this end's system knows."""
        return self._relay is not None and self._relay.alive()

    def why(self) -> str:
        """What ended the connection, in words; "" where nothing is known to be wrong."""
        return self._relay.why() if self._relay is not None else ""

    @contextlib.contextmanager
    def calls_within(self, secs: float) -> Iterator[None]:
        """Inside, each call may take so long; else as long as the table says."""
        before = self._call_secs
        self._limit_calls(secs)
        try:
            yield
        finally:
            self._limit_calls(before)

    def _limit_calls(self, secs: float) -> None:
        self._call_secs = secs
        if self._relay is not None:
            self._relay.limit_calls(secs)

    def close(self) -> None:
        """Say goodbye, as TVM does it."""
        self.remote.get_function("CloseRPCConnection")()

    def abort(self) -> None:
        """Cut the connection, from any thread; waiting calls fail. Safe to call again."""
        if self._relay is not None:
            self._relay.close()


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.01)


def _reach(address: tracker.Address, match_key: str, limits: Limits, deadline: float) -> tuple[socket.socket, bool]:
    """A socket to the server that has greeted, and whether it speaks in chunks. Raises OSError, ValueError."""
    for option in (f" {CHUNKED}", ""):  # TVM's servers leave options out that they do not know; if one does not, again
        far = socket.create_connection(address, timeout=min(limits.connect, _left(deadline)))
        try:
            tune(far)
            answer = _greet(far, f"client:{match_key}{option}", min(deadline, time.monotonic() + limits.handshake))
            if answer is not None:
                return far, bool(option) and CHUNKED in answer.split()
        except BaseException:
            far.close()
            raise
        far.close()
    raise ConnectionError("it does not know the match key; it may have given the device to another client")


def _greet(far: socket.socket, name: str, deadline: float) -> str | None:
    """The server's name and options; None where it does not know our key."""
    far.sendall(pack_name(name))
    (magic,) = struct.unpack("<i", receive(far, 4, deadline))
    if magic == RPC_MISMATCH:
        return None
    (length,) = struct.unpack("<i", receive(far, 4, deadline))
    if magic != RPC_MAGIC or not 0 <= length <= MOST_NAME_BYTES:
        raise ConnectionError("what answers there is no RPC server of TVM's")
    return receive(far, length, deadline).decode()


def _meet(listening: socket.socket, match_key: str, deadline: float) -> socket.socket:
    """Accept TVM's client, which knows the key, and greet it as a server does. Raises OSError."""
    expected = pack_name(f"client:{match_key}")
    while True:
        listening.settimeout(_left(deadline))
        near, _ = listening.accept()
        with contextlib.suppress(OSError):
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive(near, len(expected), min(deadline, time.monotonic() + STRANGER_SECS)) == expected:
                near.sendall(pack_name("server:relay"))
                return near
        near.close()


def _other_end(near: socket.socket) -> socket.socket:
    """A duplicate of the other end of `near`, which TVM opened in this process and does not show; it sends at once."""
    for number in [int(name) for name in os.listdir("/dev/fd") if name.isdigit()]:
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            candidate = socket.socket(fileno=os.dup(number))
            try:
                if candidate.getsockname() == near.getpeername() and candidate.getpeername() == near.getsockname():
                    candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return candidate.dup()
            finally:
                candidate.close()
    raise ConnectionError("TVM closed the connection at once")
