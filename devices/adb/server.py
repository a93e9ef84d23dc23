"""The adb server of this machine: which phones it has, and services of its own and of a phone.

Which one is asked is said as adb says it: ADB_SERVER_SOCKET=tcp:HOST:PORT, or ANDROID_ADB_SERVER_ADDRESS and
ANDROID_ADB_SERVER_PORT, else port 5037 of this machine, where adb is started if nothing listens.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devices.adb.wire import ServerConnection, ServerRefusal, number_of, plain_line
from fleetpose.errors import DeviceUnreachable, UsageError, one_line, reason

DEFAULT_PORT = 5037
#: how long starting the server may take
START_SECS = 30.0
INSTALL = "sudo apt-get install -y adb (without root: python -m pip install adbutils, which brings one)"
#: what adb says of a phone that it has and cannot use, and what mends it
_MENDS = {
    "unauthorized": "unlock it, and accept 'Allow USB debugging?' there; no question: unplug it and plug it in again",
    "authorizing": "unlock it, and accept 'Allow USB debugging?' there",
    "offline": "unplug it and plug it in again, or: adb reconnect offline",
    "no permissions": "add a udev rule (sudo apt-get install -y android-sdk-platform-tools-common), plug it in again",
    "recovery": "start its system: adb reboot",
    "sideload": "start its system: adb reboot",
    "bootloader": "start its system: fastboot reboot",
    "not found": "look at the cable and at USB debugging, then: python -m devices.android status",
}
_LISTED = re.compile(r"(?P<serial>\S+)\s+(?P<state>no permissions|\S+)(?P<rest>.*)")


@dataclass(frozen=True)
class AttachedPhone:
    """A phone as the server lists it.

    Attributes:
        serial: its name at adb.
        state: "device" where it is ready; "unauthorized", "offline", "no permissions", ...
        model: as its maker calls it, "" where adb does not know it yet.
    """

    serial: str
    state: str
    model: str = ""

    @property
    def ready(self) -> bool:
        """Whether commands can be run on it."""
        return self.state == "device"


@dataclass(frozen=True)
class AdbServer:
    """An adb server and how long any step of a conversation with it may take.

    Attributes:
        host, port: where it listens.
        wait_secs: seconds.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    wait_secs: float = 30.0

    @classmethod
    def from_environment(cls, wait_secs: float = 30.0) -> AdbServer:
        """The one that adb itself would ask. Raises UsageError for a variable that names none."""
        named = os.environ.get("ADB_SERVER_SOCKET", "")
        if named:
            scheme, _, place = named.partition(":")
            host, _, port = place.rpartition(":")
            if scheme != "tcp":
                raise UsageError(f"ADB_SERVER_SOCKET={named[:80]} is not tcp:HOST:PORT")
        else:
            host = os.environ.get("ANDROID_ADB_SERVER_ADDRESS", "")
            port = os.environ.get("ANDROID_ADB_SERVER_PORT", "") or str(DEFAULT_PORT)
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(f"{one_line(port)!r} is no port of an adb server (ANDROID_ADB_SERVER_PORT)")
        return cls(host or "127.0.0.1", int(port), wait_secs)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def ensure_running(self) -> None:
        """Start adb's server where nothing listens yet. Raises DeviceUnreachable where that cannot be."""
        with contextlib.suppress(OSError), ServerConnection((self.host, self.port), min(self.wait_secs, 5.0)):
            return
        program = find_adb()
        if program is None or self.host not in ("127.0.0.1", "localhost"):
            mend = "start it there: adb -a start-server" if program else f"install adb: {INSTALL}"
            raise DeviceUnreachable(f"no adb server listens on {self}; {mend}")
        command = [str(program), "-P", str(self.port), "start-server"]
        try:
            done = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", timeout=START_SECS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceUnreachable(f"{' '.join(command)} does not start adb's server: {reason(error, 1)}") from error
        if done.returncode:
            raise DeviceUnreachable(f"{' '.join(command)} failed: {one_line(done.stderr, 200)}")

    def phones(self) -> list[AttachedPhone]:
        """All phones that it has, ready or not. Raises DeviceUnreachable."""
        with self.talking("adb's server"), self.connect() as connection:
            connection.request("host:devices-l")
            lines = connection.receive_text().splitlines()
        return [_listed(match) for line in lines if (match := _LISTED.match(line))]

    def version(self) -> int:
        """Its protocol's version: 41 since 2019. Raises DeviceUnreachable."""
        with self.talking("adb's server"), self.connect() as connection:
            connection.request("host:version")
            return number_of(connection.receive_text(), 16)

    def connect(self) -> ServerConnection:
        """A connection to it. Raises OSError."""
        return ServerConnection((self.host, self.port), self.wait_secs)

    @contextlib.contextmanager
    def talking(self, whom: str) -> Iterator[None]:
        """Inside, what ends a conversation is DeviceUnreachable: a line that names whom it was with, and a mend."""
        try:
            yield
        except ServerRefusal as error:
            raise DeviceUnreachable(f"{whom}: {refusal_text(str(error))}") from error
        except TimeoutError as error:
            raise DeviceUnreachable(
                f"{whom} does not answer within {self.wait_secs:g} s; look at the cable, or give it more: --wait-secs"
            ) from error
        except ValueError as error:
            raise DeviceUnreachable(f"{whom}: {error}") from error
        except OSError as error:
            said = getattr(error, "strerror", None) or str(error)
            raise DeviceUnreachable(f"{whom} went away: {said}; look at the cable, and at: adb devices") from error


def refusal_text(message: str) -> str:
    """What adb says when it refuses, on a line, with what mends it where that is known."""
    line = plain_line(message, 200)
    mend = next((mend for word, mend in _MENDS.items() if word in message), "")
    return f"{line}; {mend}" if mend else line


def state_text(state: str) -> str:
    """A state that a phone cannot be used in, with what mends it."""
    return f"{state}: {_MENDS[state]}" if state in _MENDS else state


def find_adb() -> Path | None:
    """The adb program: on PATH, or the one that pip's adbutils brings; None where there is none."""
    if path := shutil.which("adb"):
        return Path(path)
    package = importlib.util.find_spec("adbutils")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "binaries" / "adb"
    return program if os.access(program, os.X_OK) else None


def _listed(line: re.Match[str]) -> AttachedPhone:
    model = re.search(r"\bmodel:(\S+)", line["rest"])
    return AttachedPhone(line["serial"], line["state"], model[1].replace("_", " ") if model else "")
