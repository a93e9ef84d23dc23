"""The relay of `devices/runtime`: a C++ thread between TVM and a socket, which bounds each wait and checks each answer.

TVM waits in recv() without limit, at times (in destructors) with the interpreter's lock held, and believes what it
reads; so what watches it can be no Python thread. `rpc_relay.h` says how it works.
"""

from __future__ import annotations

import ctypes
import functools
import socket
import threading

from devices import runtime
from devices.rpc.lean import import_rpc
from devices.rpc.limits import Limits
from fleetpose.errors import UsageError

WHY_BYTES = 400


class Relay:
    """One connection's relay, running.

    Args:
        near: the socket that TVM is at the other end of. far: the one that leads to the other machine. tvm: a
            duplicate of TVM's own. All are taken over and closed.
        limits: for answers.
        chunked: whether the far end speaks in chunks with checksums.

    Raises:
        UsageError: the backend is not built, or is older than this code.
    """

    def __init__(
        self, near: socket.socket, far: socket.socket, tvm: socket.socket, limits: Limits, *, chunked: bool
    ) -> None:
        self._why = ""
        self._lock = threading.Lock()
        self._handle: int | None = _library().fleetpose_relay_start(
            near.fileno(), far.fileno(), tvm.fileno(), chunked, limits.answer, limits.call, limits.rate
        )
        if self._handle is None:
            raise OSError("no thread can be started for the connection")
        for taken in (near, far, tvm):
            taken.detach()

    def limit_calls(self, secs: float) -> None:
        """How long each call from now on may take."""
        with self._lock:
            if self._handle is not None:
                _library().fleetpose_relay_call_limit(self._handle, secs)

    def alive(self) -> bool:
        """Whether both ends are connected."""
        with self._lock:
            return self._handle is not None and bool(_library().fleetpose_relay_alive(self._handle))

    def why(self) -> str:
        """Why it ended, in words; "" where nothing was wrong."""
        with self._lock:
            if self._handle is None:
                return self._why
            text = ctypes.create_string_buffer(WHY_BYTES)
            _library().fleetpose_relay_why(self._handle, text, WHY_BYTES)
            return text.value.decode(errors="replace")

    def cut(self, why: str = "") -> None:
        """End both connections at once; whoever waits is told so by an error. The first reason is kept."""
        with self._lock:
            if self._handle is not None:
                _library().fleetpose_relay_cut(self._handle, why.encode())

    def close(self) -> None:
        """Cut it and give back its thread and sockets. Safe to call again."""
        self._why = self.why()
        with self._lock:
            if self._handle is not None:
                _library().fleetpose_relay_free(self._handle)
                self._handle = None


@functools.cache
def _library() -> ctypes.CDLL:
    """The backend's library with the types of the relay's functions. Raises UsageError where it lacks them."""
    import_rpc()  # which loads the backend
    path = runtime.status()["library"]
    try:
        library = ctypes.CDLL(str(path))
        start = library.fleetpose_relay_start
    except (OSError, AttributeError) as error:
        problem = runtime.status()["error"] or f"{path} is older than this code"
        raise UsageError(
            f"no RPC without the backend: {problem}\nbuild it: make setup (see: python -m devices.doctor)"
        ) from error
    start.argtypes = [*[ctypes.c_int] * 3, ctypes.c_bool, *[ctypes.c_double] * 3]
    start.restype = ctypes.c_void_p
    for name, arguments, result in (
        ("call_limit", [ctypes.c_void_p, ctypes.c_double], None),
        ("alive", [ctypes.c_void_p], ctypes.c_bool),
        ("why", [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64], None),
        ("cut", [ctypes.c_void_p, ctypes.c_char_p], None),
        ("free", [ctypes.c_void_p], None),
    ):
        function = getattr(library, f"fleetpose_relay_{name}")
        function.argtypes, function.restype = arguments, result
    return library
