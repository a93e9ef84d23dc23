"""What a phone itself does for adb: commands of its shell, and files that are sent to it."""

from __future__ import annotations

import os
import selectors
import socket
import struct
from pathlib import Path

from tests.fake_adb.phone import FakePhone
from tests.fake_adb.wire import receive


def run_shell(connection: socket.socket, phone: FakePhone, command: str) -> None:
    """Run a command, and pass on what it writes until it, and whoever has its streams, has ended."""
    process = phone.start_shell(command)
    assert process.stdout is not None
    assert process.stderr is not None
    streams = selectors.DefaultSelector()
    for number, stream in ((1, process.stdout), (2, process.stderr)):
        streams.register(stream, selectors.EVENT_READ, number)
    try:
        while streams.get_map():
            for key, _ in streams.select():
                data = os.read(key.fd, 1 << 16)
                if not data:
                    streams.unregister(key.fileobj)
                    continue
                data = data.replace(str(phone.folder).encode(), b"")  # as the phone calls it
                connection.sendall(struct.pack("<BI", key.data, len(data)) + data)
        connection.sendall(struct.pack("<BIB", 3, 1, process.wait() & 0xFF))
    finally:
        process.stdout.close()
        process.stderr.close()
        if process.poll() is None:
            process.terminate()
        process.wait()


def receive_files(connection: socket.socket, phone: FakePhone) -> None:
    """SEND, DATA and DONE, and STAT, which adb's own client asks first; until QUIT or the connection's end."""
    while True:
        kind, size = struct.unpack("<4sI", receive(connection, 8))
        if kind == b"QUIT":
            return
        name = receive(connection, size).decode()
        if kind in (b"STAT", b"STA2", b"LST2"):
            connection.sendall(_status(kind, phone, name))
        elif kind == b"SEND":
            path, _, mode = name.rpartition(",")
            _receive_file(connection, phone, Path(phone.here(path)), int(mode))
        else:
            raise OSError(f"{kind!r} is not known")


def _receive_file(connection: socket.socket, phone: FakePhone, path: Path, mode: int) -> None:
    content = bytearray()
    while True:
        kind, size = struct.unpack("<4sI", receive(connection, 8))
        if kind == b"DONE":
            break
        content += receive(connection, size)
    try:
        phone.keep_file(path, bytes(content), mode)
    except OSError as error:
        said = f"couldn't create file: {error.strerror}".encode()
        connection.sendall(b"FAIL" + struct.pack("<I", len(said)) + said)
        return
    connection.sendall(b"OKAY" + struct.pack("<I", 0))


def _status(kind: bytes, phone: FakePhone, name: str) -> bytes:
    try:
        facts = Path(phone.here(name)).stat()
    except OSError:
        facts = None
    if kind == b"STAT":
        mode, size, time = (facts.st_mode, facts.st_size, int(facts.st_mtime)) if facts else (0, 0, 0)
        return b"STAT" + struct.pack("<III", mode, size, time)
    if facts is None:
        return kind + struct.pack("<IQQIIIIQqqq", 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return kind + struct.pack(
        "<IQQIIIIQqqq", 0, facts.st_dev, facts.st_ino, facts.st_mode, facts.st_nlink, facts.st_uid, facts.st_gid,
        facts.st_size, int(facts.st_atime), int(facts.st_mtime), int(facts.st_ctime),
    )  # fmt: skip
