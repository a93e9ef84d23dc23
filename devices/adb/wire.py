"""What an adb server and its clients say to each other, as bytes, and a connection whose every wait has an end.

A request is its length in four hexadecimal digits and its text; the answer begins with OKAY, or with FAIL and a text
(AOSP, packages/modules/adb: OVERVIEW.TXT, SERVICES.TXT).
"""

from __future__ import annotations

import re
import socket
import struct
import time
from typing import NamedTuple

from fleetpose.errors import QUOTED, one_line

OKAY, FAIL = b"OKAY", b"FAIL"
MOST_REQUEST_BYTES = 0xFFFF
#: what a shell answers at most, and what a server says of phones or forwarded ports
MOST_ANSWER_BYTES = 4 << 20
#: kinds of packets of a shell: input is not sent
STDOUT, STDERR, EXIT = 1, 2, 3


def plain_line(text: str, letters: int = QUOTED) -> str:
    """What a phone says, as a terminal may show it: on one line, cut, and without what terminals take for commands."""
    return "".join(letter for letter in one_line(text, letters) if letter.isprintable())


def number_of(text: str, base: int = 10) -> int:
    """A number that an adb server writes. Raises ValueError, in words, for what is none."""
    if not re.fullmatch(r"[0-9a-fA-F]{1,8}" if base == 16 else r"[0-9]{1,8}", text):
        raise ValueError(f"what listens there is no adb server: it writes {text[:20]!r} for a number")
    return int(text, base)


class ServerRefusal(Exception):
    """The server, or the phone, answers FAIL; the text is adb's own."""


class ShellAnswer(NamedTuple):
    """What a command of a phone's shell gives.

    Attributes:
        status: its exit status.
        output, errors: what it wrote to stdout and stderr, as text.
    """

    status: int
    output: str
    errors: str


class ServerConnection:
    """One connection to an adb server. A context manager.

    Args:
        address: host and port of the server.
        wait_secs: how long reaching it may take, and then all that follows, unless `extend` gives more.

    Raises:
        OSError: nothing listens there.
    """

    def __init__(self, address: tuple[str, int], wait_secs: float) -> None:
        self._deadline = time.monotonic() + wait_secs
        self._socket = socket.create_connection(address, timeout=wait_secs)

    def extend(self, secs: float) -> None:
        """Allow so many seconds more for what follows."""
        self._deadline += secs

    def request(self, service: str) -> None:
        """Ask for a service and read whether it is granted.

        Raises:
            ServerRefusal: it is not. OSError: the connection ends, or time is up. ValueError: no adb server answers.
        """
        self.send_service(service)
        self.expect_okay()

    def send_service(self, service: str) -> None:
        data = service.encode()
        if len(data) > MOST_REQUEST_BYTES:
            raise ValueError(f"a request of {len(data)} bytes, and adb takes {MOST_REQUEST_BYTES}")
        self.send(b"%04x" % len(data) + data)

    def expect_okay(self) -> None:
        """Read a status. Raises as `request`."""
        status = self.receive(4)
        if status == FAIL:
            raise ServerRefusal(self.receive_text() or "no reason given")
        if status != OKAY:
            raise ValueError(f"what listens there is no adb server: it answers {status!r}")

    def send(self, data: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def receive(self, count: int) -> bytes:
        """Exactly so many bytes. Raises OSError."""
        data = bytearray()
        while len(data) < count:
            part = self._receive_some(count - len(data))
            if not part:
                raise ConnectionError("the connection was closed")
            data += part
        return bytes(data)

    def receive_text(self) -> str:
        """A text after its length; "" where the connection ends before it. Raises OSError, ValueError."""
        first = self._receive_some(4)
        if not first:
            return ""
        digits = first + self.receive(4 - len(first))
        return self.receive(number_of(digits.decode(errors="replace"), 16)).decode(errors="replace")

    def receive_shell(self) -> ShellAnswer:
        """What a command writes until it ends. Raises OSError, ValueError."""
        written = {STDOUT: bytearray(), STDERR: bytearray()}
        while True:
            kind, size = struct.unpack("<BI", self.receive(5))
            if size + sum(map(len, written.values())) > MOST_ANSWER_BYTES:
                raise ValueError(f"the phone answers more than {MOST_ANSWER_BYTES >> 20} MiB")
            data = self.receive(size)
            if kind == EXIT:
                status = data[0] if data else 1
                return ShellAnswer(status, *(bytes(written[stream]).decode(errors="replace") for stream in written))
            written.get(kind, bytearray()).extend(data)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> ServerConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive_some(self, count: int) -> bytes:
        self._socket.settimeout(self._left())
        return self._socket.recv(min(count, 1 << 16))

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left
