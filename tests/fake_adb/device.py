"""adb's daemon on a fake phone: what adb's own server connects to by `adb connect`, over TCP.

So adb's server itself stands between us and the phone: it forwards ports and keeps its lists. The transport's protocol
is AOSP's (packages/modules/adb, protocol.txt): packets of 24 bytes and data, streams whose writes are acknowledged.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from tests.fake_adb.phone import FakePhone
from tests.fake_adb.ports import pump
from tests.fake_adb.services import receive_files, run_shell
from tests.fake_adb.wire import cut, pack_text, receive

CONNECT, OPEN, OKAY, WRITE, CLOSE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
VERSION, MOST_BYTES = 0x01000001, 1 << 18
BANNER = "device::ro.product.name=fake;ro.product.model={model};ro.product.device=fake;features=shell_v2,cmd"


class DaemonStream:
    """One stream: what its service reads and writes goes to and from the other side in packets.

    Attributes:
        service_end: the socket that the service has.
    """

    def __init__(self, daemon: FakeDaemon, number: int) -> None:
        self._daemon, self.number, self.remote = daemon, number, 0
        self._own_end, self.service_end = socket.socketpair()
        self._may_write = threading.Semaphore(0)

    def accepted(self, remote: int) -> None:
        """The other side is ready for a packet of this stream."""
        if not self.remote:
            self.remote = remote
            threading.Thread(target=self._send, daemon=True).start()
        self._may_write.release()

    def take(self, data: bytes) -> None:
        """A packet of the other side's."""
        with contextlib.suppress(OSError):
            self._own_end.sendall(data)
        self._daemon.send(OKAY, self.number, self.remote)

    def end(self) -> None:
        """The other side has closed it."""
        cut(self._own_end)
        self._may_write.release()

    def _send(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._own_end.recv(1 << 16):
                self._may_write.acquire()
                self._daemon.send(WRITE, self.number, self.remote, data)
        self._daemon.forget(self)


class FakeDaemon:
    """Takes one adb server at a time, until `close`.

    Attributes:
        port: of 127.0.0.1, for `adb connect`.
        reverses: the ports of the phone that reach the server's machine.
    """

    def __init__(self, phone: FakePhone) -> None:
        self.phone = phone
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.reverses: dict[int, socket.socket] = {}
        self._connection: socket.socket | None = None
        self._streams: dict[int, DaemonStream] = {}
        self._lock = threading.Lock()
        self._numbers = iter(range(1, 1 << 30))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it, and with it the connection to adb's server and what that carried."""
        cut(self._listening)
        if self._connection is not None:
            cut(self._connection)

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Send a packet; nothing where nobody is connected."""
        head = struct.pack("<6I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        with self._lock, contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.sendall(head + data)

    def forget(self, stream: DaemonStream) -> None:
        """A stream whose service has ended."""
        if self._streams.pop(stream.number, None) is not None:
            self.send(CLOSE, stream.number, stream.remote)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._connection, _ = self._listening.accept()
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError):
                    self._converse(self._connection)
                self._lose()

    def _lose(self) -> None:
        for port in list(self.reverses):
            cut(self.reverses.pop(port))
        for stream in list(self._streams.values()):
            stream.end()
        self._streams.clear()

    def _converse(self, connection: socket.socket) -> None:
        while True:
            command, first, second, size, _, _ = struct.unpack("<6I", receive(connection, 24))
            data = receive(connection, size)
            stream = self._streams.get(second)
            if command == CONNECT:
                banner = BANNER.format(model=self.phone.properties["ro.product.model"])
                self.send(CONNECT, VERSION, MOST_BYTES, banner.encode())
            elif command == OPEN:
                self._open(first, data.rstrip(b"\0").decode())
            elif stream is None:
                continue
            elif command == OKAY:
                stream.accepted(first)
            elif command == WRITE:
                stream.take(data)
            elif command == CLOSE:
                self._streams.pop(second, None)
                stream.end()

    def _open(self, remote: int, service: str) -> None:
        """The other side asks for a service."""
        run = self._service(service)
        if run is None:
            self.send(CLOSE, 0, remote)
            return
        stream = self._new_stream()
        self.send(OKAY, stream.number, remote)
        stream.accepted(remote)

        def serve() -> None:
            with contextlib.suppress(OSError):
                run(stream.service_end)
            cut(stream.service_end)

        threading.Thread(target=serve, daemon=True).start()

    def _new_stream(self) -> DaemonStream:
        stream = DaemonStream(self, next(self._numbers))
        self._streams[stream.number] = stream
        return stream

    def _service(self, service: str) -> Callable[[socket.socket], None] | None:
        kind, _, rest = service.partition(":")
        if kind.startswith("shell,v2"):
            return lambda end: run_shell(end, self.phone, rest)
        if kind == "sync":
            return lambda end: receive_files(end, self.phone)
        if kind == "tcp":
            return lambda end: self._reach(end, int(rest))
        if kind == "reverse":
            return lambda end: end.sendall(self._change_reverses(rest.rstrip("\0")))
        return None

    def _reach(self, end: socket.socket, port: int) -> None:
        """What a forwarded port leads to."""
        with socket.create_connection((self.phone.loopback, port), timeout=10) as far:
            far.settimeout(None)
            back = threading.Thread(target=pump, args=(far, end), daemon=True)
            back.start()
            pump(end, far)
            back.join()

    def _change_reverses(self, command: str) -> bytes:
        kind, _, rest = command.partition(":")
        if kind == "list-forward":
            return pack_text("".join(f"host-1 tcp:{port} tcp:{port}\n" for port in self.reverses))
        if kind == "forward":
            port, reached = (part.removeprefix("tcp:") for part in rest.split(";"))
            listening = socket.create_server((self.phone.loopback, int(port)))
            self.reverses[int(port)] = listening
            threading.Thread(target=self._accept_reversed, args=(listening, reached), daemon=True).start()
            return b"OKAY"
        port = int(rest.removeprefix("tcp:"))
        if port not in self.reverses:
            return b"FAIL" + pack_text(f"listener 'tcp:{port}' not found")
        cut(self.reverses.pop(port))
        return b"OKAY"

    def _accept_reversed(self, listening: socket.socket, reached: str) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                stream = self._new_stream()
                for ends in ((near, stream.service_end), (stream.service_end, near)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()
                self.send(OPEN, stream.number, 0, f"tcp:{reached}\0".encode())
