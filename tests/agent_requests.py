"""Random requests of TVM's RPC that a server can read: real codes, real handles, values of all types, in any order."""

from __future__ import annotations

import random
import socket
import struct
import time

from devices.rpc import tracker
from devices.rpc.tracker import Address
from devices.rpc.wire import pack_name, receive
from tests.serving import WAIT_SECS

INIT_SERVER, CALL_FUNCTION, RETURN, EXCEPTION, COPY_FROM, COPY_TO, GET_GLOBAL, ALLOCATE = 2, 3, 4, 5, 6, 7, 9, 13
LAST_CODE = 21
REMOTE_TENSOR, BOOL = 70, 2
INT, FLOAT, POINTER, DTYPE, DEVICE, TENSOR, TEXT, BYTES, FUNCTION, MODULE = 1, 3, 4, 5, 6, 7, 8, 9, 68, 73
FUNCTIONS = (
    *(f"tvm.rpc.server.{name}" for name in ("upload", "download", "remove", "listdir", "workpath", "load_module",
                                            "ModuleGetFunction", "ImportModule", "download_linked_module")),
    *(f"fleetpose.opencl.{name}" for name in ("devices", "library", "cache_stats", "reset_cache_stats",
                                              "timer_samples", "profile_start", "profile_stop")),
    "runtime.RPCTimeEvaluator", "fleetpose.conditions",
)  # fmt: skip
TEXTS = ("", "x", "main", "run_32x32", "vm_load_executable", "set_input", "get_output", "invoke_stateful",
         "save_function", "timed", "global", "global.texture", "..", "/etc/passwd", "a" * 300)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 7, -1, 64, 4096, 1 << 40, -(1 << 62), (1 << 63) - 1)


