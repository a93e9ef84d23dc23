"""A tracker and a server of this machine's OpenCL, for one parent process, on 127.0.0.1 and ports nobody else has.

`Loopback` (in the parent) starts a child that leads its own process group: it is the tracker, and forks the server,
which forks a process per session. The whole group is killed, and its folder removed, when the parent closes it, exits,
or dies: the child reads a pipe whose other end only the parent holds, and watches that its parent is still the same
(a process that the parent forked could hold the pipe open).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn

from devices.rpc.lean import import_rpc, without_compiler
from devices.rpc.tracker import Address, bind
from devices.rpc.tracker_service import serve_tracker
from fleetpose.codec import decode, parse_json
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import DeviceUnreachable

HOST = "127.0.0.1"
KEY = "host"
LOG_LINES = 8
CHILD = "from devices.rpc.loopback import child; child()"


class Loopback:
    """The running pair. `address` is its tracker; devices are offered under `KEY`.

    Args:
        opencl_device: PLATFORM[:DEVICE] for the server, unless FLEETPOSE_OPENCL_DEVICE is set already.
        timeout_secs: how long the start may take.

    Raises:
        DeviceUnreachable: it did not start; the text quotes its log.
        UsageError: TVM cannot be imported here.
    """

    def __init__(self, opencl_device: str | None = None, timeout_secs: float = 30.0) -> None:
        self._work_folder = WorkFolder()
        self.folder = self._work_folder.path
        self.log = self.folder / "server.log"
        environment = {**os.environ, "TVM_USE_RUNTIME_LIB": "1"}
        if opencl_device:
            environment.setdefault("FLEETPOSE_OPENCL_DEVICE", opencl_device)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(self.folder)],
                stdin=subprocess.PIPE,  # never written: its end tells the child that this process is gone
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        atexit.register(self.close)
        try:
            import_rpc()  # the client's side, which this process needs next, while the child starts
            self.address = Address(HOST, self._port(timeout_secs))
        except BaseException:
            self.close()
            raise

    def _port(self, timeout_secs: float) -> int:
        """The tracker's port, which the child says on its standard output."""
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], timeout_secs)[0]
        line = self.process.stdout.readline() if ready else b""
        if not line:
            happened = "ended" if ready else f"did not start within {timeout_secs:g} s"
            raise DeviceUnreachable(
                f"the loopback RPC server {happened}; its last words:\n{self.log_tail()}\nsee: python -m devices.doctor"
            )
        return decode(dict[str, int], parse_json(line, subject="its first line"), "its first line")["port"]

    def log_tail(self) -> str:
        """The last lines of the pair's log, indented; "(nothing)" where there are none."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(f"    {line}" for line in lines[-LOG_LINES:]) or "    (nothing)"

    def close(self) -> None:
        """Kill the pair and every session, and remove their folder. Safe to call again."""
        atexit.unregister(self.close)
        if self.process.returncode is None:
            _kill_group(self.process.pid)
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._work_folder.remove()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def child() -> None:
    """The child's life: bind, fork the server, be the tracker, end the whole group with the parent.

    Its one argument is the folder for sessions; standard output is for the port, standard error is the log.
    """
    without_compiler()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    folder, parent = Path(sys.argv[1]), os.getppid()
    tracker, listening = bind(HOST, None), bind(HOST, None)
    address = Address(HOST, tracker.getsockname()[1])
    import_rpc()  # before the fork, so that it is loaded once, and before anybody relies on the port
    server = os.fork()
    if server == 0:
        tracker.close()
        _serve(listening, address, folder)
    listening.close()
    tracking = threading.Thread(target=serve_tracker, args=(tracker,), daemon=True)
    tracking.start()
    print(json.dumps({"port": address.port}), flush=True)
    try:
        while os.getppid() == parent and os.waitpid(server, os.WNOHANG) == (0, 0) and tracking.is_alive():
            if select.select([sys.stdin], [], [], 0.5)[0]:  # nothing is ever written, so this is the end of the pipe
                break
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _kill_group(os.getpgrp())


def _serve(listening: socket.socket, tracker: Address, folder: Path) -> NoReturn:
    """The forked server. Never returns."""
    from devices.rpc.server import Server

    try:
        os.close(0)
        Server(listening, tracker, KEY, None, folder).run()
    finally:
        os._exit(1)
