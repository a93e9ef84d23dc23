"""Files as other tools write them, with rows of our own: AutoTVM, MetaSchedule, nn-Meter, LiteRT, ncnn."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

#: targets as TVM 0.7 to 0.11 print them
MALI = "opencl -keys=mali,opencl,gpu -device=mali -max_num_threads=256 -model=rk3399"
ADRENO = "opencl -keys=adreno,opencl,gpu -device=adreno -max_num_threads=256 -texture_spatial_limit=16384"

Shape = Sequence[int]


def tensor(shape: Shape, dtype: str) -> list[Any]:
    return ["TENSOR", list(shape), dtype]


def old_line(
    data: Shape, kernel: Shape, settings: list[Any], entity: list[Any], result: list[Any], **more: Any
) -> bytes:
    """A line of version 0.1, as `autotvm.record.encode` of TVM 0.4 to 0.6 wrote it (python/tvm/autotvm/record.py)."""
    task, template = more.get("task", "topi_nn_conv2d"), more.get("template", "direct")
    dtype = more.get("dtype", "float32")
    arguments = [tensor(data, dtype), tensor(kernel, dtype), *settings]
    workload = [task.removeprefix("topi_nn_"), [*data, dtype], [*kernel, dtype], *settings]
    config = {"i": 36225, "c": None, "e": entity, "t": template}
    line = {"i": [more.get("target", MALI), task, arguments, {}, workload, config], "r": result, "v": 0.1}
    return json.dumps(line).encode() + b"\n"


def new_line(
    data: Shape, kernel: Shape, settings: list[Any], entity: list[Any], result: list[Any], **more: Any
) -> bytes:
    """A line of version 0.2, as `autotvm.record.encode` of TVM 0.7 to 0.16 wrote it."""
    dtype = more.get("dtype", "float16")
    arguments = [tensor(data, dtype), tensor(kernel, dtype), *settings]
    line = {
        "input": [more.get("target", ADRENO), more.get("task", "conv2d_nchwc.image2d"), arguments, {}],
        "config": {"index": 4451, "code_hash": None, "entity": entity},
        "result": result,
        "version": 0.2,
        "tvm_version": "0.11.dev0",
    }
    return json.dumps(line).encode() + b"\n"


TEXTURE_ENTITY = [
    ["tile_fc", "sp", [-1, 2, 8]], ["tile_y", "sp", [-1, 1, 4]], ["tile_x", "sp", [-1, 7, 2]],
    ["tile_rcc", "sp", [-1, 4]], ["auto_unroll_max_step", "ot", 512], ["unroll_explicit", "ot", 0],
]  # fmt: skip
MALI_ENTITY = [
    ["tile_co", "sp", [16, 4, 2]], ["tile_oh", "sp", [1, 7, 1]], ["tile_ow", "sp", [1, 1, 7]],
    ["reorder_0", "re", [0, 1, 2, 3, 4, 5, 6, 9, 7, 8]], ["ann_reduce", "an", ["none", "unroll"]],
]  # fmt: skip


def texture_line(channels: int = 64, filters: int = 128, ms: float = 0.5, **more: Any) -> bytes:
    """A 3x3 convolution of 28 x 28 pixels for an Adreno; see `new_line`."""
    result = more.pop("result", [[ms / 1e3], 0, 4.72, 1663918044.7])
    settings = [[1, 1], [1, 1, 1, 1], [1, 1], more.pop("out", "float16")]
    entity = more.pop("entity", TEXTURE_ENTITY)
    return new_line([1, channels, 28, 28], [filters, channels, 3, 3], settings, entity, result, **more)


class ModuleNodes:
    """The nodes of a TIR module as TVM's `save_json` writes them, as far as a convolution's block has them."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = [{"type": "None"}]

    def add(self, kind: str, data: Any) -> int:
        self.nodes.append({"type": kind, "data": data})
        return len(self.nodes) - 1

    def number(self, value: int) -> int:
        return self.add("ir.IntImm", {"span": 0, "ty": 0, "value": self.add("int", value)})

    def array(self, items: Sequence[int]) -> int:
        return self.add("ffi.Array", list(items))

    def variable(self, name: str) -> int:
        return self.add("ir.Var", {"span": 0, "ty": 0, "name": self.add("ffi.String", name)})

    def loop(self, variable: int, extent: int, kind: int) -> int:
        dom = self.add("ir.Range", {"min": self.number(0), "extent": self.number(extent), "span": 0})
        return self.add("tirx.IterVar", {"dom": dom, "var": variable, "iter_type": kind, "thread_tag": 0, "span": 0})

    def sum_of(self, left: int, right: int) -> int:
        return self.add("prim.Add", {"a": left, "b": right, "span": 0})

    def times(self, left: int, factor: int) -> int:
        return self.add("prim.Mul", {"a": left, "b": self.number(factor), "span": 0})

    def region(self, shape: Shape, indices: Sequence[int]) -> int:
        kind = self.add("tirx.BufferType", {"shape": self.array([self.number(size) for size in shape])})
        buffer = self.add("ir.Var", {"span": 0, "ty": kind, "name": 0})
        parts = [self.add("ir.Range", {"min": index, "extent": self.number(1), "span": 0}) for index in indices]
        return self.add("ir.TensorRegion", {"source": buffer, "region": self.array(parts), "span": 0})