class RandomClient:
    """A client that greets rightly and then asks for anything.

    Args:
        at: the tracker. key: of the device.
        files: names of packages that it sends and loads first, and their content.
    """

    def __init__(self, at: Address, key: str, seed: int, files: dict[str, bytes]) -> None:
        self.draw = random.Random(seed)
        server, match_key = tracker.request(at, key, WAIT_SECS)
        self.socket = socket.create_connection(server)
        self.socket.sendall(pack_name(f"client:{match_key}"))
        receive(self.socket, len(pack_name(f"server:{key}")), self._deadline())
        self.handles: dict[int, list[int]] = {FUNCTION: [16], MODULE: [1], TENSOR: [1 << 40]}
        self.errors = 0
        self.ask(INIT_SERVER, struct.pack("<Q", 5) + b"0.8.0" + struct.pack("<i", 0))
        self.files, self.names = files, [*TEXTS, *files]
        for name in files:
            self.load(name)

    @staticmethod
    def _deadline() -> float:
        return time.monotonic() + WAIT_SECS

    def ask(self, code: int, body: bytes) -> bytes:
        """An answer, behind its size."""
        self.socket.sendall(struct.pack("<Qi", 4 + len(body), code) + body)
        (size,) = struct.unpack("<Q", receive(self.socket, 8, self._deadline()))
        answer = receive(self.socket, size, self._deadline())
        self.errors += answer[:4] == struct.pack("<i", EXCEPTION)
        return answer

    def keep(self, kind: int, handle: int) -> int:
        self.handles[kind] = [*self.handles[kind][-30:], handle]
        return handle

    def function(self, name: str) -> int:
        """A handle of a global function."""
        answer = self.ask(GET_GLOBAL, struct.pack("<i", 1) + self.text(name))
        return self.keep(FUNCTION, struct.unpack_from("<Q", answer, 12)[0]) if len(answer) == 20 else 0

    def load(self, name: str) -> None:
        """Send a package, which may have been removed or replaced since, and load it."""
        self.call(self.function("tvm.rpc.server.upload"), self.text(name), self.text(self.files[name], BYTES))
        self.call(self.function("tvm.rpc.server.load_module"), self.text(name))

    def call(self, handle: int, *values: bytes) -> bytes:
        """The answer of a call; what it gives is used from now on."""
        answer = self.ask(CALL_FUNCTION, struct.pack("<Qi", handle, len(values)) + b"".join(values))
        if len(answer) >= 32 and answer[:4] == struct.pack("<i", RETURN):
            kind, handle = struct.unpack_from("<q", answer, 12)[0], struct.unpack_from("<Q", answer, len(answer) - 8)[0]
            if kind in (FUNCTION, MODULE):
                self.keep(kind, handle)
            elif kind == REMOTE_TENSOR:
                self.keep(TENSOR, handle)
        return answer

    def find(self) -> None:
        """A function of a module, by a name that it may have."""
        module = struct.pack("<iQ", MODULE, self.draw.choice(self.handles[MODULE][-4:]))
        name = self.text(self.draw.choice(self.names))
        self.call(self.function("tvm.rpc.server.ModuleGetFunction"), module, name, struct.pack("<iq", BOOL, 1))

    def allocate(self) -> None:
        size = self.draw.choice((4 * 3 * 32 * 32, 4000, 16, 0, 1 << 62))
        values = struct.pack("<iii", DEVICE, self.draw.choice((1, 4, 4)), 0) + struct.pack("<iq", INT, size)
        values += struct.pack("<iq", INT, 64) + struct.pack("<iBBHi", DTYPE, 2, 32, 1, 0)
        answer = self.ask(ALLOCATE, struct.pack("<i", 4) + values)
        if len(answer) == 20:
            self.keep(TENSOR, struct.unpack_from("<Q", answer, 12)[0])

    @staticmethod
    def text(content: str | bytes, kind: int = TEXT) -> bytes:
        raw = content.encode() if isinstance(content, str) else content
        return struct.pack("<iQ", kind, len(raw)) + raw

    def tensor(self) -> bytes:
        usual = self.draw.choice(((1, 3, 32, 32), (1000,), (4,)))
        odd = tuple(self.draw.choice((0, 1, 2, 4, -1, 1 << 33)) for _ in range(self.draw.randrange(5)))
        shape = self.draw.choice((usual, usual, odd))
        device = self.draw.choice((1, 4, 4, 4, 4, 2)), self.draw.choice((0, 0, 0, 0, 1))
        head = struct.pack("<Qiii", self.draw.choice(self.handles[TENSOR]), *device, len(shape))
        dtype = struct.pack("<BBH", self.draw.choice((0, 1, 2)), self.draw.choice((8, 16, 32, 32)), 1)
        offset = struct.pack("<Q", self.draw.choice((0, 0, 0, 8, 1 << 50)))
        return head + dtype + struct.pack(f"<{len(shape)}q", *shape) + offset

    def value(self) -> bytes:
        kind = self.draw.choice((0, FLOAT, POINTER, DTYPE, DEVICE, BYTES, *(INT, TENSOR, TEXT, FUNCTION, MODULE) * 3))
        if kind in (TEXT, BYTES):
            return self.text(self.draw.choice(self.names), kind)
        if kind == TENSOR:
            return struct.pack("<i", kind) + self.tensor()
        if kind == DEVICE:
            return struct.pack("<iii", kind, self.draw.choice((1, 4, 4, 9)), self.draw.choice((0, 0, 3)))
        if kind == 0:
            return struct.pack("<i", kind)
        handles = self.handles.get(kind, self.handles[TENSOR])
        return struct.pack("<iq", kind, self.draw.choice(NUMBERS if kind in (INT, FLOAT, DTYPE) else handles))

    def values(self) -> bytes:
        count = self.draw.choice((0, 1, 1, 2, 2, 2, 3, 4, 12))
        return struct.pack("<i", count) + b"".join(self.value() for _ in range(count))

    def step(self) -> None:
        """One request, or a few that belong together."""
        likely = (self.find, self.allocate, self.call_known, self.call_known, self.call_known, self.ask_anything)
        self.draw.choice(likely)()
        if self.draw.random() < 0.05:
            self.load(self.draw.choice([*self.files]))
        if self.draw.random() < 0.2:
            self.function(self.draw.choice(FUNCTIONS))

    def call_known(self) -> None:
        """A function on values as it takes them, by chance: the first names an entry or a file, tensors follow."""
        names = self.draw.choice(((), (self.draw.choice(self.names),), tuple(self.draw.choices(self.names, k=2))))
        flag = [struct.pack("<iq", INT, 0)] * self.draw.choice((0, 0, 1))
        tensors = [struct.pack("<i", TENSOR) + self.tensor() for _ in range(self.draw.choice((0, 1, 1, 2, 3)))]
        values = [*(self.text(name) for name in names), *flag, *tensors]
        self.call(self.draw.choice(self.handles[FUNCTION]), *values)

    def ask_anything(self) -> None:
        code = self.draw.randrange(INIT_SERVER, LAST_CODE + 1)
        if code == CALL_FUNCTION:
            body = struct.pack("<Q", self.draw.choice(self.handles[FUNCTION])) + self.values()
        elif code in (COPY_FROM, COPY_TO):
            size = self.draw.choice((0, 4, 16, 400, 1 << 40))
            body = self.tensor() + struct.pack("<Q", size) + bytes(min(size, 400))
        else:
            body = self.values()
        if self.draw.random() < 0.1:
            body = body[: self.draw.randrange(len(body) + 1)]
        self.ask(code, body)

    def close(self) -> None:
        self.socket.close()
