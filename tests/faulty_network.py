"""A network between a client and a server that cuts, stalls or flips at a byte of one's choice: a TCP proxy.

It is a process of its own, which imports little: TVM frees what is remote with Python's lock held, when no thread of
the client's process could carry a byte.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass

KINDS = ("cut", "reset", "stall", "trickle", "flip")
UP, DOWN = "up", "down"  # to the server, from it
TRICKLE_SECS = 0.5  # between bytes


@dataclass(frozen=True)
class Fault:
    """What happens to the byte at `place` of one direction."""

    kind: str
    direction: str
    place: int


class Proxy:
    """Carries bytes between whoever connects and `target`, with at most one Fault."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.fault: Fault | None = None
        self.passed = {UP: 0, DOWN: 0}
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.listening.accept()
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for ends in ((UP, client, server), (DOWN, server, client)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, direction: str, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                fault, before = self.fault, self.passed[direction]
                if fault and fault.direction == direction and fault.place < before + len(data):
                    self.fault = None
                    data = self._harm(fault, data, max(fault.place - before, 0), source, sink)
                sink.sendall(data)
                self.passed[direction] = before + len(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _harm(self, fault: Fault, data: bytes, at: int, source: socket.socket, sink: socket.socket) -> bytes:
        """The bytes as they go on. What goes before the fault is sent here where nothing goes on: then OSError."""
        if fault.kind == "flip":
            return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        sink.sendall(data[:at])
        if fault.kind == "stall":
            threading.Event().wait()
        if fault.kind == "trickle":
            for byte in data[at:]:
                threading.Event().wait(TRICKLE_SECS)
                sink.sendall(bytes([byte]))
        for one in (source, sink):
            if fault.kind == "reset":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RD)  # wakes the other thread, which would keep it open
                one.close()
            else:
                one.shutdown(socket.SHUT_RDWR)
        raise OSError("the fault has ended it")


class FaultyNetwork:
    """A Proxy to the address (host, port) `target`, in a process of its own. A context manager.

    Attributes:
        address: where to connect instead.
    """

    def __init__(self, target: tuple[str, int], fault: Fault | None = None) -> None:
        command = [sys.executable, "-S", "-E", __file__, target[0], str(target[1])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.address = ("127.0.0.1", int(self._ask(None)["port"]))
        if fault is not None:
            self.set_fault(fault)

    def set_fault(self, fault: Fault) -> None:
        """From now on; bytes are counted from the beginning."""
        self._ask(vars(fault))

    @property
    def passed(self) -> dict[str, int]:
        """How many bytes have gone each way."""
        passed = self._ask(None)["passed"]
        return {UP: passed[UP], DOWN: passed[DOWN]}

    def _ask(self, fault: dict[str, object] | None) -> dict[str, dict[str, int]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(fault) + "\n")
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it and every connection through it."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> FaultyNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main() -> None:
    """Answer each line of standard input, a fault or null, with what has passed; end with it."""
    proxy = Proxy(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        if (fault := json.loads(line)) is not None:
            proxy.fault = Fault(**fault)
        print(json.dumps({"port": proxy.listening.getsockname()[1], "passed": proxy.passed}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
