"""Offering this machine's OpenCL to one client at a time, in TVM's RPC protocol.

It replaces `tvm.exec.rpc_server`, which stops serving for good, without saying so, once a session's process has
crashed (a kernel that segfaults), never notices a client that has gone while a kernel hangs, waits without limit for a
silent connection, and imports torch. Here visitors greet at a `Door`, the tracker is kept informed by an `Offer`, and
each session is a forked process (`session_process`); none of the three waits for another.

Runs with TVM's runtime alone (`devices.rpc.lean`). Nothing here may touch OpenCL before the fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices.rpc.door import Door
from devices.rpc.lean import import_rpc
from devices.rpc.offer import POLL_SECS, Offer
from devices.rpc.session_process import serve_session, speaks_chunks
from devices.rpc.tracker import Address
from devices.rpc.wire import CHUNKED, MOST_NAME_BYTES, RPC_MAGIC, RPC_MISMATCH, pack_name, receive_all, tune

log = logging.getLogger("devices.rpc.server")


class Server:
    """One device offered under one key.

    Args:
        listening: the socket clients connect to.
        tracker: where to offer the device.
        key: the name it is offered under.
        advertised: the host clients should use, where the tracker's view of this connection is not it.
        work_dir: where session folders are made; None: the system's folder for such.
        look_after: called twice a second, for what else this process has to see to.
    """

    def __init__(
        self,
        listening: socket.socket,
        tracker: Address,
        key: str,
        advertised: str | None,
        work_dir: Path | None = None,
        look_after: Callable[[], None] = lambda: None,
    ) -> None:
        self.listening = listening
        self.key = key
        self.work_dir = work_dir
        self.look_after = look_after
        self.parent = os.getppid()
        self.offer = Offer(tracker, key, listening.getsockname()[1], advertised)
        self._greeted: asyncio.Queue[tuple[socket.socket, dict[str, float], bool]] = asyncio.Queue()

    def run(self) -> None:
        """Serve until the parent process is gone (or for ever, in a terminal)."""
        import_rpc()  # once, here, not in each session
        asyncio.run(self._run())

    async def _run(self) -> None:
        steps = (Door(self.listening, self._greet).watch(), self.offer.keep(), self._serve())
        tasks = [asyncio.ensure_future(step) for step in steps]
        try:
            while os.getppid() == self.parent:
                self.look_after()
                ended, _ = await asyncio.wait(tasks, timeout=POLL_SECS, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()  # none ends but by an error, which ends the server
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _greet(self, client: socket.socket, address: Any) -> bool:
        """TVM's greeting. ValueError for another one; who has no key of the device, or a used one, is told so."""
        tune(client)
        magic, length = struct.unpack("<ii", await receive_all(client, 8))
        if magic != RPC_MAGIC or not 0 < length <= MOST_NAME_BYTES:
            raise ValueError("not a TVM RPC client")
        name, *options = (await receive_all(client, length)).decode().split()
        loop = asyncio.get_running_loop()
        if not self.offer.claim(name.removeprefix("client:")):
            await loop.sock_sendall(client, struct.pack("<i", RPC_MISMATCH))
            raise ValueError("wrong match key")
        try:
            chunked = CHUNKED in options and speaks_chunks()
            await loop.sock_sendall(client, pack_name(f"server:{self.key}{f' {CHUNKED}' if chunked else ''}"))
        except BaseException:
            self.offer.release()
            raise
        log.info("session of %s", address)
        self._greeted.put_nowait((client, dict(filter(None, map(_option, options))), chunked))
        return True

    async def _serve(self) -> None:
        """Serve whoever has greeted, one after the other (only one at a time has a key), and offer the device again."""
        while True:
            client, options, chunked = await self._greeted.get()
            try:
                with client:
                    await serve_session(client, options, chunked=chunked, parent=self.parent, work_dir=self.work_dir)
            except OSError as error:
                log.warning("no session: %s", error)
            finally:
                self.offer.release()


def _option(text: str) -> tuple[str, float] | None:
    """NAME and number of "-NAME=NUMBER"; None for anything else."""
    name, equals, value = text.lstrip("-").partition("=")
    with contextlib.suppress(ValueError):
        return (name, float(value)) if equals else None
    return None
