"""The peaks of a GPU that no profile is of, by three small kernels: multiply-adds in float32 and in half, and a copy.

The kernels keep nothing in memory but their results, or do nothing but move memory; what else they do, compilers cannot
leave out. A peak that was reached is a lower bound of what the GPU can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devices.session import Session
from devices.timing.measure import measure
from fleetpose.disk.temporaries import WorkFolder
from runtime import package_format
from runtime.package_format import RECORDS, Strings, write_package

NAME = "probe"
LANES = 64
#: work-items, turns of the loop, chains of one item that wait for nothing but themselves, elements of a vector
ITEMS, TURNS, CHAINS, WIDTH = 1 << 14, 512, 8, 4
#: bytes of the buffer that is copied: beyond the caches of phones
COPIED_BYTES = 32 << 20
REPEATS, WARMUP, TIMEOUT_SECS = 15, 3, 60.0
_ARITHMETIC = """
{extension}
__kernel void probe(__global {type}4* restrict out) {{
  const {type}4 factor = ({type}4)(({type})0.5f + ({type})get_local_id(0) * ({type})0.001f);
  {type}4 {declared};
  for (int turn = 0; turn < {turns}; ++turn) {{
    {steps}
  }}
  out[get_global_id(0)] = {total};
}}
"""
_COPY = """
__kernel void probe(__global const float4* restrict source, __global float4* restrict out) {
  out[get_global_id(0)] = source[get_global_id(0)];
}
"""


@dataclass(frozen=True)
class ReachedPeaks:
    """What was reached; None of what could not be measured.

    Attributes:
        gflops: multiply-adds in float32, 1e9 FLOP/s (2 per multiply-add).
        half_rate: multiply-adds in half precision over those in float32.
        gbytes_per_sec: read and written by a copy, 1e9 bytes/s.
    """

    gflops: float | None = None
    half_rate: float | None = None
    gbytes_per_sec: float | None = None


def measure_peaks(session: Session, half: bool) -> ReachedPeaks:
    """Run the kernels on a device that loads packages.

    Args:
        half: whether it has half precision.

    Raises:
        DeviceUnreachable: it goes away.
    """
    flops = 2.0 * ITEMS * TURNS * CHAINS * WIDTH
    single = _best_secs(session, arithmetic_source("float"), [ITEMS * WIDTH * 4], ITEMS)
    halved = _best_secs(session, arithmetic_source("half"), [ITEMS * WIDTH * 2], ITEMS) if half else None
    copied = _best_secs(session, _COPY, [COPIED_BYTES, COPIED_BYTES], COPIED_BYTES // (WIDTH * 4))
    return ReachedPeaks(
        gflops=flops / single / 1e9 if single else None,
        half_rate=single / halved if single and halved else None,
        gbytes_per_sec=2 * COPIED_BYTES / copied / 1e9 if copied else None,
    )


def arithmetic_source(element: str) -> str:
    """The kernel of multiply-adds in "float" or "half", as OpenCL C."""
    chains = [f"c{number}" for number in range(CHAINS)]
    return _ARITHMETIC.format(
        extension="#pragma OPENCL EXTENSION cl_khr_fp16 : enable" if element == "half" else "",
        type=element,
        declared=", ".join(f"{chain} = factor + ({element}){number}" for number, chain in enumerate(chains)),
        turns=TURNS,
        steps="\n    ".join(f"{chain} = mad({chain}, factor, factor);" for chain in chains),
        total=" + ".join(chains),
    )


def probe_package(source: str, buffer_bytes: Sequence[int], items: int) -> bytes:
    """A package whose function NAME launches the kernel of that name on buffers that the caller brings.

    Args:
        source: OpenCL C.
        buffer_bytes: the size of each buffer, in the order of the kernel's arguments.
        items: work-items, a multiple of LANES.
    """
    strings, text, count = Strings(), source.encode(), len(buffer_bytes)
    name = strings.add(NAME)
    rows: dict[int, list[tuple[Any, ...]]] = {
        package_format.KERNELS: [(name, 0, 0, 0, len(text), count)],
        package_format.BUFFERS: [(0, size) for size in buffer_bytes],
        package_format.LAUNCHES: [(0, 0, 1, items, 1, 1, LANES, 1, 1, 0)],
        package_format.ARGUMENTS: [(package_format.BUFFER_ARGUMENT, number) for number in range(count)],
        package_format.FUNCTIONS: [(name, count, 0, count, 0, 1, 0)],
    }
    tables = {kind: package_format.records(record, rows.get(kind, [])) for kind, record in RECORDS.items()}
    texts = {package_format.STRINGS: bytes(strings.content), package_format.MANIFEST: b"{}\0"}
    return write_package({**tables, **texts, package_format.SOURCES: text, package_format.WEIGHTS: b""})


def _best_secs(session: Session, source: str, buffer_bytes: Sequence[int], items: int) -> float | None:
    """The shortest time of a kernel, in seconds; None where it does not run."""
    import tvm

    with WorkFolder() as folder:
        path = folder / "probe.fpk"
        path.write_bytes(probe_package(source, buffer_bytes, items))
        module = session.load(path)
    buffers = [tvm.runtime.empty((size // 4,), "float32", session.device) for size in buffer_bytes]
    with session.guard("running a small kernel"):
        module[NAME](*reversed(buffers))  # memory that nobody has written may be no memory yet
    measurement = measure(session, module, buffers, entry=NAME, warmup=WARMUP, repeats=REPEATS,
                          timeout_secs=TIMEOUT_SECS)  # fmt: skip
    return min(measurement.event_secs or measurement.wall_secs, default=None)
