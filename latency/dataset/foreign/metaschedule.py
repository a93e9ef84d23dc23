"""Databases of TVM's MetaSchedule: database_workload.json and database_tuning_record.json, as TVM 0.27 writes them.

Each line of the first is [hash, module], the module as base64 of its JSON behind eight bytes of its length; each of the
second [number of the workload, [trace, seconds of each run, target, arguments]] (TVM's
src/s_tir/meta_schedule/database). The best kernel of a convolution counts: what a trace decides is kept as text, and is
told to no model. Modules are read for their shapes; nothing of TVM is built of them.
"""

from __future__ import annotations

import base64
import binascii
import statistics
from collections import Counter
from typing import Any

from fleetpose.codec import decode, parse_json
from fleetpose.codec.text import LINE, TextLimits
from fleetpose.errors import DataError, UsageError
from latency.dataset.content import data_lines
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile, ForeignMeasurement
from latency.dataset.foreign.shapes import convolution
from latency.dataset.foreign.tir_modules import BlockConvolution, find_convolution
from latency.dataset.rows import LEAST_MS, MOST_MS
from latency.dataset.tvm_kernels import DTYPES, tvm_sample
from models.graph.layer import Layer

WHAT = "a database of MetaSchedule"
SCHEDULE = "meta_schedule"
#: a module as JSON, and a line with one as base64
MODULE, WORKLOAD = TextLimits(size=64 << 20), TextLimits(size=96 << 20)
LENGTH_BYTES = 8
#: seconds that TVM writes for a candidate that failed, and from which on it takes one for failed
FAILED_SECS = 1e9
NO_CONVOLUTION = "records of workloads that are no convolution of one picture in float16 or float32"
FAILURE = "it did not compile or did not run"
_ELEMENTS = {"float16": "fp16", "float32": "fp32"}


def read_metaschedule(workloads: bytes, records: bytes, paths: tuple[str, str], origin: MeasuredOn) -> ForeignFile:
    """The measurements of a database.

    Args:
        workloads, records: content of its two files; paths: their names, in this order.

    Raises:
        UsageError: a line that is none of a database, by its number, or nobody says which GPU it was.
    """
    layers = list(_read_layers(workloads, paths[0]))
    measurements, left_out = [], Counter[str]()
    for number, line in data_lines(records):
        try:
            measurement = _measurement(parse_json(line, LINE), layers, paths[1], origin)
        except (DataError, ValueError) as error:
            raise UsageError(f"{paths[1]}, line {number}: {' '.join(str(error).split())}") from error
        if measurement is None:
            left_out[NO_CONVOLUTION] += 1
        else:
            measurements.append(measurement)
    return ForeignFile(paths[1], WHAT, tuple(measurements), left_out=left_out, told_apart=False)


def _read_layers(workloads: bytes, path: str) -> list[BlockConvolution | None]:
    layers = []
    for number, line in data_lines(workloads):
        try:
            _, text = decode(tuple[str, str], parse_json(line, WORKLOAD), "a workload")
            packed = base64.b64decode(text, validate=True)
            if int.from_bytes(packed[:LENGTH_BYTES], "little") != len(packed) - LENGTH_BYTES:
                raise DataError("its module is cut off, or of another version of TVM")
            layers.append(find_convolution(parse_json(packed[LENGTH_BYTES:], MODULE, "its module")))
        except (DataError, binascii.Error, ValueError) as error:
            raise UsageError(f"{path}, line {number}: {' '.join(str(error).split())}") from error
    return layers


def _measurement(
    values: Any, blocks: list[BlockConvolution | None], path: str, origin: MeasuredOn
) -> ForeignMeasurement | None:
    index, record = decode(tuple[int, list[Any]], values, "a record")
    if not 0 <= index < len(blocks):
        raise DataError(f"it is of workload {index}, and there are {len(blocks)}")
    if len(record) != 4:
        raise DataError(f"its record has {len(record)} parts, not 4")
    trace, seconds, target, arguments = record
    block = blocks[index]
    if block is None:
        return None
    layer, dtype = _layer(block, decode(list[list[Any]], arguments, "its arguments"))
    if layer is None:
        return None
    ms = _ms(None if seconds is None else decode(list[float], seconds, "its times"))
    kind = "direct" if block.groups == 1 else "depthwise" if block.groups == block.channels else "group"
    of = origin.named(path, WHAT, _device_of(target))
    config = read_decisions(trace)
    sample = tvm_sample(
        layer, kind=kind, schedule=SCHEDULE, dtype=dtype, config={}, ms=ms, device=of.device, gpu=of.gpu,
        layout="NHWC" if block.channels_last else "NCHW",
    )  # fmt: skip
    return ForeignMeasurement(sample, SCHEDULE, kind, dtype, config, "" if ms is not None else FAILURE)


def _layer(block: BlockConvolution, arguments: list[list[Any]]) -> tuple[Layer | None, str]:
    """The layer, and its type as a table has it; (None, "") where the type is another.

    The block's input is padded already where padding is a stage of its own: an argument of as many channels and no more
    rows and columns is the input as it was.
    """
    tensors = [argument for argument in arguments if len(argument) == 3 and argument[0] == "TENSOR"]
    dtype = _ELEMENTS.get(decode(str, tensors[0][1], "an argument's type"), "") if tensors else ""
    if dtype not in DTYPES:
        return None, ""
    size = block.padded
    for _, _, shape in tensors:
        extents = decode(list[int], shape, "an argument's shape")
        place = 3 if block.channels_last else 1
        if len(extents) != 4 or extents[0] != 1 or extents[place] != block.channels:
            continue
        rows, columns = extents[1:3] if block.channels_last else extents[2:4]
        if rows <= block.padded[0] and columns <= block.padded[1]:
            size = (rows, columns)
            break
    layer = convolution(
        block.channels, size, block.filters, block.out, block.kernel, block.stride, block.dilation, block.groups
    )
    return layer, dtype


def _ms(seconds: list[float] | None) -> float | None:
    """Milliseconds, the mean as MetaSchedule compares; None of a candidate that failed."""
    if not seconds or max(seconds) >= FAILED_SECS:
        return None
    ms = statistics.fmean(seconds) * 1e3
    if not LEAST_MS <= ms <= MOST_MS:
        raise DataError(f"a time of {ms:g} ms; a time is {LEAST_MS:g} to {MOST_MS:g} ms")
    return ms


def _device_of(target: Any) -> str:
    """The machine that a target names; "" where it names none."""
    named = target.get("model", "") if isinstance(target, dict) else ""
    return named if isinstance(named, str) and named != "unknown" else ""


def read_decisions(trace: Any) -> dict[str, str]:
    """What a trace decided, by number of its instruction: {"12": "1x4x8"}. Raises DataError for what is no trace."""
    _, decisions = decode(tuple[list[Any], list[Any]], trace, "its trace")
    texts = {}
    for place, decision in decode(list[tuple[int, Any]], decisions, "its trace's decisions"):
        parts = decision if isinstance(decision, list) else [decision]
        texts[str(place)] = "x".join(f"{part!s:.20}" for part in parts[:16])
    return texts
