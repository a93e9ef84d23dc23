"""A device on offer at a tracker: registered, free or taken, and there again soon after the tracker is."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import struct
import time
from typing import Any

from devices.rpc.tracker import Address
from devices.rpc.wire import (
    PENDING_MATCHKEYS,
    PUT,
    SUCCESS,
    TRACKER_MAGIC,
    UPDATE_INFO,
    message_size,
    pack_message,
    unpack_message,
)

log = logging.getLogger("devices.rpc.server")

POLL_SECS = 0.5
UNUSED_SECS = 4.0  # a match key handed out and not used for so long is replaced
ANSWER_SECS = 5.0


class Offer:
    """What a tracker is told of one device. Belongs to one event loop.

    Args:
        tracker: where to offer it.
        key: the name it is offered under.
        port: of its server.
        advertised: the host clients should use, where the tracker's view of this connection is not it.
    """

    def __init__(self, tracker: Address, key: str, port: int, advertised: str | None) -> None:
        self.tracker, self.key, self.port, self.advertised = tracker, key, port, advertised
        self._match_key = ""  # of the one client that may come; "" while there is none
        self._free = True
        self._changed = asyncio.Event()
        self._failure = ""

    def claim(self, match_key: str) -> bool:
        """Whether that key opens the device now; it is taken then, until `release`."""
        if not (self._match_key and hmac.compare_digest(match_key.encode(), self._match_key.encode())):
            return False
        self._match_key, self._free = "", False
        return True

    def release(self) -> None:
        """Offer it again."""
        self._free = True
        self._changed.set()

    async def keep(self) -> None:
        """Keep the tracker informed, for ever; one that is gone is called again twice a second."""
        while True:
            try:
                await self._converse()
            except (OSError, ValueError, EOFError, asyncio.TimeoutError) as error:
                failure = str(error) or type(error).__name__
                if failure != self._failure:
                    log.warning("tracker %s: %s; trying again", self.tracker, failure)
                self._failure = failure
            await asyncio.sleep(POLL_SECS)

    async def _converse(self) -> None:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*self.tracker), ANSWER_SECS)
        try:
            writer.write(struct.pack("<i", TRACKER_MAGIC))
            if await asyncio.wait_for(reader.readexactly(4), ANSWER_SECS) != struct.pack("<i", TRACKER_MAGIC):
                raise ConnectionError("what listens there is not a TVM tracker")

            async def ask(*message: Any) -> Any:
                writer.write(pack_message(message))
                size = message_size(await asyncio.wait_for(reader.readexactly(4), ANSWER_SECS))
                return unpack_message(await asyncio.wait_for(reader.readexactly(size), ANSWER_SECS))

            await ask(UPDATE_INFO, {"key": f"server:{self.key}", "addr": [self.advertised, self.port]})
            await self._offer(ask)
        finally:
            writer.close()

    async def _offer(self, ask: Any) -> None:
        """Put a match key wherever the device is free and the tracker has none, or its client never came."""
        offered, unused_since = "", None
        while True:
            if self._free and (not offered or offered != self._match_key):
                offered = self._match_key = f"{self.key}:{secrets.token_hex(16)}"
                answer = await ask(PUT, self.key, (self.port, offered), self.advertised)
                if answer != SUCCESS:
                    raise ConnectionError(f"it refused: {str(answer)[:80]}")
                unused_since, self._failure = None, ""
            pending = await ask(PENDING_MATCHKEYS)
            if not isinstance(pending, list):
                raise ValueError("it answers what it was not asked")
            if not self._free or offered in pending:
                unused_since = None
            elif unused_since is None:
                unused_since = time.monotonic()
            elif time.monotonic() - unused_since > UNUSED_SECS:
                offered = ""
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), POLL_SECS)
            self._changed.clear()
