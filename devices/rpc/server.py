"""Offering this machine's OpenCL to one client at a time, in TVM's RPC protocol.

It replaces `tvm.exec.rpc_server`, which stops serving for good, without saying so, once a session's process has
crashed (a kernel that segfaults), never notices a client that has gone while a kernel hangs, and imports torch. Here
each session is a forked process in a folder of its own; it is killed when its client is gone, its time is up, or this
process ends.

Runs with TVM's runtime alone (`devices.rpc.lean`). Nothing here may touch OpenCL before the fork.
"""

from __future__ import annotations

import json
import logging
import os
import random
import select
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

from devices.rpc.tracker import PENDING_MATCHKEYS, PUT, SUCCESS, UPDATE_INFO, Address, Connection, receive

log = logging.getLogger("devices.rpc.server")

RPC_MAGIC = 0xFF271
RPC_MISMATCH = RPC_MAGIC + 2
POLL_SECS = 0.5
UNUSED_SECS = 6.0  # a match key handed out and not used for so long is replaced
HANGUP_SECS = 2.0  # what a session may still do after its client has gone
TRACKER_SECS = 5.0


class Server:
    """One device offered under one key.

    Args:
        listening: the socket clients connect to.
        tracker: where to offer the device.
        key: the name it is offered under.
        advertised: the host clients should use, where the tracker's view of this connection is not it.
        work_dir: where session folders are made; None: the system's folder for such.
    """

    def __init__(
        self, listening: socket.socket, tracker: Address, key: str, advertised: str | None, work_dir: Path | None = None
    ) -> None:
        self.listening = listening
        self.tracker = tracker
        self.key = key
        self.advertised = advertised
        self.work_dir = work_dir
        self.parent = os.getppid()
        self.offer: Connection | None = None
        self.match_key = ""
        self.unused_since: float | None = None

    def run(self) -> None:
        """Serve until the parent process is gone (or for ever, in a terminal)."""
        self.listening.settimeout(5.0)
        while os.getppid() == self.parent:
            try:
                if self.offer is None:
                    self._offer()
                if select.select([self.listening], [], [], POLL_SECS)[0]:
                    self._accept()
                else:
                    self._refresh()
            except (OSError, ValueError) as error:
                log.warning("%s; trying again", error)
                self._withdraw()
                time.sleep(POLL_SECS)

    def _offer(self) -> None:
        """Tell the tracker that this device is free; OSError where there is no tracker."""
        self.offer = Connection(self.tracker, TRACKER_SECS)
        port = self.listening.getsockname()[1]
        about = {"key": f"server:{self.key}", "addr": [self.advertised, port]}
        self.offer.ask(UPDATE_INFO, about, timeout_secs=TRACKER_SECS)
        self._put()

    def _put(self) -> None:
        assert self.offer is not None
        self.match_key = f"{self.key}:{random.SystemRandom().random()}"
        port = self.listening.getsockname()[1]
        answer = self.offer.ask(PUT, self.key, (port, self.match_key), self.advertised, timeout_secs=TRACKER_SECS)
        if answer != SUCCESS:
            raise ConnectionError(f"the tracker at {self.tracker} refused: {answer}")
        self.unused_since = None

    def _refresh(self) -> None:
        """Offer a new match key where the old one was handed out and its client never came."""
        assert self.offer is not None
        if self.match_key in self.offer.ask(PENDING_MATCHKEYS, timeout_secs=TRACKER_SECS):
            self.unused_since = None
        elif self.unused_since is None:
            self.unused_since = time.monotonic()
        elif time.monotonic() - self.unused_since > UNUSED_SECS:
            self._put()

    def _withdraw(self) -> None:
        if self.offer is not None:
            self.offer.close()
            self.offer = None

    def _accept(self) -> None:
        """Take one client; where its key matches, serve it to the end and offer the device again."""
        client, address = self.listening.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.settimeout(5.0)
            try:
                options = self._handshake(client)
            except (OSError, ValueError, struct.error) as error:
                log.warning("client %s: %s", address, error)
                return
            client.settimeout(None)
            log.info("session of %s", address)
            self._serve(client, options)
        self._put()

    def _handshake(self, client: socket.socket) -> dict[str, float]:
        """TVM's greeting; gives the client's options ("timeout" in seconds). OSError or ValueError on a wrong one."""
        magic, length = struct.unpack("<ii", receive(client, 8))
        if magic != RPC_MAGIC or not 0 < length < 4096:
            raise ValueError("not a TVM RPC client")
        name, *options = receive(client, length).decode().split()
        if name != f"client:{self.match_key}":
            client.sendall(struct.pack("<i", RPC_MISMATCH))
            raise ValueError("wrong match key")
        ours = f"server:{self.key}".encode()
        client.sendall(struct.pack("<ii", RPC_MAGIC, len(ours)) + ours)
        return dict(_option(text) for text in options if "=" in text)

    def _serve(self, client: socket.socket, options: dict[str, float]) -> None:
        """Run one session in a forked process; give back when it has ended, one way or the other."""
        folder = Path(tempfile.mkdtemp(prefix="session-", dir=self.work_dir))
        child = os.fork()
        if child == 0:
            self._session(client, folder)
        ended = False
        try:
            ended = self._attend(child, client, options.get("timeout"))
        finally:
            if not ended:  # once collected, the number may be another process's
                _kill(child)
            shutil.rmtree(folder, ignore_errors=True)

    def _attend(self, child: int, client: socket.socket, timeout_secs: float | None) -> bool:
        """Wait for the session's end: its own (True: it is collected), its client's, its time's, the parent's."""
        started = time.monotonic()
        gone_since: float | None = None
        hangup = select.poll()
        hangup.register(client, getattr(select, "POLLRDHUP", 0))
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            now = time.monotonic()
            if timeout_secs is not None and now - started > timeout_secs:
                log.warning("session ended after its %g s", timeout_secs)
                _tell_timeout(client, timeout_secs)
                return False
            if gone_since is not None and now - gone_since > HANGUP_SECS:
                log.warning("client gone; session killed")
                return False
            if os.getppid() != self.parent:
                return False
            if gone_since is not None:
                time.sleep(0.02)
            elif hangup.poll(50):
                gone_since = time.monotonic()
        return True

    def _session(self, client: socket.socket, folder: Path) -> NoReturn:
        """The forked process: answer one client until it closes. Never returns."""
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends its sessions itself
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.listening.close()
            self._withdraw()
            _die_with(os.getppid(), folder)
            os.chdir(folder)
            _register(folder)
            import tvm_ffi

            tvm_ffi.get_global_func("rpc.ServerLoop")(client.fileno())
            status = 0
        except BaseException as error:
            log.warning("session: %s", error)
        finally:
            os._exit(status)


