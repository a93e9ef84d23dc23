"""Which format a file of measurements has, by its content alone; names do not count, but that of a CSV table."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

from fleetpose.codec import parse_json
from fleetpose.errors import DataError, UsageError
from latency.dataset.foreign import nn_meter
from latency.dataset.foreign.litert_profile import is_profile
from latency.dataset.foreign.ncnn import LAYER, NETWORK
from latency.dataset.foreign.ncnn_model import MAGIC
from latency.dataset.foreign.tflite_model import IDENTIFIER


class DataFormat(Enum):
    """A format of measurements; its value says it in words."""

    RECORDS = "our own records"
    TABLE = "a CSV table"
    AUTOTVM = "a log of AutoTVM"
    WORKLOADS = "the workloads of a MetaSchedule database"
    TRIALS = "the tuning records of a MetaSchedule database"
    KERNEL_DATA = "nn-Meter's kernel data"
    KERNEL_TABLE = "nn-Meter's CSV"
    PROFILE = "a profile of LiteRT's benchmark_model"
    MODEL = "a .tflite model"
    NCNN = "output of benchncnn"
    NCNN_MODEL = "a .param file of ncnn"


#: bytes at the beginning of a file by which it is told
HEAD_BYTES = 1 << 20
#: keys of AutoTVM's lines, by version; one that is changed is told by those that are left
_AUTOTVM = (b'"input"', b'"config"', b'"result"'), (b'"i"', b'"r"', b'"v"')
#: a line of AutoTVM's other protocol: a target and three pickles
_PICKLES = re.compile(rb"^[^\t\n]{1,400}\t[A-Za-z0-9+/=]{8,}\t[A-Za-z0-9+/=]{8,}\t[A-Za-z0-9+/=]{8,}\s*$")


def recognise(path: Path, head: bytes) -> DataFormat:
    """The format of a file.

    Args:
        head: its first HEAD_BYTES, unpacked.

    Raises:
        UsageError: it is empty, or a pickle, or a format of another tool that cannot be read.
    """
    if head[4:8] == IDENTIFIER:
        return DataFormat.MODEL
    content = head.removeprefix(b"\xef\xbb\xbf")
    first = next((line for line in content.splitlines() if line.strip()), b"")
    if not first:
        raise UsageError(f"{path} is empty")
    data = next((line for line in content.splitlines() if line.strip() and not line.startswith(b"#")), first)
    start = data.lstrip()[:1]
    if _PICKLES.match(data):
        raise UsageError(
            f"{path} is a log of AutoTVM as pickles, which can run code and are not read; write it anew by "
            'tvm.autotvm.record.encode(input, result, protocol="json")'
        )
    if first.strip() == MAGIC.encode():
        return DataFormat.NCNN_MODEL
    if start == b"{":
        return _of_objects(data, content)
    if start == b"[" and (of_database := _of_lists(data)):
        return of_database
    return _of_text(_text(path, content))


def _text(path: Path, content: bytes) -> str:
    """The beginning of a text; its last character may be cut. Raises UsageError for what is none."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if error.start < len(content) - 3:
            raise UsageError(f"{path} is no text: {error}") from error
        return content[: error.start].decode()


def _of_objects(first: bytes, content: bytes) -> DataFormat:
    """Of a file that begins with a JSON object: a line of its own, or the whole file."""
    if any(sum(key in first for key in keys) >= 2 for keys in _AUTOTVM) and b'"format"' not in first:
        return DataFormat.AUTOTVM
    return DataFormat.RECORDS if not _is_kernel_data(content) else DataFormat.KERNEL_DATA


def _is_kernel_data(content: bytes) -> bool:
    """Whether the whole is nn-Meter's; of a long file its first kernel is looked at."""
    try:
        return nn_meter.is_kernel_data(parse_json(content))
    except DataError:
        return bool(
            re.match(rb'\s*\{\s*"[\w-]{1,60}"\s*:\s*\{\s*"[^"]{1,60}"\s*:\s*\{\s*"(model|latency|config)"', content)
        )


def _of_lists(first: bytes) -> DataFormat | None:
    """Of a line that begins with a JSON list: [hash, module] or [number, [...]]."""
    if re.match(rb'\s*\[\s*"\d{1,30}"\s*,\s*"', first):
        return DataFormat.WORKLOADS
    return DataFormat.TRIALS if re.match(rb"\s*\[\s*\d{1,9}\s*,\s*\[", first) else None


def _of_text(text: str) -> DataFormat:
    if is_profile(text):
        return DataFormat.PROFILE
    lines = text.splitlines()
    header = next((line for line in lines if line.strip()), "").lower().split(",")
    if all(name in header for name in nn_meter.COLUMNS):
        return DataFormat.KERNEL_TABLE
    if any(NETWORK.match(line) or LAYER.match(line) for line in lines):
        return DataFormat.NCNN
    return DataFormat.TABLE
