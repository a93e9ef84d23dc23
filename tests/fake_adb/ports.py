"""Ports that a fake adb server forwards: a listener, and a pair of pumps for every connection."""

from __future__ import annotations

import contextlib
import socket
import threading

BYTES = 1 << 16


class PortForward:
    """Connections to one address are joined with connections to another, until `close`.

    Args:
        listening: where connections are taken; port 0 is a free one.
        reached: where they lead.

    Attributes:
        port: that it listens at.
    """

    def __init__(self, listening: tuple[str, int], reached: tuple[str, int]) -> None:
        self.reached = reached
        self._listening = socket.create_server(listening)
        self.port = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections, and cut those that there are."""
        self._closed = True
        for opened in [self._listening, *self._open]:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        """As adb does it: a connection is taken at once, and cut where nothing listens at the other end."""
        with near, contextlib.suppress(OSError):
            far = socket.create_connection(self.reached, timeout=10)
            far.settimeout(None)
            with far:
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open |= {near, far}
                pumps = [threading.Thread(target=pump, args=ends, daemon=True) for ends in ((near, far), (far, near))]
                for thread in pumps:
                    thread.start()
                for thread in pumps:
                    thread.join()
                self._open -= {near, far}


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until it ends, and end both."""
    with contextlib.suppress(OSError):
        while data := source.recv(BYTES):
            target.sendall(data)
    for end in (source, target):  # adb's streams end both ways at once
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
