"""One client's session: a forked process in a folder of its own, ended with its client, its time, or its server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import shutil
import signal
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

log = logging.getLogger("devices.rpc.server")

CHUNKED_LOOP = "fleetpose.rpc.serve"  # of the backend
POLL_SECS = 0.05
PARENT_POLL_SECS = 0.5
HANGUP_SECS = 2.0  # what a session may still do after its client has gone


def speaks_chunks() -> bool:
    """Whether sessions can speak in chunks with checksums: where the backend is built."""
    import tvm_ffi

    return tvm_ffi.get_global_func(CHUNKED_LOOP, allow_missing=True) is not None


async def serve_session(
    client: socket.socket, options: Mapping[str, float], *, chunked: bool, parent: int, work_dir: Path | None
) -> None:
    """Run one session to its end, one way or the other.

    Args:
        client: greeted; it stays open here.
        options: the client's; "timeout" is how many seconds the session may last.
        chunked: whether the client speaks in chunks with checksums.
        parent: the process that the server ends with.
        work_dir: where its folder is made; None: the system's folder for such.
    """
    folder = Path(tempfile.mkdtemp(prefix="session-", dir=work_dir))
    child: int | None = None
    try:
        child = os.fork()
        if child == 0:
            _session(client, folder, chunked)
        if await _attend(child, client, options.get("timeout"), chunked, parent):
            child = None  # it is collected, and the number may be another process's
    finally:
        if child is not None:
            kill(child)
        shutil.rmtree(folder, ignore_errors=True)


async def _attend(child: int, client: socket.socket, timeout_secs: float | None, chunked: bool, parent: int) -> bool:
    """Wait for the session's end: its own (True: it is collected), its client's, its time's, the parent's."""
    started = time.monotonic()
    gone_since: float | None = None
    hangup = select.poll()
    hangup.register(client, getattr(select, "POLLRDHUP", 0))
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        now = time.monotonic()
        if timeout_secs is not None and now - started > timeout_secs:
            log.warning("session ended after its %g s", timeout_secs)
            if not chunked:
                _tell_timeout(client, timeout_secs)
            return False
        if gone_since is not None and now - gone_since > HANGUP_SECS:
            log.warning("client gone; session killed")
            return False
        if os.getppid() != parent:
            return False
        if gone_since is None and hangup.poll(0):
            gone_since = now
        await asyncio.sleep(POLL_SECS)
    return True


def _session(client: socket.socket, folder: Path, chunked: bool) -> NoReturn:
    """The forked process: answer one client until it closes. Never returns."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends its sessions itself
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        close_sockets_but(client.fileno())
        _die_with(os.getppid(), folder)
        os.chdir(folder)
        _register(folder)
        import tvm_ffi

        client.setblocking(True)
        tvm_ffi.get_global_func(CHUNKED_LOOP if chunked else "rpc.ServerLoop")(client.fileno())
        status = 0
    except BaseException as error:
        log.warning("session: %s", error)
    finally:
        os._exit(status)


def close_sockets_but(*kept: int) -> None:
    """Close, in a process that was just forked, its parent's sockets: what is open in two processes never ends."""
    for number in [int(name) for name in os.listdir("/dev/fd") if name.isdigit()]:
        with contextlib.suppress(OSError):
            if number > 2 and number not in kept and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.close(number)


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
            time.sleep(PARENT_POLL_SECS)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def kill(child: int) -> None:
    """SIGKILL a forked child and collect it; nothing where it has been collected."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _tell_timeout(client: socket.socket, timeout_secs: float) -> None:
    import tvm_ffi

    text = f"RPCSessionTimeoutError: the session's {timeout_secs:g} s are over"
    tvm_ffi.get_global_func("rpc.ReturnException")(client.fileno(), text)
