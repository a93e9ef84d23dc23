"""What TVM's RPC and its tracker say to each other, as bytes; and sockets that notice when the other end has died."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from typing import Any

from fleetpose.codec import parse_json
from fleetpose.codec.text import ANSWER

RPC_MAGIC = 0xFF271
RPC_MISMATCH = RPC_MAGIC + 2
TRACKER_MAGIC = 0x2F271
SUCCESS, PING, PUT, REQUEST, UPDATE_INFO, SUMMARY, PENDING_MATCHKEYS = 0, 1, 3, 4, 5, 6, 7

MOST_NAME_BYTES = 4096
MOST_MESSAGE_BYTES = 1 << 20

CHUNKED = "-chunked=1"  # an option of a client, and the server's consent: from then on in chunks with checksums

# A machine that has gone without a word, such as a phone that left its network, is found dead after about 25 s.
KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))


def tune(connection: socket.socket) -> None:
    """Send small messages at once, and let the system find out when the other machine is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def pack_name(name: str) -> bytes:
    """A greeting of TVM's RPC: who speaks, "client:..." or "server:...", with options."""
    data = name.encode()
    return struct.pack("<ii", RPC_MAGIC, len(data)) + data


def pack_message(value: Any) -> bytes:
    """A message of a tracker's conversation: JSON after its length."""
    data = json.dumps(value).encode()
    return struct.pack("<i", len(data)) + data


def message_size(data: bytes) -> int:
    """The length that precedes a message. Raises ValueError for one that no message has."""
    (size,) = struct.unpack("<i", data)
    if not 0 < size <= MOST_MESSAGE_BYTES:
        raise ValueError(f"a message of {size} bytes")
    return int(size)


def unpack_message(data: bytes) -> Any:
    """The value of a message. Raises ValueError for what is no JSON, or more of it than is read."""
    return parse_json(data, ANSWER, "the message")


def receive(connection: socket.socket, count: int, deadline: float) -> bytes:
    """Exactly `count` bytes until `deadline` (of time.monotonic), however slowly they come.

    Raises:
        ConnectionError: the other end closes first. TimeoutError: time is up.
    """
    data = bytearray()
    while len(data) < count:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError("the other end closed the connection")
        data += part
    return bytes(data)


async def receive_all(connection: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes of a non-blocking socket; ConnectionError where the other end closes first."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < count:
        part = await loop.sock_recv(connection, count - len(data))
        if not part:
            raise ConnectionError("the other end closed the connection")
        data += part
    return bytes(data)
