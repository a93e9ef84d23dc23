"""What is known about a device before anything runs on it: the facts code generation shapes kernels by.

A profile is data (`profiles/NAME.toml`, or a file of the user's own), read into a frozen value. It names no network and
imports no TVM: `codegen.lowering.target` turns it into a Target. What a device says of itself at run time is
`devices.info.DeviceInfo`, and it may disagree; `devices.doctor` shows both.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from fleetpose.codec import decode
from fleetpose.codec.text import check_values
from fleetpose.errors import UsageError, first_line, unknown_name
from fleetpose.files import read_bounded
from fleetpose.json_fields import Bound, Positive, PositiveInt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROFILE_DIR = Path(__file__).parent / "profiles"
#: more than any profile has
PROFILE_BYTES = 1 << 20
VECTOR_WIDTHS = (2, 4, 8, 16)
VectorWidth = Annotated[int, Bound("that is a width of OpenCL's vectors (2, 4, 8 or 16)", VECTOR_WIDTHS.__contains__)]
GpuKind = Literal["adreno", "cpu", "mali"]
#: kinds of devices that kernels are written for
GPUS: tuple[str, ...] = get_args(GpuKind)
#: bytes of an element, by the element types that networks are computed in
ITEM_BYTES = {"float32": 4, "float16": 2}


@dataclass(frozen=True)
class Profile:
    """Facts about one device, or one family of devices.

    Attributes:
        name: the file's stem.
        description: one line for people.
        gpu: "cpu" (OpenCL on a CPU), "mali" or "adreno".
        max_threads_per_block: largest work-group, in work-items (a TVM target attribute, as are the next two).
        max_shared_memory_per_block: OpenCL local memory of one work-group, in bytes.
        thread_warp_size: work-items that run in lockstep; 1 on a CPU.
        lanes: fp32 elements of the widest vector load worth making; `lanes_of` gives those of other types.
        accumulators: vectors of `lanes` fp32, or as many bytes, that stay in registers beside a kernel's operands.
        work_group: work-items per work-group that suit the device.
        fp16: half-precision storage and arithmetic work.
        fp16_rate: peak fp16 arithmetic relative to fp32; says nothing where `fp16` is false.
        image2d: reading through image2d is offered (and cached apart from buffers).
        image2d_max: largest width, and largest height, of an image2d in texels; by default what OpenCL 1.x guarantees.
        local_memory: local memory is real memory on the chip, worth staging data in.
        cheap_loads: a core of a CPU begins more vector loads than multiply-adds in a cycle, so that tiles may be one
            vector wide; where it begins as many of both, they have to make most of each load.
        exponential: what is faster: in fp32 the device's own function ("builtin") or a polynomial ("polynomial"); in
            half precision the function ("builtin") or the instruction that OpenCL's `native_exp` is ("native").
        compute_units: cores that run work-groups independently (OpenCL's compute units), None where members of a
            family differ.
        registers_per_thread: 32-bit registers of one work-item up to which at least half of the work-items that the
            device can hold at once are held; beyond it too few hide the latency of memory, or values spill.
        cache_bytes: the last cache that only the GPU uses (L2), None where not known.
        host: who loads what is built for the device: "native" (a machine like this one), "linux-arm64" or
            "android-arm64".
        opencl_device: PLATFORM[:DEVICE], each a part of its name or its index, where several are installed; None: the
            backend's own choice. Read as FLEETPOSE_OPENCL_DEVICE by the process that runs the kernels.
        peak_gflops_fp32: peak arithmetic rate in 1e9 FLOP/s (2 per multiply-add), None where not known.
        peak_gbytes_per_sec: peak memory rate in 1e9 bytes/s, None where not known.
        max_celsius: a device that is hotter, by its GPU's sensors, is waited for before anything is timed; None: only
            one that slows itself down is.

    Each figure's source is a comment in its TOML file; docs/phones.md says what kinds of source there are.
    """

    name: str
    description: str
    gpu: GpuKind
    max_threads_per_block: PositiveInt
    max_shared_memory_per_block: PositiveInt
    thread_warp_size: PositiveInt
    lanes: VectorWidth
    accumulators: PositiveInt
    work_group: PositiveInt
    fp16: bool
    image2d: bool
    local_memory: bool
    cheap_loads: bool = True
    exponential: Literal["builtin", "polynomial", "native"] = "builtin"
    fp16_rate: Positive = 1.0
    image2d_max: PositiveInt = 8192
    compute_units: PositiveInt | None = None
    registers_per_thread: PositiveInt | None = None
    cache_bytes: PositiveInt | None = None
    host: str = "native"
    opencl_device: str | None = None
    peak_gflops_fp32: Positive | None = None
    peak_gbytes_per_sec: Positive | None = None
    max_celsius: Positive | None = None

    @property
    def streams(self) -> bool:
        """Whether kernels read their operands by pointers that advance in the loop, and weights by whole vectors.

        Compilers of GPUs make five to ten instructions of a 64-bit address that is an index from the buffer's start;
        those of CPUs make none.
        """
        return self.gpu != "cpu"

    @property
    def widest_wave(self) -> int:
        """Work-items that run in lockstep at most: compilers of an Adreno double its waves where registers allow."""
        return self.thread_warp_size * (2 if self.gpu == "adreno" else 1)

    @property
    def vector_registers(self) -> int | None:
        """Vectors of `lanes` fp32, or as many bytes, that `registers_per_thread` hold; None where not known."""
        return None if self.registers_per_thread is None else self.registers_per_thread // self.lanes

    def lanes_of(self, dtype: str) -> int:
        """Elements of `dtype` in the widest vector load worth making: as many bytes as `lanes` of fp32, at most 16.

        Raises:
            UsageError: a type that kernels are not written in, or float16 where `fp16` is false.
        """
        if dtype not in ITEM_BYTES:
            raise unknown_name("dtype", dtype, ITEM_BYTES)
        if dtype == "float16" and not self.fp16:
            raise UsageError(
                f"{self.name} does not compute in float16 (its profile or its OpenCL has no fp16); use float32"
            )
        return min(self.lanes * ITEM_BYTES["float32"] // ITEM_BYTES[dtype], max(VECTOR_WIDTHS))


def profile_names() -> list[str]:
    """Names of the profiles that come with the package, sorted."""
    return sorted(path.stem for path in PROFILE_DIR.glob("*.toml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """Read a profile by name ("host"), or from a TOML file by path (anything with a slash or ending in .toml).

    Raises:
        UsageError: no such profile or file; not TOML; a key that is missing, unknown or of the wrong kind. The text
            names the file and the key.
    """
    text = str(name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml" and not any(mark in text for mark in "/\\"):
        if text not in profile_names():
            raise unknown_name("device profile", text, profile_names())
        path = PROFILE_DIR / f"{text}.toml"
    content = read_bounded(path, "device profile", PROFILE_BYTES)
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of the digits of a number, of lists in lists
        raise UsageError(f"device profile {path} is not TOML: {first_line(error)}") from error
    check_values(values, subject=f"device profile {path}")
    return decode(Profile, {"name": path.stem, **values}, str(path))
