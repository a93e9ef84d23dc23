"""A phone behind an adb server: commands of its shell, files sent there, ports forwarded either way.

Each step is also known as the adb command that does the same, which is logged, and which `PrintedPhone` prints in place
of doing it.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from devices.adb.server import AdbServer
from devices.adb.wire import ServerConnection, ServerRefusal, ShellAnswer, number_of, plain_line
from fleetpose.errors import DeviceUnreachable

log = logging.getLogger("devices.adb.phone")

#: bytes of a file in one message, the most that phones take
PIECE = 64 << 10
#: the fewest bytes a second that a file may be sent by
SLOWEST_BYTES_PER_SEC = 200_000


@dataclass(frozen=True)
class ForwardedPort:
    """A TCP port that is forwarded.

    Attributes:
        listening: the port that takes connections; on this machine, or of a reversed one on the phone.
        reached: the port that they reach; on the phone, or of a reversed one on this machine.
    """

    listening: int
    reached: int


class AdbPhone:
    """A phone by its serial. What goes wrong between here and there is DeviceUnreachable.

    Attributes:
        server, serial: how it is reached.
        acts: whether steps are done, not only printed.
    """

    acts = True

    def __init__(self, server: AdbServer, serial: str) -> None:
        self.server, self.serial = server, serial

    def __str__(self) -> str:
        return f"phone {self.serial}"

    def shell(self, command: str, more_secs: float = 0.0) -> ShellAnswer:
        """Run a command there, with no input, to its end; its exit status is no error.

        Args:
            more_secs: what it may take beyond the server's `wait_secs`.
        """
        self._note("shell", shlex.quote(command))
        with self._service(f"shell,v2,raw:{command}") as connection:
            connection.extend(more_secs)
            return connection.receive_shell()

    def push(self, content: bytes, path: str, mode: int = 0o644, source: str = "FILE") -> None:
        """Write a file there, whole or not at all: by another name first.

        Args:
            source: what `content` is called here.
        """
        self._note("push", shlex.quote(source), shlex.quote(path))
        unfinished = f"{path}.part"
        with self._service("sync:") as connection:
            connection.extend(len(content) / SLOWEST_BYTES_PER_SEC)
            place = f"{unfinished},{0o100000 | mode}".encode()
            connection.send(b"SEND" + struct.pack("<I", len(place)) + place)
            for start in range(0, len(content), PIECE):
                piece = content[start : start + PIECE]
                connection.send(b"DATA" + struct.pack("<I", len(piece)) + piece)
            connection.send(b"DONE" + struct.pack("<I", int(time.time())))
            status, size = struct.unpack("<4sI", connection.receive(8))
            if status != b"OKAY":
                said = connection.receive(min(size, 4096)).decode(errors="replace")
                raise DeviceUnreachable(f"{self} does not take {path}: {plain_line(said, 200)}")
        answer = self.shell(f"chmod {mode:o} {unfinished} && mv -f {unfinished} {path}")
        if answer.status:
            raise DeviceUnreachable(f"{self} does not take {path}: {plain_line(answer.errors, 200)}")

    def forward(self, phone_port: int) -> int:
        """Forward a free port of this machine to one of the phone; the port. It ends with the phone's connection."""
        self._note("forward", "tcp:0", f"tcp:{phone_port}")
        with self.server.talking(str(self)), self.server.connect() as connection:
            connection.request(f"host-serial:{self.serial}:forward:tcp:0;tcp:{phone_port}")  # granted, and then done
            connection.expect_okay()
            return number_of(connection.receive_text())

    def reverse(self, phone_port: int, port: int) -> None:
        """Let the phone reach a port of this machine as one of its own."""
        self._note("reverse", f"tcp:{phone_port}", f"tcp:{port}")
        with self._service(f"reverse:forward:tcp:{phone_port};tcp:{port}") as connection:
            connection.expect_okay()

    def forwards(self) -> list[ForwardedPort]:
        """What is forwarded to the phone."""
        self._note("forward", "--list")
        with self.server.talking(str(self)), self.server.connect() as connection:
            connection.request(f"host-serial:{self.serial}:list-forward")
            return _forwarded(connection.receive_text(), self.serial)

    def reverses(self) -> list[ForwardedPort]:
        """What the phone reaches of this machine."""
        self._note("reverse", "--list")
        with self._service("reverse:list-forward") as connection:
            return _forwarded(connection.receive_text())

    def remove_forward(self, port: int) -> None:
        """End what `forward` began; nothing where it has ended already."""
        self._note("forward", "--remove", f"tcp:{port}")
        with self.server.talking(str(self)), self.server.connect() as connection, contextlib.suppress(ServerRefusal):
            connection.request(f"host-serial:{self.serial}:killforward:tcp:{port}")
            connection.expect_okay()

    def remove_reverse(self, phone_port: int) -> None:
        """End what `reverse` began; nothing where it has ended already."""
        self._note("reverse", "--remove", f"tcp:{phone_port}")
        with self._service(f"reverse:killforward:tcp:{phone_port}") as connection, contextlib.suppress(ServerRefusal):
            connection.expect_okay()

    def _note(self, *words: str) -> None:
        """Say what is about to be done, as adb's own command."""
        log.info("%s", adb_command(self.serial, *words))

    @contextlib.contextmanager
    def _service(self, service: str) -> Iterator[ServerConnection]:
        """A service of the phone itself, granted."""
        with self.server.talking(str(self)), self.server.connect() as connection:
            connection.request(f"host:transport:{self.serial}")
            connection.request(service)
            yield connection


class PrintedPhone(AdbPhone):
    """A phone that nothing is done to: each step is printed as adb's command for it."""

    acts = False

    def shell(self, command: str, more_secs: float = 0.0) -> ShellAnswer:  # noqa: ARG002  as a phone's
        self._note("shell", shlex.quote(command))
        return ShellAnswer(0, "", "")

    def push(self, content: bytes, path: str, mode: int = 0o644, source: str = "FILE") -> None:  # noqa: ARG002
        self._note("push", shlex.quote(source), shlex.quote(path))
        self._note("shell", shlex.quote(f"chmod {mode:o} {path}"))

    def forward(self, phone_port: int) -> int:
        self._note("forward", "tcp:0", f"tcp:{phone_port}")
        return 0

    def reverse(self, phone_port: int, port: int) -> None:
        self._note("reverse", f"tcp:{phone_port}", f"tcp:{port}")

    def forwards(self) -> list[ForwardedPort]:
        self._note("forward", "--list")
        return []

    def reverses(self) -> list[ForwardedPort]:
        self._note("reverse", "--list")
        return []

    def remove_forward(self, port: int) -> None:
        self._note("forward", "--remove", f"tcp:{port}")

    def remove_reverse(self, phone_port: int) -> None:
        self._note("reverse", "--remove", f"tcp:{phone_port}")

    def _note(self, *words: str) -> None:
        print(adb_command(self.serial, *words))


def adb_command(serial: str, *words: str) -> str:
    """A command of adb for a phone, as it is typed."""
    return " ".join(["adb", "-s", shlex.quote(serial), *words])


def _forwarded(text: str, serial: str = "") -> list[ForwardedPort]:
    """The TCP ports of a list: "SERIAL tcp:5001 tcp:9191" a line; of one phone where its serial is given."""
    ports = []
    for line in text.splitlines():
        words = line.split()
        if len(words) != 3 or (serial and words[0] != serial):
            continue
        listening, reached = (word.removeprefix("tcp:") for word in words[1:])
        if listening.isdigit() and reached.isdigit():
            ports.append(ForwardedPort(int(listening), int(reached)))
    return ports
