"""ncnn's own timings: what benchncnn prints of networks, and what ncnn built with NCNN_BENCHMARK prints of layers.

Formats are those of `benchmark/benchncnn.cpp` and `src/benchmark.cpp` of Tencent/ncnn, which print to stderr:

              squeezenet  min =    6.78  max =    7.09  avg =    6.91
    Convolution              conv1                              1.25ms    | [227, 227,   3 *1] -> [113, 113,  16 *4]
         kernel: 3 x 3     stride: 2 x 2                                  (all on one line)

    Convolution              conv1                           1250.00us    |                 (of kernels on the GPU)

Sizes are columns, rows and channels / those packed together; of kernels on the GPU they are not printed, and come from
the network's .param file, by its name. Without that a layer's groups and dilation are not known either: one of type
ConvolutionDepthWise is read where it has as many filters as channels, and kernels are taken to be not dilated. A
network's layers stand before it, once for each run.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from fleetpose.errors import DataError, UsageError
from latency.dataset.content import text_of
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile, ForeignMeasurement, NetworkRun
from latency.dataset.foreign.ncnn_model import NcnnLayer
from latency.dataset.foreign.shapes import convolution
from latency.dataset.rows import LEAST_MS, MOST_MS
from latency.dataset.runtimes import kernel_class
from latency.dataset.sample import Sample
from models.graph.layer import Layer

WHAT = "output of benchncnn"
FRAMEWORK = "ncnn"
_NUMBER = r"(\d{1,9}(?:\.\d{1,6})?)"
NETWORK = re.compile(rf"^\s*(\S{{1,80}})\s+min =\s*{_NUMBER}\s+max =\s*{_NUMBER}\s+avg =\s*{_NUMBER}\s*$")
LAYER = re.compile(rf"^(\w{{1,40}})\s+(\S{{1,200}})\s+{_NUMBER}([mu])s\s+\|(.{{0,300}})$")
_SHAPES = re.compile(r"\s*\[([^\]]{1,60})\] -> \[([^\]]{1,60})\](.*)")
_WINDOW = re.compile(r"\s*kernel: (\d{1,6}) x (\d{1,6})\s+stride: (\d{1,6}) x (\d{1,6})\s*")
_GPU = re.compile(r"^\[(\d{1,3}) ([^\]]{1,80})\]\s+(.*)$")
_HALF = re.compile(r"fp16-p/s/a=\d/\d/1|fp16a=1")
#: networks of 8-bit numbers, which are no layers of ours
QUANTISED = ("_int8", "-int8")
TOO_SHORT = "it took so little that 0.00 is printed"
NO_SIZES = "convolutions whose sizes are not printed, nor known from a .param file; give that to --data too"
OTHERS = "layers that are no convolutions"
#: types of layers that multiply weights
WEIGHTED = ("Convolution", "ConvolutionDepthWise", "InnerProduct")


@dataclass(frozen=True)
class _TimedLayer:
    """A line of a layer; the layer itself is None where its sizes are not printed."""

    kind: str
    label: str
    ms: float
    layer: Layer | None
    written: float


@dataclass
class _Reading:
    """What was read so far, and of the network whose layers are being read."""

    models: Mapping[str, Mapping[str, NcnnLayer]]
    gpus: dict[str, tuple[str, bool]] = field(default_factory=dict)
    gpu_device: str = ""
    layers: list[_TimedLayer] = field(default_factory=list)
    measured: list[tuple[Layer, float, str]] = field(default_factory=list)
    networks: list[NetworkRun] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def end_network(self, name: str, ms: float) -> None:
        """Give the layers read so far to the network that ran them; `name` is "" where none is printed."""
        layers, self.layers = self.layers, []
        if name.endswith(QUANTISED):
            self.left_out["networks of 8-bit numbers"] += 1
            return
        only = next(iter(self.models.values())) if len(self.models) == 1 and not name else {}
        model = self.models.get(name, only)
        runs: dict[str, list[float]] = {}
        written: dict[str, float] = {}
        for timed in layers:
            of_model = model.get(timed.label)
            layer = of_model.layer if of_model and of_model.layer else timed.layer
            runs.setdefault(timed.label, []).append(timed.ms)
            written[timed.label] = of_model.written if of_model else timed.written
            if layer is not None:
                self.measured.append((layer, timed.ms, name))
            else:
                self.left_out[NO_SIZES if timed.kind in WEIGHTED[:2] else OTHERS] += 1
        if name:
            kernels = tuple(statistics.median(times) for times in runs.values())
            self.networks.append(NetworkRun(name, ms, kernels, sum(written.values())))


def read_ncnn(
    content: bytes, path: str, origin: MeasuredOn, models: Mapping[str, Mapping[str, NcnnLayer]] | None = None
) -> ForeignFile:
    """The layers and networks that were timed.

    Args:
        models: layers of .param files by name, by the files' names, which are those of the networks.

    Raises:
        UsageError: sizes of no layer, or nobody says which GPU it was.
    """
    reading = _Reading(models or {})
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
        ms = float(match[3]) / (1 if match[4] == "m" else 1000)
        reading.layers.append(_read_layer(match[1], match[2], ms, match[5]))
    elif match := _GPU.match(line):
        name, half = reading.gpus.get(match[1], (match[2].replace("(TM) ", ""), False))
        reading.gpus[match[1]] = (name, half or bool(_HALF.search(match[3])))
    elif line.startswith("gpu_device ="):
        reading.gpu_device = line.partition("=")[2].strip()[:10]


def _read_layer(kind: str, label: str, ms: float, rest: str) -> _TimedLayer:
    if ms > MOST_MS:
        raise DataError(f"the layer {label:.80} takes {ms:g} ms; a time is {LEAST_MS:g} to {MOST_MS:g} ms")
    shapes = _SHAPES.fullmatch(rest)
    if not shapes:
        return _TimedLayer(kind, label, ms, None, 0.0)
    source, result = _sizes(shapes[1]), _sizes(shapes[2])
    return _TimedLayer(kind, label, ms, _layer(kind, source, result, shapes[3]), float(prod(result)))


def _sizes(text: str) -> tuple[int, ...]:
    """(columns, rows, channels) of "113, 113,  16 *4". Raises DataError."""
    extents, _, packed = text.partition("*")
    try:
        numbers = [int(part) for part in extents.split(",")]
        return (*numbers[:-1], numbers[-1] * int(packed or "1"))
    except ValueError as error:
        raise DataError(f"[{text}] are no sizes") from error


def _layer(kind: str, source: tuple[int, ...], result: tuple[int, ...], rest: str) -> Layer | None:
    """The layer that sizes say; None of one that is no convolution of pictures, or whose groups are not known."""
    window = _WINDOW.fullmatch(rest)
    depthwise = kind == "ConvolutionDepthWise"
    if kind not in WEIGHTED or window is None or len(source) != 3 or len(result) != 3:
        return None
    if depthwise and source[2] != result[2]:
        return None
    across, down, step_across, step_down = (int(window[place]) for place in range(1, 5))
    groups = source[2] if depthwise else 1
    return convolution(source[2], (source[1], source[0]), result[2], (result[1], result[0]), (down, across),
                       (step_down, step_across), (1, 1), groups)  # fmt: skip
