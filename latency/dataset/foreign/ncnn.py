"""ncnn's own timings: what benchncnn prints of networks, and what ncnn built with NCNN_BENCHMARK prints of layers.

Formats are those of `benchmark/benchncnn.cpp` and `src/benchmark.cpp` of Tencent/ncnn, which print to stderr:

              squeezenet  min =    6.78  max =    7.09  avg =    6.91
    Convolution              conv1                              1.25ms    | [227, 227,   3 *1] -> [113, 113,  16 *4]
         kernel: 3 x 3     stride: 2 x 2                                  (all on one line)

Sizes are columns, rows and channels / those packed together. A layer's groups and dilation are not printed: one of type
ConvolutionDepthWise is read where it has as many filters as channels, and kernels are taken to be not dilated. A
network's layers stand before it, once for each run.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from math import prod

from fleetpose.errors import DataError, UsageError
from latency.dataset.content import text_of
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile, ForeignMeasurement, NetworkRun
from latency.dataset.foreign.shapes import convolution
from latency.dataset.rows import LEAST_MS, MOST_MS
from latency.dataset.runtimes import kernel_class
from latency.dataset.sample import Sample
from models.graph.layer import Layer

WHAT = "output of benchncnn"
FRAMEWORK = "ncnn"
_NUMBER = r"(\d{1,9}(?:\.\d{1,6})?)"
NETWORK = re.compile(rf"^\s*(\S{{1,80}})\s+min =\s*{_NUMBER}\s+max =\s*{_NUMBER}\s+avg =\s*{_NUMBER}\s*$")
LAYER = re.compile(rf"^(\w{{1,40}})\s+(\S{{1,200}})\s+{_NUMBER}ms\s+\|(.{{0,300}})$")
_SHAPES = re.compile(r"\s*\[([^\]]{1,60})\] -> \[([^\]]{1,60})\](.*)")
_WINDOW = re.compile(r"\s*kernel: (\d{1,6}) x (\d{1,6})\s+stride: (\d{1,6}) x (\d{1,6})\s*")
_GPU = re.compile(r"^\[(\d{1,3}) ([^\]]{1,80})\]\s+(.*)$")
_HALF = re.compile(r"fp16-p/s/a=\d/\d/1|fp16a=1")
#: networks of 8-bit numbers, which are no layers of ours
QUANTISED = "_int8"
#: a layer that took less is printed as 0.00ms
TOO_SHORT = "it took less than 0.005 ms, which is printed as 0.00"


@dataclass
class _Reading:
    """What was read so far, and of the network whose layers are being read."""

    gpus: dict[str, tuple[str, bool]] = field(default_factory=dict)
    gpu_device: str = ""
    layers: list[tuple[Layer | None, str, float, float]] = field(default_factory=list)
    measured: list[tuple[Layer, float, str]] = field(default_factory=list)
    networks: list[NetworkRun] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def end_network(self, name: str, ms: float) -> None:
        """Give the layers read so far to the network that ran them; `name` is "" where none is printed."""
        layers, self.layers = self.layers, []
        if name.endswith(QUANTISED):
            self.left_out["networks of 8-bit numbers"] += 1
            return
        runs: dict[str, list[float]] = {}
        for layer, label, layer_ms, _ in layers:
            runs.setdefault(label, []).append(layer_ms)
            if layer is not None:
                self.measured.append((layer, layer_ms, name))
        if name:
            written = {label: size for _, label, _, size in layers}
            kernels = tuple(statistics.median(times) for times in runs.values())
            self.networks.append(NetworkRun(name, ms, kernels, float(sum(written.values()))))


def read_ncnn(content: bytes, path: str, origin: MeasuredOn) -> ForeignFile:
    """The layers and networks that were timed. Raises UsageError for sizes of no layer, or where no GPU is named."""
    reading = _Reading()
    for number, line in enumerate(text_of(content, path).splitlines(), 1):
        try:
            _read_line(reading, line.rstrip())
        except DataError as error:
            raise UsageError(f"{path}, line {number}: {error}") from error
    reading.end_network("", 0.0)
    gpu, half = reading.gpus.get(reading.gpu_device, ("CPU" if reading.gpu_device == "-1" else "", False))
    if not reading.measured:
        return ForeignFile(path, WHAT, (), tuple(reading.networks), reading.left_out)
    of = origin.named(path, WHAT, gpu=gpu)
    dtype = "float16" if half else "float32"
    measurements = [_measurement(layer, ms, name, dtype, of) for layer, ms, name in reading.measured]
    return ForeignFile(path, WHAT, tuple(measurements), tuple(reading.networks), reading.left_out)


def _measurement(layer: Layer, ms: float, name: str, dtype: str, of: MeasuredOn) -> ForeignMeasurement:
    names = (name,) if name else ()
    sample = Sample(
        layer, kernel_class(layer, FRAMEWORK, of.gpu), dtype=dtype, ms=ms or None, networks=names, families=names,
        framework=FRAMEWORK, device=of.device, gpu=of.gpu,
    )  # fmt: skip
    return ForeignMeasurement(sample, failure="" if ms else TOO_SHORT)


def _read_line(reading: _Reading, line: str) -> None:
    """Lines of other forms are another program's, and are passed over."""
    if match := NETWORK.match(line):
        ms = float(match[4])
        if not LEAST_MS <= ms <= MOST_MS:
            raise DataError(f"the network {match[1]} takes {match[4]} ms; a time is {LEAST_MS:g} to {MOST_MS:g} ms")
        reading.end_network(match[1], ms)
    elif match := LAYER.match(line):
        _read_layer(reading, match[1], match[2], float(match[3]), match[4])
    elif match := _GPU.match(line):
        name, half = reading.gpus.get(match[1], (match[2], False))
        reading.gpus[match[1]] = (name, half or bool(_HALF.search(match[3])))
    elif line.startswith("gpu_device ="):
        reading.gpu_device = line.partition("=")[2].strip()[:10]


