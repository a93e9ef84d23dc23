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

#: the number of a section that may be missing
FUNCTIONS = 15

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
    "functions": "I name, I parameter_count, I first_buffer, I buffer_count, I first_launch, I launch_count, "
    "Q arena_bytes",
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
        functions = [(FUNCTIONS, self.section("functions"))] if self.records["functions"] else []
        return join_sections([*((number, self.section(kind)) for number, kind in enumerate(KINDS, 1)), *functions])


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
PREAMBLE = "#define INDEX get_global_id(0)\n"
UNARY = "(__global const float* x, __global float* y)"
BINARY = "(__global const float* x, __global const float* b, __global float* y)"
#: kernels of `doubling_package` by name: what each does at its element
BODIES = {
    "twice": f"{UNARY} {{ y[INDEX] = 2.0f * x[INDEX]; }}",
    "sum": f"{UNARY} {{ y[INDEX] = x[INDEX] + x[INDEX]; }}",
    "add": f"{BINARY} {{ y[INDEX] = x[INDEX] + b[INDEX]; }}",
    "bias": f"{BINARY} {{ y[INDEX] = b[INDEX] + x[INDEX]; }}",
}


def doubling_package(
    sizes: tuple[tuple[int, int], ...] = ((4, 8),), bodies: dict[str, str] | None = None
) -> TinyPackage:
    """A network of two layers: output = 2 x input + bias, by way of a tensor "doubled"; the checks are right.

    Each layer has a spare launch that computes the same by another kernel: "twice" and "sum", "add" and "bias", whose
    bodies `bodies` may change.
    """
    package = TinyPackage()
    package.manifest = b'{"network": "doubling"}\0'
    for name, body in {**BODIES, **(bodies or {})}.items():
        package.kernel(name, f"__kernel void {name}{body}\n", 2 if name in ("twice", "sum") else 3, PREAMBLE)
    package.add("settings", name=package.string("decoder"), text=package.string("none"), is_text=1)
    package.add("settings", name=package.string("preprocessing.scale"), number=0.25)
    for height, width in sizes:
        _add_doubling_entry(package, height, width)
    return package


def _add_doubling_entry(package: TinyPackage, height: int, width: int) -> None:
    size = height * width
    biases = package.constant(struct.pack(f"<{size}f", *range(size)))
    counts = {section: len(records) for section, records in package.records.items()}
    for number in range(3):
        package.add("buffers", offset=4096 * number, bytes=4 * size)
    package.add(
        "entries", channels=1, height=height, width=width, input=0, first_output=counts["outputs"], output_count=1,
        first_buffer=counts["buffers"], buffer_count=3, first_step=counts["steps"], step_count=2,
        arena_bytes=3 * 4096,
    )  # fmt: skip
    package.add("outputs", name=package.string("map"), buffer=2, channels=1, height=height, width=width)
    values = checking_input(size)
    doubled = {element: 2 * values[element] for element in (0, 7, size - 1)}
    biased = {element: 2 * values[element] + element for element in (1, size - 1)}
    through = [(BUFFER, 1), (CONSTANT, biases), (BUFFER, 2)]
    for name, kernels, arguments, buffer, checks in (
        ("doubled", (0, 1), [(BUFFER, 0), (BUFFER, 1)], 1, doubled),
        ("biased", (2, 3), through, 2, biased),
    ):
        launch = package.launch(kernels[0], arguments, size, local=4)
        spare = package.launch(kernels[1], arguments, size)
        first_check = len(package.records["checks"])
        for element, value in checks.items():
            package.add("checks", buffer=buffer, element=element, value=value, tolerance=1e-5)
        package.add(
            "steps", name=package.string(name), kind=package.string("direct"), first_launch=launch, launch_count=1,
            first_spare=spare, spare_count=1, first_check=first_check, check_count=len(checks),
        )  # fmt: skip


def function_package() -> TinyPackage:
    """A function "four_times" of two buffers of 8 numbers: it doubles one into memory of its own, and that into the
    other."""
    package = TinyPackage()
    package.kernel("twice", f"__kernel void twice{BODIES['twice']}\n", 2, PREAMBLE)
    for _ in range(3):
        package.add("buffers", bytes=32)
    first = package.launch(0, [(BUFFER, 0), (BUFFER, 2)], 8, local=4)
    package.launch(0, [(BUFFER, 2), (BUFFER, 1)], 8)
    package.add(
        "functions", name=package.string("four_times"), parameter_count=2, first_buffer=0, buffer_count=3,
        first_launch=first, launch_count=2, arena_bytes=4096,
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