def convolution_module(channels: int, filters: int, side: int, kernel: int, stride: int, padding: int) -> bytes:
    """A module of a convolution whose padding is a stage before it, as JSON."""
    of = ModuleNodes()
    padded, out = side + 2 * padding, (side + 2 * padding - kernel) // stride + 1
    n, f, y, x, c, ky, kx = (of.variable(name) for name in ("nn", "ff", "yy", "xx", "rc", "ry", "rx"))
    extents = ((n, 1, 0), (f, filters, 0), (y, out, 0), (x, out, 0), (c, channels, 2), (ky, kernel, 2), (kx, kernel, 2))
    rows, columns = (
        of.sum_of(of.times(place, stride) if stride > 1 else place, at) for place, at in ((y, ky), (x, kx))
    )
    source = of.region((1, channels, padded, padded), (n, c, rows, columns))
    weights = of.region((filters, channels, kernel, kernel), (f, c, ky, kx))
    block = {"iter_vars": of.array([of.loop(*loop) for loop in extents]), "reads": of.array([source, weights]),
             "writes": of.array([]), "name_hint": of.add("ffi.String", "conv"), "init": 0, "body": 0}  # fmt: skip
    root = of.add("s_tir.SBlock", block)
    return json.dumps({"root_index": root, "nodes": of.nodes, "metadata": {"tvm_version": "0.27.0"}}).encode()


def workload_line(module: bytes) -> bytes:
    """A line of database_workload.json: TVM's `Base64Encode` has eight bytes of the length before the text."""
    text = base64.b64encode(struct.pack("<Q", len(module)) + module).decode()
    return json.dumps(["18142978280220964639", text]).encode() + b"\n"


def trial_line(workload: int, seconds: list[float] | None, shapes: Sequence[Shape], dtype: str = "float32") -> bytes:
    """A line of database_tuning_record.json."""
    target = {"kind": "opencl", "keys": ["mali", "opencl", "gpu"], "device": "mali", "max_num_threads": 256, "tag": ""}
    trace = [[["SamplePerfectTile", [0], [2, 64], [1, 2]]], [[0, [4, 8]]]]
    arguments = [["TENSOR", dtype, list(shape)] for shape in shapes]
    return json.dumps([workload, [trace, seconds, target, arguments]]).encode() + b"\n"


DATABASE = (
    workload_line(convolution_module(8, 16, 14, 3, 2, 1)),
    trial_line(0, [0.001, 0.0012], [(1, 8, 14, 14), (16, 8, 3, 3), (1, 16, 7, 7)])
    + trial_line(0, [1e10], [(1, 8, 14, 14), (16, 8, 3, 3), (1, 16, 7, 7)]),
)

