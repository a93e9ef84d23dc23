"""What a foreign runtime does with a layer, as far as it can be known before running it: class of kernel and tile.

LiteRT's (TensorFlow Lite's) GPU delegate chooses by published rules, from shapes and the kind of GPU alone; they are
restated here (tensorflow/lite/delegates/gpu/common: `GuessBestParams` and `GetRecommendedBlockSizeForConv` of its
generic convolution in half precision, `IsConvConstantsSupported`, `IsDepthwiseConv3x3Supported`, its Winograd rule, and
the work-groups of work_group_picking.cc without tuning). Of another runtime nothing is known, so its layers are classed
by their shape. No measurement is looked at: the name of a kernel that ran would be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, prod

from models.graph.layer import Layer

#: names in the `framework` column that mean LiteRT's GPU delegate
LITERT = ("tflite", "litert")

#: what all classes that multiply nothing are like: they move and combine what they read. No kernel is of this class
MOVING = "moving"

#: class -> the class that it is taken to be like where it has few rows of its own; those not named are like none
PARENTS = {
    **dict.fromkeys(("rearrange", "elementwise", "concat", "resize", "taps", "pool", "regions", "reduce"), MOVING),
    "global_pool": "reduce",
    "pointwise": "direct",
    "strided": "direct",
    "grouped": "direct",
    "winograd2": "winograd4",
    "winograd4": "direct",
    "winograd_sparse2": "winograd_sparse4",
    "winograd_sparse4": "winograd4",
    "phases": "direct",
    "image": "direct",
    "constants": "direct",
    "depthwise3x3": "depthwise",
}

#: weights in constant memory: at most this many bytes, and this many slices of 4 filters
CONSTANT_BYTES, CONSTANT_SLICES = 3584, 8
#: work-items of a work-group at most: what Mali's compiler allows LiteRT's kernels, and the plans' own limit
MOST_ITEMS, MOST_ITEMS_CONV = 384, 256
HALF_BYTES = 2


@dataclass(frozen=True)
class Gpu:
    """What the name of a GPU says: kind "mali", "adreno", "powervr", "apple" or "", and its cores.

    Cores are those the name gives ("Mali-G76 MP12"), else 1, which only shifts thresholds.
    """

    kind: str
    cores: int

    @classmethod
    def of(cls, name: str) -> Gpu:
        lowered = name.lower()
        kind = next((kind for kind in ("mali", "adreno", "powervr", "apple") if kind in lowered), "")
        cores = re.search(r"\bmp?(\d+)\b", lowered.replace("-", " "))
        return cls(kind, int(cores[1]) if cores else 1)


def kernel_class(layer: Layer, framework: str, gpu: str) -> str:
    """The class of kernel that computes a layer: a convolution's by its shape, any other op's is the op."""
    if not layer.convolves:
        return "transposed" if layer.transposed else layer.op
    litert = framework in LITERT
    if layer.groups > 1:
        if layer.groups != layer.in_shapes[0][0]:
            return "grouped"
        return "depthwise3x3" if litert and _plain(layer) else "depthwise"
    if _is_vector(layer):
        return "vector"
    if litert and Gpu.of(gpu).kind == "adreno" and fits_constants(layer):
        return "constants"
    if litert and takes_winograd(layer, Gpu.of(gpu)):
        return "winograd4"
    return "strided" if layer.stride != (1, 1) else "pointwise" if layer.kernel == (1, 1) else "direct"


def _is_vector(layer: Layer) -> bool:
    """A product of a matrix and a vector."""
    return layer.kernel == (1, 1) and prod(layer.out_shape[1:]) == 1 and layer.groups == 1


def fits_constants(layer: Layer) -> bool:
    """LiteRT's rule for kernels on Adreno that keep weights in constant memory and all filters of a pixel together."""
    filters, channels = layer.weight_shape[:2]
    aligned = filters * 4 * ceil(channels / 4) if filters < channels else channels * 4 * ceil(filters / 4)
    size = aligned * prod(layer.kernel) * HALF_BYTES
    return layer.groups == 1 and size <= CONSTANT_BYTES and ceil(filters / 4) <= CONSTANT_SLICES


def _plain(layer: Layer) -> bool:
    """3x3, stride 1, dilation 1 and padded by 1: a padding that is an operator of its own does not count."""
    return layer.kernel == (3, 3) and layer.stride == layer.dilation == layer.padding == (1, 1)


def takes_winograd(layer: Layer, gpu: Gpu) -> bool:
    """LiteRT's rule: F(4x4, 3x3) where there are enough 4-channel slices on both sides and enough tiles."""
    if not layer.winograd_legal:
        return False
    slices = min(ceil(layer.in_shapes[0][0] / 4), ceil(layer.out_shape[0] / 4))
    tiles = ceil(layer.out_shape[1] / 4) * ceil(layer.out_shape[2] / 4)
    adreno = gpu.kind == "adreno"
    return slices >= (32 if adreno else 16) and tiles >= (128 if adreno else 32)


