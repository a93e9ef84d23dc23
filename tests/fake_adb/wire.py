"""Texts and bytes of adb's protocol, on blocking sockets of a server."""

from __future__ import annotations

import contextlib
import socket


def read_text(connection: socket.socket) -> str | None:
    """A request; None where the connection ends before one."""
    with contextlib.suppress(ConnectionError):
        return receive(connection, int(receive(connection, 4), 16)).decode()
    return None


def receive(connection: socket.socket, count: int) -> bytes:
    """Exactly so many bytes. Raises ConnectionError where the connection ends before."""
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError("the connection ended")
        data += part
    return bytes(data)


def pack_text(text: str) -> bytes:
    """A text after its length in hexadecimal digits."""
    data = text.encode()
    return b"%04x" % len(data) + data


def cut(connection: socket.socket) -> None:
    """End a connection, also for who waits at it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
