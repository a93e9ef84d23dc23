"""A listening socket whose visitors cost each other nothing: silent and slow ones are shown out, the others served.

Accepting, greeting and serving are separate steps. Any number may knock; of those that have not finished their greeting
the 16 latest are waited for, three seconds each.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

log = logging.getLogger("devices.rpc.door")

GREETING_SECS = 3.0
MOST_GREETING = 16
PAUSE_SECS = 0.1  # where the system has no descriptor left

#: reads a visitor's greeting and answers it; whether it takes the socket over (else the door closes it)
Greet = Callable[[socket.socket, Any], Awaitable[bool]]


class Door:
    """A listening socket and the visitors that are greeting. Belongs to one event loop."""

    def __init__(self, listening: socket.socket, greet: Greet) -> None:
        self.listening = listening
        self._greet = greet
        self._greeting: dict[asyncio.Task[None], None] = {}  # in the order of their arrival

    async def watch(self) -> None:
        """Accept for ever. Greetings are raised by nobody: whoever greets wrongly, or not in time, is closed."""
        loop = asyncio.get_running_loop()
        self.listening.setblocking(False)
        try:
            while True:
                try:
                    client, address = await loop.sock_accept(self.listening)
                except OSError as error:
                    log.warning("cannot accept: %s", error)
                    self._show_out_one()
                    await asyncio.sleep(PAUSE_SECS)
                    continue
                if len(self._greeting) >= MOST_GREETING:
                    self._show_out_one()
                client.setblocking(False)
                task = loop.create_task(self._receive(client, address))
                self._greeting[task] = None
                task.add_done_callback(self._forget)
                await asyncio.sleep(0)  # who has greeted already is heard before the next one is let in
        finally:
            for task in list(self._greeting):
                task.cancel()

    async def _receive(self, client: socket.socket, address: Any) -> None:
        kept = False
        try:
            kept = await asyncio.wait_for(self._greet(client, address), GREETING_SECS)
        except asyncio.TimeoutError:
            log.debug("%s did not greet within %g s", address, GREETING_SECS)
        except (OSError, ValueError) as error:
            log.info("%s: %s", address, error)
        finally:
            if not kept:
                client.close()

    def _show_out_one(self) -> None:
        """Close the visitor that has been greeting for the longest."""
        for task in self._greeting:
            task.cancel()
            self._forget(task)
            return

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._greeting.pop(task, None)