def tile(layer: Layer, framework: str, gpu_name: str) -> tuple[int, int, int]:
    """Output of one work-item: (columns, rows, slices of 4 channels); (1, 1, 1) where nothing is known."""
    if framework not in LITERT or layer.op != "conv":
        return (1, 1, 1)
    if layer.groups > 1 and layer.groups == layer.in_shapes[0][0]:
        return (2, 2, 1) if _plain(layer) else (1, 1, 1)
    if _is_vector(layer):
        return (1, 1, 1)
    slices = ceil(layer.out_shape[0] / 4)
    across, down, deep = _conv_tile(layer, Gpu.of(gpu_name), slices)
    of_group = slices // layer.groups
    if layer.groups == 1:
        return (across, down, deep)
    return (across, down, deep if of_group % deep == 0 else 2 if deep == 4 and of_group % 2 == 0 else 1)


def _conv_tile(layer: Layer, gpu: Gpu, slices: int) -> tuple[int, int, int]:
    """By the kind of GPU; `slices` are those of 4 output channels."""
    work = prod(layer.out_shape[1:]) * slices / gpu.cores
    if gpu.kind == "mali":
        return _mali_tile(layer, slices, work)
    if gpu.kind == "adreno":
        return (1, 1, slices) if fits_constants(layer) else _adreno_tile(work / 128)
    if gpu.kind == "powervr":
        return (2, 1, 4 if slices % 4 == 0 or slices >= 8 else 2 if slices % 2 == 0 or slices >= 4 else 1)
    return (2, 2, 2) if gpu.kind == "apple" else (1, 1, 4 if slices % 4 == 0 or slices >= 8 else 1)


def _adreno_tile(waves: float) -> tuple[int, int, int]:
    """By waves of 128 output vectors per core."""
    return (1, 1, 1) if waves <= 6 else (2, 1, 1) if waves <= 12 else (2, 1, 2) if waves <= 24 else (2, 2, 2)


def _mali_tile(layer: Layer, slices: int, work: float) -> tuple[int, int, int]:
    """The later Bifrosts' and Valhall's; `work` is output vectors of 4 channels per core."""
    size = next((size for size, most in ((1, 256), (2, 1536), (4, 4096)) if work <= most), 8)
    if layer.kernel != (1, 1) or layer.stride != (1, 1):
        size = min(size, 4)
    if size <= 2:
        return (size, 1, 1)
    if slices in (1, 3):
        return (2, 2, 1)
    return (2, 1, 2) if size == 4 else (2, 2, 2)


@dataclass(frozen=True)
class WorkGroups:
    """How work-items are grouped: `items` of each group, over `depth` blocks of filters, `count` groups."""

    items: int
    depth: int
    count: int


def work_groups(layer: Layer, framework: str, gpu_name: str, grid: tuple[int, int, int]) -> WorkGroups:
    """The work-groups of a `grid` of work-items (columns, rows, blocks); one item in each where nothing is known.

    LiteRT's `GetWorkGroupConv` and `GetWorkGroup` without tuning; the fixed groups of its kernels for PowerVR, which
    number pixels in one row; and those of its products of vectors, where four work-items share a sum.
    """
    gpu, (across, down, blocks) = Gpu.of(gpu_name), grid
    if framework not in LITERT or layer.op != "conv":
        return WorkGroups(1, 1, across * down * blocks)
    if _is_vector(layer):
        depth = {"adreno": 32, "mali": 16}.get(gpu.kind, 8)
        return WorkGroups(4 * depth, depth, ceil(blocks / depth))
    depthwise = layer.groups > 1 and layer.groups == layer.in_shapes[0][0]
    if gpu.kind == "powervr" and not depthwise:
        return WorkGroups(32, 1, ceil(across * down / 32) * blocks)
    x, y, z = _pixels_first(grid) if depthwise else _filters_first(grid, 64 if gpu.kind == "adreno" else 16)
    return WorkGroups(x * y * z, z, ceil(across / x) * ceil(down / y) * ceil(blocks / z))


def _pixels_first(grid: tuple[int, int, int]) -> tuple[int, int, int]:
    """`GetWorkGroup`: half a row, as many rows as fit."""
    across, down, blocks = grid
    z = _divider(blocks, 8)
    x = min(ceil(across / 2), MOST_ITEMS // z)
    return (x, min(MOST_ITEMS // z // x, down), z)


def _filters_first(grid: tuple[int, int, int], deepest: int) -> tuple[int, int, int]:
    """`GetWorkGroupConv`: the most blocks that divide theirs, then pixels; two groups at least where rows are even."""
    across, down, blocks = grid
    z = max(z for z in range(1, deepest + 1) if blocks % z == 0)
    x = min(across, MOST_ITEMS_CONV // z)
    y = min(MOST_ITEMS_CONV // z // x, down)
    return (x, down // 2 if y == down and down % 2 == 0 else y, z)


def _divider(number: int, most: int) -> int:
    """8, 4 or 2 if it divides `number`, else the largest up to `most` that does."""
    first = [divisor for divisor in (8, 4, 2) if number % divisor == 0 and divisor <= most]
    return first[0] if first else max(divisor for divisor in range(1, most + 1) if number % divisor == 0)


def depth_loop(layer: Layer, framework: str, gpu_name: str, tile_size: int) -> int:
    """Slices of 4 input channels that LiteRT's kernels take per step of their loop."""
    if framework not in LITERT or layer.op != "conv":
        return 1
    slices, kind = ceil(layer.in_shapes[0][0] / 4), Gpu.of(gpu_name).kind
    if kind == "mali":
        return 4 if slices % 4 == 0 and tile_size == 1 else 2 if slices % 2 == 0 and tile_size <= 2 else 1
    if kind == "powervr":
        return 2 if slices % 2 == 0 else 1
    return 1