def _read_layer(reading: _Reading, kind: str, label: str, ms: float, rest: str) -> None:
    if ms > MOST_MS:
        raise DataError(f"the layer {label:.80} takes {ms:g} ms; a time is {LEAST_MS:g} to {MOST_MS:g} ms")
    shapes = _SHAPES.fullmatch(rest)
    written, layer = 0.0, None
    if shapes:
        source, result = _sizes(shapes[1]), _sizes(shapes[2])
        written, layer = float(prod(result)), _layer(reading, kind, source, result, shapes[3])
    elif kind.startswith("Convolution"):
        reading.left_out["layers without sizes"] += 1
    else:
        reading.left_out["layers that are no convolutions"] += 1
    reading.layers.append((layer, label, ms, written))


def _sizes(text: str) -> tuple[int, ...]:
    """(columns, rows, channels) of "113, 113,  16 *4". Raises DataError."""
    extents, _, packed = text.partition("*")
    try:
        numbers = [int(part) for part in extents.split(",")]
        return (*numbers[:-1], numbers[-1] * int(packed or "1"))
    except ValueError as error:
        raise DataError(f"[{text}] are no sizes") from error


def _layer(reading: _Reading, kind: str, source: tuple[int, ...], result: tuple[int, ...], rest: str) -> Layer | None:
    window = _WINDOW.fullmatch(rest)
    if kind not in ("Convolution", "ConvolutionDepthWise"):
        reading.left_out["layers that are no convolutions"] += 1
        return None
    if window is None or len(source) != 3 or len(result) != 3:
        reading.left_out["convolutions that are not of pictures"] += 1
        return None
    across, down, step_across, step_down = (int(window[place]) for place in range(1, 5))
    depthwise = kind == "ConvolutionDepthWise"
    if depthwise and source[2] != result[2]:
        reading.left_out["grouped convolutions, whose groups are not printed"] += 1
        return None
    groups = source[2] if depthwise else 1
    return convolution(source[2], (source[1], source[0]), result[2], (result[1], result[0]), (down, across),
                       (step_down, step_across), (1, 1), groups)  # fmt: skip