def _register(folder: Path) -> None:
    """What a client calls by name: file paths, loading a module, the conditions of this machine."""
    import tvm.runtime
    import tvm_ffi

    from devices.conditions import conditions

    def workpath(name: str) -> str:
        return str(folder / Path(name).name)

    tvm_ffi.register_global_func("tvm.rpc.server.workpath", workpath, override=True)
    tvm_ffi.register_global_func(
        "tvm.rpc.server.load_module", lambda name: tvm.runtime.load_module(workpath(name)), override=True
    )
    tvm_ffi.register_global_func("fleetpose.conditions", lambda: json.dumps(conditions()), override=True)


def _die_with(parent: int, folder: Path) -> None:
    """End this process soon after `parent` has ended, even while a kernel hangs, and remove its `folder`."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECS)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _kill(child: int) -> None:
    """SIGKILL a forked child and collect it; nothing where it has been collected."""
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def _tell_timeout(client: socket.socket, timeout_secs: float) -> None:
    import tvm_ffi

    text = f"RPCSessionTimeoutError: the session's {timeout_secs:g} s are over"
    tvm_ffi.get_global_func("rpc.ReturnException")(client.fileno(), text)


def _option(text: str) -> tuple[str, float]:
    name, _, value = text.lstrip("-").partition("=")
    return name, float(value)
