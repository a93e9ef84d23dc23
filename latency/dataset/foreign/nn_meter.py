"""nn-Meter's kernel data: the JSON files of its builder, configurations and latencies, and the CSV made of both.

The formats are those of its document "Build Kernel Latency Predictor" (docs/builder/build_kernel_latency_predictor.md
of microsoft/nn-Meter):

    {"conv-bn-relu": {"YB2F4N": {"model": PATH, "shapes": [[13, 13, 212]],
                                 "config": {"HW": 13, "CIN": 212, "COUT": 176, "KERNEL_SIZE": 1, "STRIDES": 1}}}}
    {"conv-bn-relu": {"YB2F4N": {"latency": "37.53 +- 0.314"}}}
    model_path,HW,CIN,COUT,KERNEL_SIZE,STRIDES,feature_0,feature_1,latency

Latencies are milliseconds and their standard deviation. Convolutions are padded so that they keep their size ("same").
Kernels are taken to be LiteRT's, which its backends for GPUs run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from fleetpose.codec import check_entries, decode, parse_json
from fleetpose.errors import DataError, UsageError, quoted
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile, ForeignMeasurement
from latency.dataset.foreign.shapes import convolution
from latency.dataset.rows import LEAST_MS, MOST_MS, TableRow
from latency.dataset.runtimes import LITERT, kernel_class
from latency.dataset.sample import Sample
from latency.dataset.tables import with_steps
from models.graph.layer import Layer

WHAT = "nn-Meter's kernel data"
#: columns that its CSV has
COLUMNS = ("model_path", "latency")
_LATENCY = re.compile(r"\s*([-+.\deE]{1,40})\s*(?:\+-\s*([-+.\deE]{1,40})\s*)?")
#: interquartile range of a normal distribution, in standard deviations
RANGE_OF_DEVIATION = 1.349
NOT_TIMED, NO_TIME = "it has a configuration and was not profiled", "its latency is 0 or no number"

#: one kernel: its type and what a file says of it, "config" and "latency" among them
Kernels = dict[tuple[str, str], dict[str, Any]]


def read_kernel_files(contents: Sequence[tuple[str, bytes]], origin: MeasuredOn) -> ForeignFile:
    """The measurements of JSON files, (name, content) each: configurations and latencies go together by their ids.

    Raises:
        UsageError: a file that is no kernel data, latencies without configurations or the other way round, or nobody
            says which GPU it was.
    """
    paths = ", ".join(path for path, _ in contents)
    kernels: Kernels = {}
    for path, content in contents:
        for key, entry in _entries(content, path):
            kernels.setdefault(key, {}).update(entry)
    nameless = sum("config" not in entry for entry in kernels.values())
    if nameless:
        raise UsageError(
            f"{paths}: {nameless} of {len(kernels)} kernels have no configuration; give the JSON files with their "
            "configurations to --data too, such as results/conv-bn-relu_prior.json"
        )
    if not any("latency" in entry for entry in kernels.values()):
        raise UsageError(f"{paths} has configurations and no latencies; give results/profiled_*.json to --data too")
    named = ((f"{paths}: {kind:.60} {name:.40}", kind, entry["config"], entry.get("latency"))
             for (kind, name), entry in kernels.items())  # fmt: skip
    return _file(paths, origin.named(paths, WHAT), named)


def read_kernel_table(rows: Sequence[TableRow], path: str, origin: MeasuredOn) -> ForeignFile:
    """The measurements of nn-Meter's CSV; a kernel's type is what its model's name begins with. Raises UsageError."""
    columns = ("HW", "CIN", "COUT", "KERNEL_SIZE", "STRIDES")
    named = (
        (
            row.place,
            row.values["model_path"].partition("_")[0],
            {name: row.number(name) for name in columns if name in row.values},
            row.values["latency"],
        )
        for row in rows
    )
    return _file(path, origin.named(path, WHAT), named)


def _file(path: str, of: MeasuredOn, kernels: Iterable[tuple[str, str, Mapping[str, Any], Any]]) -> ForeignFile:
    """What kernels say, each (place, type, configuration, latency). Raises UsageError, with the place, for damage."""
    measurements, left_out = [], Counter[str]()
    for place, kind, config, latency in kernels:
        try:
            measurement = _measurement(kind, config, latency, of)
        except DataError as error:
            raise UsageError(f"{place}: {' '.join(str(error).split())}") from error
        if measurement is None:
            left_out[f"kernels of type {kind:.40}"] += 1
        else:
            measurements.append(measurement)
    return ForeignFile(path, WHAT, tuple(measurements), left_out=left_out)


