"""Public facts about phones' GPUs whose kernels others measured: what tells how fast one is before anything ran on it.

These are makers' and listings' figures, at the highest clock, and not measured; no kernel is shaped by them, which is
what profiles are for. Rates are compared with each other alone, so that all of them are peaks as listings have them.

[1] nanoreview.net, comparisons of chips: Snapdragon 865 (587 MHz, 512 ALUs, 1228 GFLOP/s, 44 GB/s), 855 (585 MHz, 384
    ALUs, 899 GFLOP/s, 34.1 GB/s), 8 Gen 1 (82 % over the 865, 51.2 GB/s), Kirin 970 (746 MHz, LPDDR4 at 1833 MHz, four
    channels of 16 bits), Helio P22 (650 MHz, 41 GFLOP/s, LPDDR4X at 1600 MHz, two channels of 16 bits).
[2] github.com/azhirnov/as-en, AE/docs/papers/bench/Adreno_660.md: 840 MHz, 1024 ALUs, LPDDR5-6400, 51.2 GB/s.
[3] Arm Mali GPU Datasheet (2021): FP32 operations per clock and core, 24 of a G72 and 48 of a G76.
[4] gsmasia.net on the Mali-T760 MP2: 48 GFLOP/s of two cores at 700 MHz, 34 per clock and core, as the
    T860's.
[5] Rockchip RK3399 datasheet: four cores, 800 MHz; memory of two channels of 32 bits, LPDDR3-1866.
[6] The profile mali-g76, which names its sources.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicGpu:
    """A GPU in the chip it is known from.

    Attributes:
        words: what its name holds, in lower case with spaces for dashes.
        gflops: peak rate of fp32, 1e9 FLOP/s; half precision is twice as fast on all of these.
        gbytes_per_sec: peak memory rate of the chip, 1e9 bytes/s.
    """

    words: str
    gflops: float
    gbytes_per_sec: float


GPUS = (
    PublicGpu("adreno 640", 899.0, 34.1),  # [1]
    PublicGpu("adreno 650", 1228.0, 44.0),  # [1]
    PublicGpu("adreno 660", 1720.0, 51.2),  # [2]: 2 x 1024 x 0.84 GHz
    PublicGpu("adreno 730", 2235.0, 51.2),  # [1]: 1.82 x 1228
    PublicGpu("mali t860 mp4", 109.0, 14.9),  # [4], [5]: 34 x 4 x 0.8 GHz; 8 bytes x 1.866e9/s
    PublicGpu("mali g72 mp12", 215.0, 29.3),  # [1], [3]: 24 x 12 x 0.746 GHz; 8 bytes x 3.666e9/s
    PublicGpu("mali g76 mp12", 404.0, 34.1),  # [6]
    PublicGpu("powervr ge8320", 41.0, 12.8),  # [1]; 4 bytes x 3.2e9/s
)


def find_gpu(name: str) -> PublicGpu | None:
    """The GPU of a name such as "Mali-G72 MP12" or "Adreno (TM) 660"; None where it is not in the list."""
    words = " ".join(name.lower().replace("(tm)", " ").replace("-", " ").split()) + " "
    return next((gpu for gpu in GPUS if f"{gpu.words} " in words), None)
