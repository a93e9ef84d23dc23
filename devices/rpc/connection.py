"""One RPC connection whose every wait can be ended: TVM's C++ client has no time limits of its own.

TVM waits in recv() for ever when a kernel hangs or a phone loses its network. This module finds the socket TVM opened,
so that another thread can shut it down (the waiting call then fails at once) and see whether the far end is there.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from devices.rpc import tracker
from devices.rpc.lean import import_rpc
from fleetpose.errors import DeviceUnreachable, reason

Value = TypeVar("Value")


def run_within(call: Callable[[], Value], timeout_secs: float, doing: str) -> Value:
    """`call()` in a thread of its own, given up after `timeout_secs`; its result or its exception.

    The thread is left behind when time is up; end it by what it waits for.

    Raises:
        TimeoutError: "DOING took more than N s".
    """
    outcome: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True, name=doing)
    thread.start()
    thread.join(timeout_secs)
    if not outcome:
        raise TimeoutError(f"{doing} took more than {timeout_secs:g} s")
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


class RpcConnection:
    """A connected `tvm.rpc.RPCSession` (`remote`) and its socket."""

    def __init__(self, address: tracker.Address, match_key: str, timeout_secs: float) -> None:
        """Connect to a server that a tracker named. Raises DeviceUnreachable."""
        rpc = import_rpc()
        before = _open_files()
        try:
            self.remote = run_within(
                lambda: rpc.connect(address.host, address.port, match_key), timeout_secs, "connecting"
            )
        except (RuntimeError, OSError) as error:
            raise DeviceUnreachable(
                f"the tracker named the server at {address}, which does not answer: {reason(error)}\n"
                f"is that address reachable from here? try: nc -vz {address.host} {address.port}"
            ) from error
        self._socket = _find_socket(before, address.port)

    @classmethod
    def request(cls, address: tracker.Address, key: str, timeout_secs: float) -> RpcConnection:
        """Ask the tracker at `address` for a device under `key` and connect to it. Raises DeviceUnreachable."""
        server, match_key = tracker.request(address, key, timeout_secs)
        return cls(server, match_key, timeout_secs)

    def alive(self) -> bool:
        """Whether the far end still holds the connection, as far as this end's kernel knows."""
        if self._socket.fileno() < 0:
            return False
        try:
            return self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Say goodbye, as TVM does it. May hang with a hung device: bound it."""
        self.remote.get_function("CloseRPCConnection")()

    def abort(self) -> None:
        """Cut the connection, from any thread; waiting calls fail. Safe to call again."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _open_files() -> set[tuple[int, int]]:
    """(number, inode) of this process's open files, without the one that the listing itself takes for a moment.

    The number alone says too little: one that an aborted connection frees in its own thread is soon another's.
    """
    listed = [int(name) for name in os.listdir("/dev/fd") if name.isdigit()]
    still = set()
    for number in listed:
        with contextlib.suppress(OSError):
            still.add((number, os.fstat(number).st_ino))
    return still


def _find_socket(before: set[tuple[int, int]], port: int) -> socket.socket:
    """A duplicate of the TCP socket connected to `port` that was not open `before`."""
    for number, _ in sorted(_open_files() - before):
        try:
            candidate = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        with contextlib.suppress(OSError, IndexError):
            if candidate.type == socket.SOCK_STREAM and candidate.getpeername()[1] == port:
                candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return candidate
        candidate.close()
    raise DeviceUnreachable("the RPC connection closed at once")
