"""Which rows of a public table `benchmarks.inspected_cycles` learns from."""

import csv

import pytest

from benchmarks.inspected_cycles import read_samples
from fleetpose.errors import UsageError

ROW = {
    "framework": "tvm", "device": "adreno730", "gpu": "Adreno 730", "op": "conv", "cin": 64, "cout": 32, "h_in": 28,
    "w_in": 28, "h_out": 28, "k": 3, "stride": 1, "dilation": 1, "groups": 1, "dtype": "fp16", "winner": 1,
    "suspect": 0, "ms": 0.5,
}  # fmt: skip
OTHERS = [
    {"device": "adreno660"}, {"dtype": "fp32"}, {"winner": 0}, {"suspect": 1}, {"op": "dense"}, {"w_in": 14},
    {"dilation": 2}, {"k": ""},
]  # fmt: skip


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ROW)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_fastest_kernels_of_square_convolutions_are_taken(tmp_path):
    same = [{**ROW, "ms": ms} for ms in (0.5, 0.7, 0.9)]
    rows = [*same, {**ROW, "cout": 16}, *({**ROW, **other} for other in OTHERS)]
    samples = read_samples(write_table(tmp_path / "t.csv", rows), "adreno730", "fp16")
    assert [(sample.layer.out_shape, sample.ms) for sample in samples] == [((32, 28, 28), 0.7), ((16, 28, 28), 0.5)]


@pytest.mark.parametrize("other", OTHERS)
def test_table_without_any_is_refused(tmp_path, other):
    table = write_table(tmp_path / "t.csv", [{**ROW, **other}])
    with pytest.raises(UsageError, match="has no square convolutions of adreno730 in fp16"):
        read_samples(table, "adreno730", "fp16")
