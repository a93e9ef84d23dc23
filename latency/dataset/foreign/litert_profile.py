"""What LiteRT's `benchmark_model --enable_op_profiling=true` prints, and its CSV (--profiling_output_csv_file).

The format is that of tensorflow/core/util/stats_calculator.cc and tensorflow/lite/profiling. Of its tables "Run Order"
counts, of the regular runs; times are the mean milliseconds of a run:

    [node type]  [start]  [first]  [avg ms]  [%]  [cdf%]  [mem KB]  [times called]  [Name]
    node type, start, first, avg_ms, %, cdf%, mem KB, times called, name

Newer versions have no start. Kernels of the GPU delegate have names such as "Delegate/convolution_2d 0 -> relu 1:0"; a
Winograd convolution is three of them, winograd_4x4_to_36, convolution_winograd_4x4_6x6 and winograd_36_to_4x4 (newer:
_3x3_forward and so on), whose times are added. Operators that run on the CPU are named by their output and number,
"[conv1]:3". No sizes are printed: they come from the .tflite file, operator by operator where those are numbered, else
in their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fleetpose.errors import DataError, UsageError
from latency.dataset.content import text_of
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile, ForeignMeasurement, NetworkRun
from latency.dataset.foreign.tflite_model import ModelOperator, numbered, read_operators
from latency.dataset.rows import LEAST_MS, MOST_MS
from latency.dataset.runtimes import LITERT, kernel_class
from latency.dataset.sample import Sample
from latency.dataset.tables import with_steps

WHAT = "a profile of LiteRT's benchmark_model"
#: what the line of names begins with, as text and as CSV
TEXT_HEADER, CSV_HEADER = re.compile(r"^\s*\[node type\]"), re.compile(r"^node type, (start|first), ")
#: how many columns a table has, by version
COLUMNS = (8, 9)
_TITLE = re.compile(r"^=+ (.{1,60}) =+$")
_REGULAR, _DELEGATE, _SUBGRAPH = "Regular Benchmark Runs", "Delegate internal:", "Subgraph (index"
_NUMBERED = re.compile(r"^\[.*\]:(\d{1,6})$")
_TIMINGS = re.compile(r"Timings \(microseconds\):.{0,200}\bavg=([\d.eE+]{1,20})")
#: beginnings of the names of the delegate's kernels -> operators of the model that they may be
KERNELS = {
    "convolution_transposed": ("TRANSPOSE_CONV",),
    "convolution": ("CONV_2D", "FULLY_CONNECTED"),
    "depthwise_conv_plus": ("DEPTHWISE_CONV_2D",),
    "depthwise_convolution": ("DEPTHWISE_CONV_2D",),
    "fully_connected": ("FULLY_CONNECTED", "CONV_2D"),
}
TWO_IN_ONE = "depthwise_conv_plus"
#: beginnings of the names of Winograd's products, and of its transforms
WINOGRAD, TRANSFORM = "convolution_winograd", "winograd_"
TOO_SHORT = "0.000 ms is printed, or Winograd's transforms are missing"
NO_LAYER = "operators that are no convolutions, or not of one picture in real numbers"


@dataclass(frozen=True)
class ProfiledOperator:
    """One line of the table "Run Order"."""

    kind: str
    ms: float
    name: str
    line: int

    @property
    def delegated(self) -> bool:
        return self.name.startswith("Delegate/")


def read_profile(content: bytes, model: bytes, paths: tuple[str, str], origin: MeasuredOn) -> ForeignFile:
    """The measurements of a profile.

    Args:
        content, model: of the profile and of the .tflite file it is of; paths: their names.

    Raises:
        UsageError: the profile or the model is damaged, they are not of each other, or nobody says which GPU it was.
    """
    try:
        operators = read_operators(model)
    except DataError as error:
        raise UsageError(f"{paths[1]} is no whole .tflite file: {error}") from error
    text = text_of(content, paths[0])
    rows = list(_rows(text, paths[0]))
    of = origin.named(paths[0], WHAT)
    name = paths[1].replace("\\", "/").rpartition("/")[2].removesuffix(".tflite")
    measurements, left_out = [], Counter[str]()
    for row, operator in _match(rows, operators, paths):
        if operator is None or operator.layer is None:
            left_out[NO_LAYER] += 1
            continue
        layer = with_steps(operator.layer, operator.steps)
        sample = Sample(
            layer, kernel_class(layer, LITERT[0], of.gpu), ms=row.ms if row.ms >= LEAST_MS else None,
            networks=(name,), families=(name,), framework=LITERT[0], device=of.device, gpu=of.gpu,
        )  # fmt: skip
        measurements.append(ForeignMeasurement(sample, failure="" if sample.ms else TOO_SHORT))
    kernels = tuple(row.ms for row in rows if row.ms >= LEAST_MS and (row.delegated or "Delegate" not in row.kind))
    total = _total_ms(text)
    networks = (NetworkRun(name, total, kernels),) if total and kernels else ()
    return ForeignFile(paths[0], WHAT, tuple(measurements), networks, left_out)


def is_profile(text: str) -> bool:
    """Whether a text has a table of a profile."""
    return any(TEXT_HEADER.match(line) or CSV_HEADER.match(line) for line in text.splitlines())


def _rows(text: str, path: str) -> Iterator[ProfiledOperator]:
    """The lines of the tables "Run Order" of the first graph; of those of regular runs, where these are told apart."""
    lines = text.splitlines()
    start = max((place for place, line in enumerate(lines) if _REGULAR in line), default=0)
    title, columns, separator = "", 0, "\t"
    for number, line in enumerate(lines[start:], start + 1):
        if line.startswith((_DELEGATE, _SUBGRAPH)):
            break
        if match := _TITLE.match(line.strip()):
            title, columns = match[1], 0
        elif TEXT_HEADER.match(line) or CSV_HEADER.match(line):
            separator = "\t" if TEXT_HEADER.match(line) else ", "
            columns = len(line.strip().split(separator)) if title == "Run Order" else 0
            if columns not in (0, *COLUMNS):
                raise UsageError(f"{path}, line {number}: {columns} columns, where a profile has 8 or 9")
        elif not line.strip():
            columns = 0
        elif columns:
            yield _row(line.strip("\n").lstrip("\t ").split(separator, columns - 1), columns, path, number)


def _row(cells: list[str], columns: int, path: str, number: int) -> ProfiledOperator:
    place = columns - 6  # before it are %, cdf%, memory, times called and the name
    try:
        ms = float(cells[place]) if len(cells) == columns else -1.0
    except ValueError:
        ms = -1.0
    if not 0 <= ms <= MOST_MS:
        raise UsageError(
            f"{path}, line {number}: no operator's line of a profile, which has {columns} cells and a time"
        )
    return ProfiledOperator(cells[0].strip(), ms, cells[-1].strip(), number)


def _total_ms(text: str) -> float:
    """Milliseconds of a whole run; 0 where the profile does not say."""
    values = _TIMINGS.findall(text)
    try:
        ms = float(values[-1]) / 1e3 if values else 0.0
    except ValueError:
        return 0.0
    return ms if LEAST_MS <= ms <= MOST_MS else 0.0


Match = tuple[ProfiledOperator, "ModelOperator | None"]


def _match(rows: list[ProfiledOperator], operators: dict[int, ModelOperator], paths: tuple[str, str]) -> list[Match]:
    """Each line with the operator of the model that it is of; None of those without weights.

    Raises UsageError where lines and model are not of each other.
    """
    matches: list[Match] = []
    waiting = dict(numbered(operators))
    delegated = _with_transforms([row for row in rows if row.delegated])
    for row in rows:
        if row.delegated:
            continue
        number = _NUMBERED.match(row.name)
        operator = waiting.pop(int(number[1]), None) if number else None
        if operator is not None and row.kind.partition("/")[0] != operator.name:
            kind = f"{row.kind:.60}, and there {operator.name}"
            raise UsageError(f"{paths[0]}, line {row.line}: {row.name:.80} is {kind}; is {paths[1]} its model?")
        matches.append((row, operator))
    return matches + _match_in_order(delegated, list(waiting.values()), paths)


def _with_transforms(rows: list[ProfiledOperator]) -> list[ProfiledOperator]:
    """The kernels, Winograd's with the time of its transforms, which are kernels before and behind it."""
    padded = [None, *rows, None]
    together = []
    for before, row, behind in zip(padded, rows, padded[2:], strict=False):
        if row.kind.startswith(WINOGRAD):
            transforms = [other.ms for other in (before, behind) if other and other.kind.startswith(TRANSFORM)]
            together.append(replace(row, ms=row.ms + sum(transforms) if len(transforms) == 2 else 0.0))
        else:
            together.append(row)
    return together


def _match_in_order(
    rows: list[ProfiledOperator], operators: list[ModelOperator], paths: tuple[str, str]
) -> list[Match]:
    matches: list[Match] = []
    wanted = [(row, kernel) for row in rows if (kernel := _kernel_of(row.kind))]
    counted = len(wanted) + sum(kernel == TWO_IN_ONE for _, kernel in wanted)
    if rows and counted != len(operators):
        raise UsageError(
            f"{paths[0]} has {counted} convolutions on the GPU, and {paths[1]} {len(operators)} that do not run on the "
            "CPU; is it the model that was profiled?"
        )
    following = iter(operators)
    for row, kernel in wanted:
        operator = next(following)
        if operator.name not in KERNELS[kernel]:
            raise UsageError(
                f"{paths[0]}, line {row.line}: {row.kind:.80} is no {operator.name}, which {paths[1]} has in its place"
            )
        if kernel == TWO_IN_ONE:
            next(following)
        matches.append((row, None if kernel == TWO_IN_ONE else operator))
    return matches


def _kernel_of(kind: str) -> str:
    """The key of KERNELS that a kernel's name begins with; "" of one that multiplies no weights."""
    return next((beginning for beginning in KERNELS if kind.startswith(beginning)), "")