def is_kernel_data(value: Any) -> bool:
    """Whether a JSON value looks like kernel data: kernels by id, by type, with a configuration or a latency."""
    groups = list(value.values()) if isinstance(value, dict) else []
    kernels = [kernel for group in groups if isinstance(group, dict) for kernel in group.values()]
    return bool(kernels) and any(
        isinstance(kernel, dict) and {"config", "latency"} & kernel.keys() for kernel in kernels
    )


def _entries(content: bytes, path: str) -> Iterable[tuple[tuple[str, str], dict[str, Any]]]:
    """Of each kernel its type and id, and its configuration and latency as far as they are there."""
    try:
        for kind, group in decode(dict[str, dict[str, Any]], parse_json(content)).items():
            for name, kernel in group.items():
                entries = check_entries(kernel, {"config": dict[str, Any]}, f"{kind:.60}: {name:.40}")
                yield (kind, name), {key: entries[key] for key in ("config", "latency") if key in entries}
    except DataError as error:
        raise UsageError(f"{path}: {error}") from error


def _measurement(kind: str, config: Mapping[str, Any], latency: Any, of: MeasuredOn) -> ForeignMeasurement | None:
    """None of a kernel that is no convolution. Raises DataError."""
    layer = _layer(kind, config)
    if layer is None:
        return None
    ms, spread = read_latency(latency)
    framework = LITERT[0]
    sample = Sample(
        layer, kernel_class(layer, framework, of.gpu), ms=ms, spread=spread, framework=framework, device=of.device,
        gpu=of.gpu,
    )  # fmt: skip
    failure = "" if ms is not None else NOT_TIMED if latency is None else NO_TIME
    return ForeignMeasurement(sample, kind=kind, failure=failure)


def _layer(kind: str, config: Mapping[str, Any]) -> Layer | None:
    depthwise, plain = kind.startswith("dwconv"), kind.startswith("conv")
    if kind == "fc":
        channels, filters = _number(config, "CIN"), _number(config, "COUT")
        return convolution(channels, (1, 1), filters, (1, 1), (1, 1))
    if not (depthwise or plain):
        return None
    size, channels = _number(config, "HW"), _number(config, "CIN")
    filters = channels if depthwise else _number(config, "COUT")
    kernel, stride = _number(config, "KERNEL_SIZE"), _number(config, "STRIDES")
    out = ceil(size / stride)
    groups = channels if depthwise else 1
    layer = convolution(channels, (size, size), filters, (out, out), (kernel, kernel), (stride, stride), (1, 1), groups)
    return with_steps(layer, _steps(kind))


def _steps(kind: str) -> list[str]:
    """What the name of a type says is fused into it."""
    last = kind.rpartition("-")[2]
    return {"relu": ["relu"], "relu6": ["relu6"], "hswish": ["hardswish"]}.get(last, [])


def _number(config: Mapping[str, Any], name: str) -> int:
    if name not in config:
        raise DataError(f"its configuration has no {name}")
    number = decode(int, config[name], name)
    if number < 1:
        raise DataError(f"{name} is {number}, not above 0")
    return number


def read_latency(latency: Any) -> tuple[float | None, float | None]:
    """Milliseconds and spread of "37.53 +- 0.314" or of a number; (None, None) where there is no time.

    Raises DataError for a text of another form.
    """
    if latency is None or isinstance(latency, bool):
        return None, None
    match = _LATENCY.fullmatch(str(latency)) if isinstance(latency, str | int | float) else None
    try:
        ms, deviation = (float(match[1]), float(match[2] or 0)) if match else (None, 0.0)
    except ValueError:
        ms, deviation = None, 0.0
    if ms is None:
        raise DataError(f'its latency is {quoted(latency)}, not "37.53 +- 0.314"')
    if ms == 0:
        return None, None
    if not (LEAST_MS <= ms <= MOST_MS and deviation >= 0):
        raise DataError(f"its latency is {quoted(latency)}; one is {LEAST_MS:g} to {MOST_MS:g} ms")
    return ms, RANGE_OF_DEVIATION * deviation / ms if deviation else None
