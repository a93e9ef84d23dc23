"""An adb server on loopback with phones that are folders: the protocol of AOSP's OVERVIEW.TXT, SERVICES.TXT, SYNC.TXT.

It records every service that is asked for, and can pull a cable. adb's own client takes it for a server of version 41.
"""

from __future__ import annotations

import socket
import struct
import threading

from tests.fake_adb.phone import FakePhone, UnplugNow
from tests.fake_adb.ports import PortForward
from tests.fake_adb.services import receive_files, run_shell
from tests.fake_adb.wire import cut, pack_text, read_text

VERSION = 41
FEATURES = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir"
SHELL = "shell,v2"
UNAUTHORIZED = (
    "device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\nTry 'adb kill-server' if that seems wrong.\n"
    "Otherwise check for a confirmation dialog on your device."
)


class Refused(Exception):
    """What is answered by FAIL."""


class FakeAdbServer:
    """Runs until `close`, in threads.

    Attributes:
        address: host and port.
        asked: every service of a phone that was asked for: its serial and the text.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = self._listening.getsockname()[:2]
        self.asked: list[tuple[str, str]] = []
        self.phones: dict[str, FakePhone] = {}
        self.forwards: dict[str, dict[int, PortForward]] = {}
        self.reverses: dict[str, dict[int, PortForward]] = {}
        self._connections: dict[socket.socket, str] = {}  # with the serial of the phone that it is about
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What leads adb's clients here."""
        return {"ANDROID_ADB_SERVER_ADDRESS": self.address[0], "ANDROID_ADB_SERVER_PORT": str(self.address[1])}

    def plug(self, phone: FakePhone) -> None:
        """Connect a phone."""
        self.forwards[phone.serial], self.reverses[phone.serial] = {}, {}
        self.phones[phone.serial] = phone

    def unplug(self, serial: str) -> None:
        """Pull a phone's cable: its connections end, and with them its ports. What runs on it goes on."""
        self.phones.pop(serial, None)
        for ports in (self.forwards.pop(serial, {}), self.reverses.pop(serial, {})):
            for port in ports.values():
                port.close()
        for connection, owner in list(self._connections.items()):
            if owner == serial:
                cut(connection)

    def ports(self) -> list[tuple[str, int]]:
        """Every port that is forwarded, either way: the phone's serial and the port that listens."""
        tables = (*self.forwards.items(), *self.reverses.items())
        return [(serial, port) for serial, ports in tables for port in ports]

    def close(self) -> None:
        """End it and all that runs on its phones."""
        phones = list(self.phones.values())
        for phone in phones:
            self.unplug(phone.serial)
            phone.switch_off()
        cut(self._listening)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Answer requests until the connection ends; a `transport` binds it to a phone."""
        self._connections[connection] = ""
        phone: FakePhone | None = None
        try:
            while (service := read_text(connection)) is not None:
                try:
                    phone = self._answer(connection, service, phone)
                except Refused as refusal:
                    connection.sendall(b"FAIL" + pack_text(str(refusal)))
                    return
                if phone is None:
                    return
        except UnplugNow:
            self.unplug(self._connections[connection])
        except OSError:
            pass
        finally:
            self._connections.pop(connection, None)
            cut(connection)

    def _answer(self, connection: socket.socket, service: str, phone: FakePhone | None) -> FakePhone | None:
        """Answer one request; the phone that the connection is bound to where more may follow."""
        if phone is not None:
            self._notice(phone, service)
            if service.startswith("host:"):  # as adb itself asks since version 41
                self._serve_about(connection, service.removeprefix("host:"), phone)
            else:
                self._serve_phone(connection, service, phone)
            return None
        kind, _, rest = service.partition(":")
        if kind == "host-serial":
            serial, _, command = rest.partition(":")
            phone = self._phone(serial)
            self._connections[connection] = serial
            self._notice(phone, command)
            self._serve_about(connection, command, phone)
            return None
        if kind != "host":
            raise Refused(f"unknown host service '{service}'")
        if rest.startswith(("transport:", "tport:serial:")):
            phone = self._phone(rest.removeprefix("tport:serial:").removeprefix("transport:"))
            self._connections[connection] = phone.serial
            number = struct.pack("<Q", phone.number) if rest.startswith("tport") else b""
            connection.sendall(b"OKAY" + number)
            return phone
        connection.sendall(b"OKAY" + pack_text(self._say(rest)))
        return None

    def _say(self, service: str) -> str:
        if service == "version":
            return f"{VERSION:04x}"
        if service in ("features", "host-features"):
            return FEATURES
        if service in ("devices", "devices-l"):
            return "".join(_listed(phone, long=service == "devices-l") for phone in self.phones.values())
        if service == "list-forward":
            return "".join(_port_lines(serial, ports) for serial, ports in self.forwards.items())
        raise Refused(f"unknown host service '{service}'")

    def _phone(self, serial: str) -> FakePhone:
        phone = self.phones.get(serial)
        if phone is None:
            raise Refused(f"device '{serial}' not found")
        if phone.state == "unauthorized":
            raise Refused(UNAUTHORIZED)
        if phone.state != "device":
            raise Refused(f"device {phone.state}")
        return phone

    def _notice(self, phone: FakePhone, service: str) -> None:
        self.asked.append((phone.serial, service))
        phone.before(service)

    def _serve_about(self, connection: socket.socket, command: str, phone: FakePhone) -> None:
        """What the server itself does about a phone: forwarded ports, and what the phone can do."""
        ports = self.forwards[phone.serial]
        if command == "features":
            connection.sendall(b"OKAY" + pack_text(FEATURES))
        elif command == "get-state":
            connection.sendall(b"OKAY" + pack_text(phone.state))
        elif command == "list-forward":
            connection.sendall(b"OKAY" + pack_text(self._say(command)))  # of all phones, as the server has it
        else:
            answer = self._change_ports(command, ports, phone, ("127.0.0.1", phone.loopback))
            connection.sendall(b"OKAY" + answer)

    def _serve_phone(self, connection: socket.socket, service: str, phone: FakePhone) -> None:
        """A service of the phone's."""
        if service.startswith(SHELL):
            connection.sendall(b"OKAY")
            run_shell(connection, phone, service.partition(":")[2])
        elif service == "sync:":
            connection.sendall(b"OKAY")
            receive_files(connection, phone)
        elif service.startswith("reverse:"):
            connection.sendall(b"OKAY")
            command, ports = service.removeprefix("reverse:"), self.reverses[phone.serial]
            connection.sendall(self._change_ports(command, ports, phone, (phone.loopback, "127.0.0.1")))
        else:
            raise Refused("closed")

    def _change_ports(
        self, command: str, ports: dict[int, PortForward], phone: FakePhone, hosts: tuple[str, str]
    ) -> bytes:
        """Forward ports, or end or list that. Raises Refused."""
        if command == "list-forward":
            return pack_text(_port_lines("UsbFfs", ports))
        kind, _, rest = command.partition(":")
        if kind == "forward":
            listening, reached = (int(part.removeprefix("tcp:")) for part in rest.split(";"))
            if listening in ports:
                ports.pop(listening).close()
            try:
                forward = PortForward((hosts[0], listening), (hosts[1], reached))
            except OSError as error:
                raise Refused(f"cannot bind listener: {error.strerror}") from error
            ports[forward.port] = forward
            return b"OKAY" + (pack_text(str(forward.port)) if listening == 0 else b"")
        if kind == "killforward":
            port = int(rest.removeprefix("tcp:"))
            if port not in ports:
                raise Refused(f"listener 'tcp:{port}' not found")
            ports.pop(port).close()
            return b"OKAY"
        raise Refused(f"unknown command '{command}'")


def _port_lines(name: str, ports: dict[int, PortForward]) -> str:
    return "".join(f"{name} tcp:{port} tcp:{forward.reached[1]}\n" for port, forward in ports.items())


def _listed(phone: FakePhone, long: bool) -> str:
    if not long:
        return f"{phone.serial}\t{phone.state}\n"
    model = phone.properties["ro.product.model"].replace(" ", "_").replace("-", "_")
    more = f" product:fake model:{model} device:fake" if phone.state == "device" else ""
    return f"{phone.serial:22} {phone.state} usb:1-{phone.number}{more} transport_id:{phone.number}\n"
