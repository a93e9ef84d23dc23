"""Being a tracker: devices are put on offer here, clients ask for one. It speaks TVM's protocol.

TVM's own tracker stops working once silent connections have taken all descriptors. Here a connection has to greet in
time (`Door`), messages are short and come in time, and where there are too many connections the one that has been quiet
for longest, and neither offers nor waits for anything, is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from devices.rpc.door import Door
from devices.rpc.wire import (
    PENDING_MATCHKEYS,
    PING,
    PUT,
    REQUEST,
    SUCCESS,
    SUMMARY,
    TRACKER_MAGIC,
    UPDATE_INFO,
    message_size,
    pack_message,
    receive_all,
    tune,
    unpack_message,
)

log = logging.getLogger("devices.rpc.tracker_service")

MESSAGE_SECS = 5.0  # from the length of a message to its end
MOST_PEERS = 256
MOST_OFFERS = 64  # of one peer, as of one that waits
MOST_NAME = 256


class Peer:
    """One connection: a server that offers, or a client that asks."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self.socket, self.host = connection, host
        self.info: dict[str, Any] = {}
        self.offered: list[Offered] = []  # not handed out yet
        self.waiting = 0
        self.open = True

    def say(self, value: Any) -> None:
        """Send a message; whoever does not read what it asked for is closed."""
        data = pack_message(value)
        try:
            if self.socket.send(data) == len(data):
                return
        except OSError as error:
            log.info("%s: %s", self.host, error)
        self.open = False
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Offered(NamedTuple):
    """A free device."""

    peer: Peer
    key: str
    host: str
    port: int
    match_key: str


class DeviceTracker:
    """The devices on offer and the clients that wait, by key. Belongs to one event loop."""

    def __init__(self, listening: socket.socket) -> None:
        self._door = Door(listening, self._greet)
        self._peers: dict[Peer, asyncio.Task[None]] = {}  # the one that has been quiet for longest comes first
        self._offers: dict[str, list[Offered]] = {}
        self._requests: dict[str, list[tuple[int, int, Peer]]] = {}  # heaps
        self._order = itertools.count()
        self._handlers: dict[int, Callable[..., Any]] = {
            PING: lambda _: SUCCESS,
            PUT: self._put,
            REQUEST: self._request,
            UPDATE_INFO: self._update_info,
            SUMMARY: lambda _: [SUCCESS, self._summary()],
            PENDING_MATCHKEYS: lambda peer: [offered.match_key for offered in peer.offered],
        }

    async def run(self) -> None:
        """Be a tracker for ever."""
        await self._door.watch()

    async def _greet(self, connection: socket.socket, address: Any) -> bool:
        tune(connection)
        magic = struct.pack("<i", TRACKER_MAGIC)
        if await receive_all(connection, 4) != magic:
            raise ValueError("not a client of a tracker")
        if len(self._peers) >= MOST_PEERS and not self._show_out_one():
            raise ConnectionError("too many connections")
        await asyncio.get_running_loop().sock_sendall(connection, magic)
        peer = Peer(connection, address[0])
        self._peers[peer] = asyncio.ensure_future(self._converse(peer))
        return True

    async def _converse(self, peer: Peer) -> None:
        try:
            while peer.open:
                size = message_size(await receive_all(peer.socket, 4))
                message = unpack_message(await asyncio.wait_for(receive_all(peer.socket, size), MESSAGE_SECS))
                if peer in self._peers:
                    self._peers[peer] = self._peers.pop(peer)  # heard last
                answer = self._handlers[message[0]](peer, *message[1:])
                if answer is not None:
                    peer.say(answer)
        except (OSError, asyncio.TimeoutError) as error:
            log.debug("%s: %s", peer.host, error)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            log.info("%s: no message of a tracker's: %s", peer.host, str(error)[:80])
        finally:
            self._leave(peer)

    def _leave(self, peer: Peer) -> None:
        """Forget a peer, what it offers and what it waits for."""
        peer.open = False
        self._peers.pop(peer, None)
        for offered in peer.offered:
            self._offers[offered.key].remove(offered)
            self._forget_empty(offered.key)
        peer.offered.clear()
        for key in list(self._requests):
            self._requests[key] = [entry for entry in self._requests[key] if entry[2] is not peer]
            heapq.heapify(self._requests[key])
            self._forget_empty(key)
        peer.socket.close()

    def _show_out_one(self) -> bool:
        """Close the peer that has been quiet for longest and has nothing to lose; whether there is one."""
        for peer, task in self._peers.items():
            if not (peer.info or peer.offered or peer.waiting):
                task.cancel()
                del self._peers[peer]
                return True
        return False

    def _put(self, peer: Peer, key: str, place: Any, host: str | None = None) -> int:
        port, match_key = place
        if len(peer.offered) >= MOST_OFFERS or not isinstance(port, int):
            raise ValueError("no device is put on offer like this")
        offered = Offered(peer, _name(key), _name(host or peer.host), port, _name(match_key))
        peer.offered.append(offered)
        self._offers.setdefault(key, []).append(offered)
        asyncio.get_running_loop().call_soon(self._hand_out, key)  # after the answer to this
        return SUCCESS

    def _request(self, peer: Peer, key: str, user: str, priority: int) -> None:  # noqa: ARG002  as the protocol has it
        if peer.waiting >= MOST_OFFERS:
            raise ValueError("too many requests")
        peer.waiting += 1
        heapq.heappush(self._requests.setdefault(_name(key), []), (-int(priority), next(self._order), peer))
        self._hand_out(key)

    def _hand_out(self, key: str) -> None:
        """Give free devices to those that wait for one: the highest priority first, then who came first."""
        offers, requests = self._offers.get(key, []), self._requests.get(key, [])
        while offers and requests:
            _, _, client = heapq.heappop(requests)
            client.waiting -= 1
            offered = offers[0]
            client.say([SUCCESS, [offered.host, offered.port, offered.match_key]])
            if client.open:
                offers.pop(0)
                offered.peer.offered.remove(offered)
        self._forget_empty(key)

    def _forget_empty(self, key: str) -> None:
        for waiting in (self._offers, self._requests):
            if not waiting.get(key):
                waiting.pop(key, None)

    def _update_info(self, peer: Peer, info: dict[str, Any]) -> int:
        host, port = info["addr"]
        peer.info = {"key": _name(info.get("key", "")), "addr": [_name(host or peer.host), int(port)]}
        return SUCCESS

    def _summary(self) -> dict[str, Any]:
        keys = {*self._offers, *self._requests, *(peer.info.get("key", "").partition(":")[2] for peer in self._peers)}
        queues = {
            key: {"free": len(self._offers.get(key, [])), "pending": len(self._requests.get(key, []))}
            for key in keys
            if key
        }
        servers = [peer.info for peer in self._peers if peer.info.get("key", "").startswith("server")]
        return {"queue_info": queues, "server_info": servers}


def _name(text: Any) -> str:
    if not isinstance(text, str) or len(text) > MOST_NAME:
        raise ValueError(f"{str(text)[:40]!r} is no name")
    return text


def serve_tracker(listening: socket.socket, parent: int | None = None) -> None:
    """Be a tracker on `listening` until the process ends, or is no longer a child of `parent`."""

    async def run() -> None:
        task = asyncio.ensure_future(DeviceTracker(listening).run())
        while (parent is None or os.getppid() == parent) and not task.done():
            await asyncio.wait([task], timeout=0.5)
        task.cancel()

    asyncio.run(run())
