"""Packages of a few hundred bytes, written here field by field: what the runtime's reader is tried on.

The writer knows the format from its description alone and shares no code with the one that makes real packages.
"""

from __future__ import annotations

import copy
import struct
import zlib
from dataclasses import dataclass, field

MAGIC = b"\x89FPK\r\n\x1a\n"
KINDS = (
    "strings", "manifest", "settings", "sources", "kernels", "constants", "weights", "entries", "outputs", "buffers",
    "steps", "launches", "arguments", "checks",
)  # fmt: skip

#: fields of each record in order, by the type that struct knows them by
LAYOUTS = {
    "settings": "I name, I text, I is_text, I reserved, d number",
    "kernels": "I name, I preamble, I preamble_bytes, I body, I body_bytes, I arguments",
    "constants": "Q offset, Q bytes, I dtype, I image_width, I image_height, I name",
    "entries": "I channels, I height, I width, I input, I first_output, I output_count, I first_buffer, "
    "I buffer_count, I first_step, I step_count, Q arena_bytes",
    "outputs": "I name, I buffer, I channels, I height, I width, I reserved",
    "buffers": "Q offset, Q bytes",
    "steps": "I name, I kind, I first_launch, I launch_count, I first_spare, I spare_count, I first_check, "
    "I check_count",
    "launches": "I kernel, I first_argument, I dimensions, I gx, I gy, I gz, I lx, I ly, I lz, I reserved",
    "arguments": "I kind, I index",
    "checks": "I buffer, I dtype, Q element, f value, f tolerance",
}
#: the same as pairs of a name and a type
RECORDS = {
    section: tuple((name, code) for code, name in (field.split() for field in layout.split(", ")))
    for section, layout in LAYOUTS.items()
}

Record = dict[str, float]


@dataclass
class TinyPackage:
    """What a package is made of: records by their section's name, texts and weights."""

    records: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in RECORDS})
    strings: bytes = b"\0"
    manifest: bytes = b"{}\0"
    sources: bytes = b""
    weights: bytes = b""

    def add(self, section: str, **fields: float) -> int:
        """Append a record, whose other fields are 0; answers its number."""
        self.records[section].append({name: fields.get(name, 0) for name, _ in RECORDS[section]})
        assert fields.keys() <= self.records[section][-1].keys()
        return len(self.records[section]) - 1

    def string(self, text: str) -> int:
        """The offset of a string, which is added."""
        offset = len(self.strings)
        self.strings += text.encode() + b"\0"
        return offset

    def kernel(self, name: str, body: str, arguments: int, preamble: str = "") -> int:
        start = len(self.sources)
        self.sources += preamble.encode() + body.encode()
        return self.add(
            "kernels", name=self.string(name), preamble=start, preamble_bytes=len(preamble.encode()),
            body=start + len(preamble.encode()), body_bytes=len(body.encode()), arguments=arguments,
        )  # fmt: skip

    def constant(self, data: bytes, dtype: int = 0, image: tuple[int, int] = (0, 0)) -> int:
        self.weights += bytes(-len(self.weights) % 64)
        offset = len(self.weights)
        self.weights += data
        name = self.string(f"constant{len(self.records['constants'])}")
        width, height = image
        return self.add(
            "constants", offset=offset, bytes=len(data), dtype=dtype, image_width=width, image_height=height, name=name
        )

    def launch(self, kernel: int, arguments: list[tuple[int, int]], size: int, local: int = 1) -> int:
        """A launch along one axis; its arguments are (kind, index)."""
        first = len(self.records["arguments"])
        for kind, index in arguments:
            self.add("arguments", kind=kind, index=index)
        return self.add(
            "launches", kernel=kernel, first_argument=first, dimensions=1, gx=size, gy=1, gz=1, lx=local, ly=1, lz=1
        )

    def copy(self) -> TinyPackage:
        return copy.deepcopy(self)

    def section(self, kind: str) -> bytes:
        if kind in RECORDS:
            layout = "<" + "".join(code for _, code in RECORDS[kind])
            return b"".join(struct.pack(layout, *record.values()) for record in self.records[kind])
        return {name: getattr(self, name) for name in ("strings", "manifest", "sources", "weights")}[kind]

    def to_bytes(self) -> bytes:
        return join_sections([(number, self.section(kind)) for number, kind in enumerate(KINDS, 1)])


