"""`python -m devices.serve`: offer this machine's OpenCL to others, under a key, through a tracker."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys

from devices.rpc.lean import import_rpc, without_compiler
from devices.rpc.loopback import KEY
from devices.rpc.session_process import close_sockets_but, kill
from devices.rpc.tracker import Address, bind, connect
from devices.rpc.tracker_service import serve_tracker
from fleetpose.cli import parser, run
from fleetpose.errors import UsageError
from fleetpose.options import whole

log = logging.getLogger("devices.serve")

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")


def make_parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = parser(
        "devices.serve",
        "Offer this machine's OpenCL device to others over TVM RPC, until Ctrl-C. Whoever reaches the port can run "
        "code here: keep to 127.0.0.1, an SSH tunnel, or a network you trust.",
        json_flag=False,
    )
    flags.add_argument("--key", default=KEY, help="the name the device is offered under")
    flags.add_argument("--tracker", default="127.0.0.1:9190", metavar="HOST:PORT", help="the tracker to offer it at")
    flags.add_argument(
        "--with-tracker", action="store_true", help="be that tracker too (one that ends is started again)"
    )
    flags.add_argument("--host", default="127.0.0.1", help="where to listen; 0.0.0.0 is every network of this machine")
    flags.add_argument("--port", type=whole(0, 65535), help="TCP port to listen on (default: a free one)")
    flags.add_argument(
        "--advertise", metavar="HOST", help="the name clients reach this machine by, where it differs from --host"
    )
    flags.add_argument("--opencl-device", metavar="PLATFORM[:DEVICE]", help="by names or indices (default: the first)")
    return flags


def serve(
    tracker: Address,
    key: str,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    advertise: str | None = None,
    with_tracker: bool = False,
) -> None:
    """Offer this process's OpenCL device under `key` until interrupted.

    Args:
        tracker: where to offer it; with `with_tracker` this process also is that tracker, listening on `host`.
        key: the name to offer it under; several servers may share one.
        host, port: where clients connect; None: a free port.
        advertise: the host clients are told; None: `host` where it is one address, else what this machine is called
            on the network, or, behind a tracker elsewhere, as that one sees it.

    Raises:
        UsageError: a port is taken, or the key cannot stand in a device's name.
        DeviceUnreachable: no tracker there.
    """
    from devices.rpc.server import Server

    if not key or any(mark.isspace() or mark == ":" for mark in key):
        raise UsageError(f"key {key!r} must be one word without ':'")
    import_rpc()
    listening = bind(host, port)
    tracking = bind(host, tracker.port, "--tracker HOST:PORT") if with_tracker else None
    keeper = None
    try:
        if tracking is not None:
            keeper = TrackerKeeper(tracking)
        with connect(tracker, 5.0):
            pass
        _announce(tracker, key, listening)
        look_after = keeper.look_after if keeper else lambda: None
        Server(listening, tracker, key, advertise or _own_address(host, tracker), look_after=look_after).run()
    finally:
        if keeper is not None:
            kill(keeper.process)


class TrackerKeeper:
    """A tracker as a process of its own: it ends with this process, and is started again where it ends before.

    The listening socket stays open here, so whoever calls meanwhile waits for the new one.
    """

    def __init__(self, tracking: socket.socket) -> None:
        self._tracking = tracking
        self.process = self._start()

    def look_after(self) -> None:
        """Start it again where it has ended."""
        if os.waitpid(self.process, os.WNOHANG) != (0, 0):
            log.warning("the tracker ended; starting it again")
            self.process = self._start()

    def _start(self) -> int:
        parent = os.getpid()
        child = os.fork()
        if child:
            return child
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            close_sockets_but(self._tracking.fileno())
            serve_tracker(self._tracking, parent)
        finally:
            os._exit(0)


def _own_address(host: str, tracker: Address) -> str | None:
    """The host to tell clients: a tracker on this very machine would see, and pass on, 127.0.0.1."""
    if host not in EVERYWHERE:
        return host
    return _outward_address() if tracker.host in LOOPBACK_HOSTS else None


def _outward_address() -> str:
    """This machine's own address on the network it would reach others by. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address kept for documentation
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _announce(tracker: Address, key: str, listening: socket.socket) -> None:
    """Say what to type on the client."""
    host, port = listening.getsockname()[:2]
    seen = _outward_address() if tracker.host in LOOPBACK_HOSTS and host not in LOOPBACK_HOSTS else tracker.host
    print(f"offering this machine as {key!r}: {host}:{port}, tracker {tracker}. On the client:")
    print(f"    export TVM_TRACKER_HOST={seen} TVM_TRACKER_PORT={tracker.port}")
    print(f"    python -m devices.doctor --device rpc:{key}")
    if host not in LOOPBACK_HOSTS:
        print("anyone who reaches that port can run code here", file=sys.stderr)
    print("Ctrl-C ends it.", flush=True)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    without_compiler()
    logging.getLogger("devices.rpc.server").setLevel(logging.INFO)
    if arguments.opencl_device:
        os.environ["FLEETPOSE_OPENCL_DEVICE"] = arguments.opencl_device
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left behind
    with contextlib.suppress(KeyboardInterrupt):
        serve(
            Address.parse(arguments.tracker),
            arguments.key,
            host=arguments.host,
            port=arguments.port,
            advertise=arguments.advertise,
            with_tracker=arguments.with_tracker,
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main, make_parser()))
