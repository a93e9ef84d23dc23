"""A tracker of this machine's that stays when the command that started it ends, until it is told to end.

It listens on 127.0.0.1 alone: phones reach it through adb. Whether it still runs is told by the lock that it holds on
its file, however it ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from devices.rpc import tracker
from devices.rpc.tracker import Address
from devices.rpc.tracker_service import serve_tracker
from fleetpose.disk.caches import cache_folder
from fleetpose.disk.temporaries import temporary_folder
from fleetpose.errors import DeviceUnreachable, UsageError
from fleetpose.files import make_folder

HOST, DEFAULT_PORT = "127.0.0.1", 9190
LOOPBACK_NAMES = ("127.0.0.1", "localhost")
#: how long it may take to answer once it is started, and to end
START_SECS, END_SECS = 20.0, 5.0
CHILD = "from devices.android.background_tracker import child; child()"


def default_port() -> int:
    """The port of TVM_TRACKER_PORT where TVM_TRACKER_HOST is this machine or not set, else 9190.

    Raises UsageError where the environment names a tracker elsewhere: phones at a cable reach this machine's alone.
    """
    host = os.environ.get("TVM_TRACKER_HOST")
    if host and host not in LOOPBACK_NAMES:
        raise UsageError(
            f"TVM_TRACKER_HOST={host[:80]}: a phone at this machine's cable is offered at this machine's tracker; "
            f"unset TVM_TRACKER_HOST"
        )
    address = Address.from_environment()
    return address.port if address else DEFAULT_PORT


def ensure_tracker(port: int) -> bool:
    """Have a tracker at a port of this machine's loopback; whether it was started here, because none was there.

    Raises:
        UsageError: something else listens there. DeviceUnreachable: it does not start.
    """
    address = Address(HOST, port)
    if _answers(address):
        return False
    listening = tracker.bind(HOST, port, "--tracker-port")
    folder = make_folder(_folder())
    with listening, open(folder / f"tracker-{port}.log", "wb") as log:
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(listening.fileno()), str(_file(port))],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[listening.fileno()], start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECS
    while not _answers(address, 1.0) or process_of(port) is None:
        if time.monotonic() > deadline:
            raise DeviceUnreachable(f"the tracker at {address} does not start; see {folder}/tracker-{port}.log")
        time.sleep(0.05)
    return True


def end_tracker(port: int) -> bool:
    """End the tracker that `ensure_tracker` started at a port; whether there was one."""
    process = process_of(port)
    if process is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + END_SECS
    while process_of(port) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    if process_of(port) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    _file(port).unlink(missing_ok=True)
    return True


def process_of(port: int) -> int | None:
    """The process of a tracker that was started so and runs; None where there is none."""
    try:
        with open(_file(port), encoding="ascii", errors="replace") as file:
            if not _is_locked(file.fileno()):
                return None
            number = file.read(20)
    except OSError:
        return None
    return int(number) if number.isdigit() else None


def child() -> None:
    """The tracker's life. Its arguments: the descriptor it listens on, and the file that it locks."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    handle = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    serve_tracker(listening)


def _answers(address: Address, secs: float = 3.0) -> bool:
    try:
        tracker.summary(address, secs)
    except DeviceUnreachable:
        return False
    return True


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def _folder() -> Path:
    return (cache_folder() or temporary_folder() / f"fleetpose-{os.getuid()}") / "phones"


def _file(port: int) -> Path:
    return _folder() / f"tracker-{port}.pid"