#: nn-Meter's configurations, its latencies, and its CSV of both
CONFIGURATIONS = json.dumps(
    {"conv-bn-relu": {
        "YB2F4N": {"model": "/w/kernels/conv-bn-relu_prior_YB2F4N", "shapes": [[13, 13, 212]],
                   "config": {"HW": 13, "CIN": 212, "COUT": 176, "KERNEL_SIZE": 1, "STRIDES": 1}},
        "A1B2C3": {"model": "/w/kernels/conv-bn-relu_prior_A1B2C3", "shapes": [[56, 56, 24]],
                   "config": {"HW": 56, "CIN": 24, "COUT": 64, "KERNEL_SIZE": 3, "STRIDES": 2}}},
     "dwconv-bn": {
        "QQQQQQ": {"model": "/w/kernels/dwconv-bn_prior_QQQQQQ", "shapes": [[28, 28, 96]],
                   "config": {"HW": 28, "CIN": 96, "KERNEL_SIZE": 5, "STRIDES": 1}}},
     "maxpool": {
        "PPPPPP": {"model": "/w/kernels/maxpool_prior_PPPPPP", "shapes": [[28, 28, 96]],
                   "config": {"HW": 28, "CIN": 96, "COUT": 96, "KERNEL_SIZE": 2, "POOL_STRIDES": 2}}}},
    indent=4,
).encode()  # fmt: skip
LATENCIES = json.dumps(
    {"conv-bn-relu": {"YB2F4N": {"latency": "37.53 +- 0.314"}, "A1B2C3": {"latency": "0.0 +- 0.0"}},
     "dwconv-bn": {"QQQQQQ": {"latency": "1.5 +- 0.1"}},
     "maxpool": {"PPPPPP": {"latency": "0.5 +- 0.1"}}},
    indent=4,
).encode()  # fmt: skip
KERNEL_TABLE = (
    b"model_path,HW,CIN,COUT,KERNEL_SIZE,STRIDES,feature_0,feature_1,latency\n"
    b"conv-bn-relu_prior_YB2F4N,13,212,176,1,1,3.15,0.037,37.53\n"
    b"conv-bn-relu_prior_A1B2C3,56,24,64,3,2,5.42,0.013,4.25\n"
)

#: what benchncnn prints of two networks, ncnn being built with NCNN_BENCHMARK
NCNN = b"""[0 Mali-G76]  queueC=0[1]  queueG=0[1]  queueT=0[1]
[0 Mali-G76]  fp16-p/s/a=1/1/1  int8-p/s/a=1/1/1
loop_count = 2
num_threads = 1
powersave = 0
gpu_device = 0
cooling_down = 0
Convolution              conv1                              1.25ms    | [227, 227,   3 *1] -> [113, 113,  16 *4]     kernel: 3 x 3     stride: 2 x 2
Pooling                  pool1                              0.25ms    | [113, 113,  16 *4] -> [ 56,  56,  16 *4]
Split                    splitncnn_0                        0.01ms    |
ConvolutionDepthWise     conv2_dw                           0.50ms    | [ 56,  56,  16 *4] -> [ 56,  56,  16 *4]     kernel: 3 x 5     stride: 1 x 1
Convolution              conv1                              1.35ms    | [227, 227,   3 *1] -> [113, 113,  16 *4]     kernel: 3 x 3     stride: 2 x 2
Pooling                  pool1                              0.35ms    | [113, 113,  16 *4] -> [ 56,  56,  16 *4]
Split                    splitncnn_0                        0.01ms    |
ConvolutionDepthWise     conv2_dw                           0.50ms    | [ 56,  56,  16 *4] -> [ 56,  56,  16 *4]     kernel: 3 x 5     stride: 1 x 1
          squeezenet  min =    6.78  max =    7.09  avg =    6.91
Convolution              conv1                              9.00ms    | [227, 227,   3 *1] -> [113, 113,  16 *4]     kernel: 3 x 3     stride: 2 x 2
     squeezenet_int8  min =   58.53  max =   62.53  avg =   60.11
Convolution              conv1_1                            0.00ms    | [ 28,  28,   8 *4] -> [ 28,  28,   8 *4]     kernel: 1 x 1     stride: 1 x 1
           mobilenet  min =    8.08  max =    8.39  avg =    8.25
"""  # noqa: E501  as it is printed
#: the same without layers
NETWORKS_ALONE = b"\n".join(line for line in NCNN.splitlines() if b"ms    |" not in line) + b"\n"

