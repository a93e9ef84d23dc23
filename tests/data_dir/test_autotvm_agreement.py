"""Every kernel of the tables of TVM's kernels, written as AutoTVM would log it, is read as the table's sample."""

from __future__ import annotations

from typing import Any

import pytest

from latency.dataset.foreign.autotvm import read_autotvm
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.rows import TableRow, read_rows
from latency.dataset.tables import REQUIRED
from latency.dataset.tvm_kernels import failure_of, parse_config, tvm_row_sample
from tests.foreign_files import new_line, old_line

#: knobs that are no splits
PLAIN = ("auto_unroll_max_step", "unroll_explicit", "yt", "tile_size")


def entity(config: str) -> list[list[Any]]:
    knobs: list[list[Any]] = []
    for name, text in parse_config(config).items():
        parts = text.split("x")
        if name.startswith("ann"):
            knobs.append([name, "an", parts])
        elif name in PLAIN:
            knobs.append([name, "ot", int(text)])
        else:
            numbers = [int(part) for part in parts]
            knobs.append([name, "re", numbers] if name.startswith("reorder") else [name, "sp", [-1, *numbers]])
    return knobs


def shapes(row: TableRow) -> tuple[list[int], list[int]]:
    """Data and weights in the layout that the table names."""
    values = row.values
    cin, cout, groups, rows, columns = (int(values[name]) for name in ("cin", "cout", "groups", "h_in", "w_in"))
    window, depthwise = [int(values["kh"]), int(values["kw"])], values["kind"] == "depthwise"
    if values["layout"] == "NHWC":
        return [1, rows, columns, cin], [*window, cin, 1 if depthwise else cout]
    if values["layout"] == "NCHW4c" and cin % 4 == 0:
        return [1, cin // 4, rows, columns, 4], [cout // 4, 1 if depthwise else cin // groups, *window, 4]
    return [1, cin, rows, columns], [cout, cin // groups, *window]


def line_of(row: TableRow) -> bytes:
    values = row.values
    name, _, template = values["schedule"].partition(":")
    dtype, out = ("float32" if values["dtype"] == "fp32" else "float16",
                  "float16" if values["dtype"] == "fp16" else "float32")  # fmt: skip
    stride, dilation = int(values["stride"]), int(values["dilation"] or 1)
    settings = [[stride] * 2, [int(part) for part in values["padding"].split(":")], [dilation] * 2]
    number = int(values.get("error") or 0)
    result = [[1e9] if number else [float(values["ms"]) / 1e3], number, 1.0, 1.6e9]
    data, kernel = shapes(row)
    knobs = entity(values["config"])
    if template:
        settings = [*settings, "NCHW", out]
        return old_line(data, kernel, settings, knobs, result, task=name, template=template, dtype=dtype)
    return new_line(data, kernel, [*settings, out], knobs, result, task=name, dtype=dtype)


@pytest.mark.parametrize("name", ["tvm_opencl_best.csv", "tvm_opencl_tuning.csv.gz"])
def test_log_of_the_rows_of_a_table_is_the_table(shared_dir, name):
    rows = [
        row
        for row in read_rows(shared_dir / "data/phone" / name, REQUIRED, {})
        if row.values["kind"] != "dense" and row.values["memory"] != "texture?"  # which its maker was not sure of
        and ("." in row.values["schedule"] or ":" in row.values["schedule"])
        and (failure_of(row) == "" or row.values.get("error") not in (None, "", "0"))
        and (row.values["groups"] == "1" or row.values["kind"] == "depthwise")
    ]  # fmt: skip
    assert len(rows) > 3_000
    for row in rows:
        of = MeasuredOn(row.values["gpu"], row.values["device"])
        (measurement,) = read_autotvm(line_of(row), name, of).measurements
        expected = tvm_row_sample(row)
        assert measurement.sample.layer == expected.layer, row.place
        assert measurement.sample.layer.macs == int(row.values["macs"]), row.place
        assert measurement.sample.key == expected.key, row.place
        assert measurement.sample.schedule == expected.schedule, row.place
        assert measurement.failure == failure_of(row), row.place
        assert measurement.sample.ms == pytest.approx(expected.ms), row.place
