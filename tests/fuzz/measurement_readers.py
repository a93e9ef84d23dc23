"""Readers of what other tools measured: AutoTVM, MetaSchedule, nn-Meter, LiteRT and ncnn, each found by its content."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.read import Dataset
from tests.foreign_files import (
    CONFIGURATIONS,
    DATABASE,
    KERNEL_TABLE,
    LATENCIES,
    MALI_ENTITY,
    NCNN,
    NCNN_GPU,
    NCNN_PARAM,
    convolution_module,
    old_line,
    profile_table,
    profile_text,
    texture_line,
    tflite_model,
    workload_line,
)
from tests.fuzz.data_mutations import mutate_table
from tests.fuzz.mutations import mutate_bytes, mutate_json, mutate_lines
from tests.fuzz.running import Reader


def log_samples() -> list[bytes]:
    settings = [[2, 2], [1, 1], "NCHW", "float32"]
    old = old_line([1, 3, 224, 224], [64, 3, 3, 3], settings, MALI_ENTITY, [[0.0035, 0.0036, 0.004], 0, 0.63, 1.5e9])
    failed = texture_line(filters=64, result=[[1e9], 4, 0.02, 1.0])
    return [old + old, texture_line() + failed + texture_line(channels=8)]


def read_with(name: str, companion: bytes) -> Callable[[Path], object]:
    """The reading of a file together with another, which lies beside it whole."""

    def read(path: Path) -> object:
        other = path.with_name(name)
        other.write_bytes(companion)
        return read_data(path, other)

    return read


def read_data(*paths: Path) -> object:
    dataset = Dataset.read(paths, (), True, MeasuredOn("Mali-G76 MP12"))
    return dataset.samples(several=True), dataset.networks()


def read_network_file(path: Path) -> object:
    """The reading of a .param file with times of a network of its name."""
    return read_with("log.txt", NCNN_GPU.replace(b"small.net", path.stem.encode()))(path)


def mutate_module(content: bytes, random: Random) -> bytes:
    """The module in a workload's line, changed and packed anew; or the line."""
    if random.random() < 0.3:
        return mutate_bytes(content, random)
    module = mutate_json(base64.b64decode(json.loads(content)[1])[8:], random)
    text = base64.b64encode(struct.pack("<Q", len(module)) + module).decode()
    return json.dumps(["18142978280220964639", text]).encode() + b"\n"


MEASUREMENT_READERS = {
    "AutoTVM": Reader(".log", log_samples, mutate_lines, read_data),
    "gzipped AutoTVM": Reader(".gz", lambda: [*map(gzip.compress, log_samples())], mutate_bytes, read_data),
    "MetaSchedule's workloads": Reader(
        ".json",
        lambda: [workload_line(convolution_module(8, 16, 14, 3, stride, 1)) for stride in (1, 2)],
        mutate_module,
        read_with("records.json", DATABASE[1]),
    ),
    "MetaSchedule's trials": Reader(".json", lambda: [DATABASE[1]], mutate_lines, read_with("work.json", DATABASE[0])),
    "nn-Meter": Reader(".json", lambda: [LATENCIES], mutate_json, read_with("all.json", CONFIGURATIONS)),
    "nn-Meter's configurations": Reader(
        ".json", lambda: [CONFIGURATIONS], mutate_json, read_with("all.json", LATENCIES)
    ),
    "nn-Meter's table": Reader(".csv", lambda: [KERNEL_TABLE], mutate_table, read_data),
    "LiteRT's profile": Reader(
        ".txt", lambda: [profile_text(), profile_table()], mutate_bytes, read_with("net.tflite", tflite_model())
    ),
    "tflite": Reader(".tflite", lambda: [tflite_model()], mutate_bytes, read_with("net.txt", profile_text())),
    "ncnn": Reader(".txt", lambda: [NCNN], mutate_bytes, read_data),
    "ncnn's model": Reader(".param", lambda: [NCNN_PARAM], mutate_bytes, read_network_file),
}