#: the layers of a network on the GPU, whose sizes are not printed, and the network's .param file
NCNN_GPU = b"""gpu_device = 0
Convolution              conv1                           1250.50us    |
ReLU                     relu1                             10.25us    |
Pooling                  pool1                            125.00us    |
Split                    split1                             0.42us    |
ConvolutionDepthWise     conv2                            500.00us    |
Convolution              conv3                              0.00us    |
Concat                   concat1                           20.00us    |
InnerProduct             fc1                              250.00us    |
           small.net  min =    2.50  max =    3.00  avg =    2.75
"""
NCNN_PARAM = b"""7767517
9 10
Input            data     0 1 data 0=227 1=227 2=3
Convolution      conv1    1 1 data c1 0=64 1=3 2=1 3=2 4=0 5=1 6=1728
ReLU             relu1    1 1 c1 r1
Pooling          pool1    1 1 r1 p1 0=0 1=3 2=2 3=0 4=0
Split            split1   1 2 p1 a b
ConvolutionDepthWise conv2 1 1 a c2 0=64 1=5 11=3 2=2 3=1 4=4 14=2 5=0 6=480 7=32
Convolution      conv3    1 1 b c3 0=16 1=1 6=1024
Concat           concat1  2 1 c2 c3 d 0=0
Pooling          pool2    1 1 d e 0=1 4=1
InnerProduct     fc1      1 1 e f 0=10 1=1 2=800
"""

_ROWS = (
    ("convolution_2d 0 -> relu 1", 0.272, "Delegate/convolution_2d 0 -> relu 1:0"),
    ("depthwise_convolution 2", 0.365, "Delegate/depthwise_convolution 2:1"),
    ("pooling_2d 3", 0.1, "Delegate/pooling_2d 3:2"),
    ("fully_connected 4", 0.05, "Delegate/fully_connected 4:3"),
    ("TfLiteGpuDelegateV2", 0.9, "[probabilities]:9"),
)
_CPU_ROWS = (
    ("CONV_2D", 2.5, "[first]:0"),
    ("DEPTHWISE_CONV_2D/3x3", 1.5, "[second, twice]:1"),
    ("MAX_POOL_2D", 0.5, "[third]:2"),
    ("FULLY_CONNECTED", 0.25, "[probabilities]:3"),
)