def join_sections(sections: list[tuple[int, bytes]]) -> bytes:
    """A whole file of sections, which are (kind, bytes)."""
    table, body = b"", b""
    start = 32 + 32 * len(sections)
    for kind, data in sections:
        alignment = 16384 if kind == KINDS.index("weights") + 1 else 64
        body += bytes(-(start + len(body)) % alignment)
        table += struct.pack("<IIQQQ", kind, zlib.crc32(data), start + len(body), len(data), 0)
        body += data
    return header(len(sections), start + len(body), zlib.crc32(table)) + table + body


def header(section_count: int, size: int, table_crc: int, version: int = 1) -> bytes:
    return MAGIC + struct.pack("<IIQII", version, section_count, size, table_crc, 0)


BUFFER, CONSTANT = 0, 1


def doubling_package(height: int = 4, width: int = 8) -> TinyPackage:
    """A network of two layers: output = 2 x input + bias, by way of a tensor "doubled"; the checks are right.

    Each layer has a spare launch that computes the same by another kernel.
    """
    package = TinyPackage()
    size = height * width
    package.manifest = b'{"network": "doubling"}\0'
    preamble = "#define INDEX get_global_id(0)\n"
    double = package.kernel(
        "twice", "__kernel void twice(__global const float* x, __global float* y) { y[INDEX] = 2.0f * x[INDEX]; }\n", 2,
        preamble,
    )  # fmt: skip
    double_spare = package.kernel(
        "sum", "__kernel void sum(__global const float* x, __global float* y) { y[INDEX] = x[INDEX] + x[INDEX]; }\n", 2,
        preamble,
    )  # fmt: skip
    bias = "(__global const float* x, __global const float* b, __global float* y)"
    add = package.kernel("add", f"__kernel void add{bias} {{ y[INDEX] = x[INDEX] + b[INDEX]; }}\n", 3, preamble)
    add_spare = package.kernel("bias", f"__kernel void bias{bias} {{ y[INDEX] = b[INDEX] + x[INDEX]; }}\n", 3, preamble)
    biases = package.constant(struct.pack(f"<{size}f", *range(size)))
    package.add("settings", name=package.string("decoder"), text=package.string("none"), is_text=1)
    package.add("settings", name=package.string("preprocessing.scale"), number=0.25)

    for number in range(3):
        package.add("buffers", offset=4096 * number, bytes=4 * size)
    package.add(
        "entries", channels=1, height=height, width=width, input=0, first_output=0, output_count=1, first_buffer=0,
        buffer_count=3, first_step=0, step_count=2, arena_bytes=3 * 4096,
    )  # fmt: skip
    package.add("outputs", name=package.string("map"), buffer=2, channels=1, height=height, width=width)
    first = package.launch(double, [(BUFFER, 0), (BUFFER, 1)], size, local=4)
    first_spare = package.launch(double_spare, [(BUFFER, 0), (BUFFER, 1)], size)
    second = package.launch(add, [(BUFFER, 1), (CONSTANT, biases), (BUFFER, 2)], size, local=4)
    second_spare = package.launch(add_spare, [(BUFFER, 1), (CONSTANT, biases), (BUFFER, 2)], size)
    values = checking_input(size)
    for element in (0, 7, size - 1):
        package.add("checks", buffer=1, element=element, value=2 * values[element], tolerance=1e-6)
    for element in (1, size - 1):
        package.add("checks", buffer=2, element=element, value=2 * values[element] + element, tolerance=1e-5)
    package.add(
        "steps", name=package.string("doubled"), kind=package.string("direct"), first_launch=first, launch_count=1,
        first_spare=first_spare, spare_count=1, first_check=0, check_count=3,
    )  # fmt: skip
    package.add(
        "steps", name=package.string("biased"), kind=package.string("direct"), first_launch=second, launch_count=1,
        first_spare=second_spare, spare_count=1, first_check=3, check_count=2,
    )  # fmt: skip
    return package


def checking_input(size: int) -> list[float]:
    """The input that a package's checks are computed from, element by element."""
    values = []
    for index in range(size):
        mixed = (index * 2654435761) & 0xFFFFFFFF
        mixed ^= mixed >> 16
        mixed = (mixed * 2246822519) & 0xFFFFFFFF
        mixed ^= mixed >> 13
        values.append((mixed & 0xFFFF) / 65536 - 0.5)
    return values