def profile_text(rows: Sequence[tuple[str, float, str]] = _ROWS) -> bytes:
    """What benchmark_model prints (tensorflow/core/util/stats_calculator.cc): without starts, as newer versions do."""
    names = ("[node type]", "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]", "[times called]", "[Name]")
    widths = (40, 9, 9, 8, 8, 10, 9)
    header = "".join(f"\t{name:>{width}}" for name, width in zip(names[:-1], widths, strict=True)) + f"\t{names[-1]}"

    def line(kind: str, ms: float, name: str) -> str:
        cells = (kind, f"{ms:.3f}", f"{ms:.3f}", "20.000%", "40.000%", "0.000", "1")
        return "".join(f"\t{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)) + f"\t{name}"

    def table(title: str, lines: Sequence[tuple[str, float, str]]) -> list[str]:
        return [f"{'=' * 30} {title} {'=' * 30}", header, *(line(*row) for row in lines), ""]

    started = [("ModifyGraphWithDelegate", 354.1, "ModifyGraphWithDelegate/0")]
    text = [
        "INFO: STARTING!", "INFO: Profiling Info for Benchmark Initialization:", *table("Run Order", started),
        "INFO: Operator-wise Profiling Info for Regular Benchmark Runs:", *table("Run Order", rows),
        *table("Top by Computation Time", sorted(rows, key=lambda row: -row[1])),
        "Timings (microseconds): count=50 first=980 curr=905 min=890 max=1010 avg=912.5 std=30",
        "Memory (bytes): count=0", "5 nodes observed", "",
    ]  # fmt: skip
    return "\n".join(text).encode()


def profile_table(rows: Sequence[tuple[str, float, str]] = _CPU_ROWS) -> bytes:
    """What --profiling_output_csv_file has, with starts, as older versions do."""
    header = "node type, start, first, avg_ms, %, cdf%, mem KB, times called, name"
    lines = [f"{kind}, 0.000, {ms}, {ms}, 20.0%, 40.0%, 0, 1, {name}" for kind, ms, name in rows]
    text = [
        f"{'=' * 30} Run Order {'=' * 30}", header, *lines, "",
        f"{'=' * 30} Top by Computation Time {'=' * 30}", header, *lines, "",
        "Timings (microseconds): count=50 curr=4800 min=4700 max=5000 avg=4812.5 std=30", "",
    ]  # fmt: skip
    return "\n".join(text).encode()


class FlatTables:
    """A FlatBuffer, built from its end to its beginning as FlatBuffers does; offsets count from the end."""

    def __init__(self) -> None:
        self.tail = b""

    def put(self, content: bytes) -> int:
        self.tail = content + b"\0" * (-len(content) % 4) + self.tail
        return len(self.tail)

    def text(self, content: str) -> int:
        return self.put(struct.pack("<I", len(content)) + content.encode() + b"\0")

    def integers(self, values: Sequence[int]) -> int:
        return self.put(struct.pack(f"<{len(values) + 1}i", len(values), *values))

    def references(self, places: Sequence[int]) -> int:
        length = len(self.tail) + 4 * (len(places) + 1)
        offsets = [length - 4 * (number + 1) - place for number, place in enumerate(places)]
        return self.put(struct.pack(f"<{len(places) + 1}I", len(places), *offsets))

    def table(self, fields: dict[int, tuple[str, int]]) -> int:
        """A table: number of the field -> ("i", number) or ("at", place). Every field has four bytes."""
        body, slots = 4 + 4 * len(fields), [0] * (max(fields, default=-1) + 1)
        size = 4 + 2 * len(slots)
        size += -size % 4
        start = len(self.tail) + body
        content = b""
        for number, (kind, value) in sorted(fields.items()):
            slots[number] = 4 + len(content)
            content += struct.pack("<i", value if kind == "i" else start - slots[number] - value)
        self.put(struct.pack("<i", size) + content)
        self.put(struct.pack(f"<{len(slots) + 2}H", 4 + 2 * len(slots), body, *slots))
        return start

    def finish(self, root: int) -> bytes:
        return struct.pack("<I", 8 + len(self.tail) - root) + b"TFL3" + self.tail


def tflite_model() -> bytes:
    """A model of a convolution, a depthwise one, a pool and a fully connected layer, by the schema's field numbers."""
    of = FlatTables()
    shapes = ((1, 224, 224, 3), (16, 3, 3, 3), (1, 112, 112, 16), (1, 3, 3, 16), (1, 112, 112, 16), (1, 1, 1, 16),
              (10, 16), (1, 10))  # fmt: skip
    tensors = [of.table({0: ("at", of.integers(shape)), 1: ("i", 0)}) for shape in shapes]
    convolution = of.table({0: ("i", 0), 1: ("i", 2), 2: ("i", 2), 3: ("i", 1)})
    depthwise = of.table({0: ("i", 0), 1: ("i", 1), 2: ("i", 1), 3: ("i", 1), 4: ("i", 3)})
    plain = of.table({})
    wired = ((0, (0, 1), 2, convolution), (1, (2, 3), 4, depthwise), (2, (4,), 5, plain), (3, (5, 6), 7, plain))
    operators = [
        of.table(
            {0: ("i", code), 1: ("at", of.integers(inputs)), 2: ("at", of.integers((result,))), 4: ("at", options)}
        )
        for code, inputs, result, options in wired
    ]
    graph = of.table({0: ("at", of.references(tensors)), 3: ("at", of.references(operators))})
    codes = [of.table({0: ("i", code), 3: ("i", code)}) for code in (3, 4, 17, 9)]
    fields = {0: ("i", 3), 1: ("at", of.references(codes)), 2: ("at", of.references([graph]))}
    return of.finish(of.table(fields))
