"""Whole networks against other engines: the shape of what comes out, and that every engine computes the same."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import costs, networks, rows_out, zoo_layers
from benchmarks.engines import ENGINES, engine, job
from benchmarks.engines.pytorch import onednn_conv
from benchmarks.engines.stock_tvm import stock_conv
from benchmarks.network_plans import check_plans, labels_for
from benchmarks.networks import compare
from codegen.lowering.layer import random_operands
from devices.timing.measure import measure
from fleetpose import cli
from fleetpose.errors import FleetposeError, UsageError
from latency.records.read import read_records
from models.frontend.trace import trace
from models.graph.reference import run_single
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import Sparsity
from models.resolve import create_model
from tests.host.kernel_cases import window
from tests.small_network import register_small

#: what each peer imports
PACKAGES = {"onnxruntime": ["onnxruntime", "onnx", "onnxscript"], "ncnn": ["ncnn", "pnnx"], "openvino": ["openvino"]}
PACKAGES["openvino"] += ["onnx", "onnxscript"]


@pytest.fixture(autouse=True)
def pytorch_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run_engines(*names: str, rounds: int = 3) -> dict[str, dict]:
    found = compare([register_small()], names, threads=1, rounds=rounds)
    json.dumps(found, allow_nan=False)
    assert set(found) == {"rows", "conditions"}
    return {row["engine"]: row for row in found["rows"]}


def test_rows_of_ours_pytorch_and_stock_tvm(host):
    rows = run_engines("torch", "stock_tvm", "ours", rounds=4)
    assert set(rows) == {"ours", "torch", "stock_tvm"}
    for row in rows.values():
        assert row["error"] is None
        assert (row["plan"], row["threads"], row["size"]) == ("dense", 1, (32, 32))
        assert 0 < row["min_ms"] <= row["median_ms"]
        assert row["max_abs_error"] <= job.MAX_ABS_ERROR
    assert (rows["torch"]["rounds"], rows["stock_tvm"]["rounds"]) == (4, ENGINES["stock_tvm"].most_rounds)
    assert rows["ours"]["time_over_ours"] is None
    for name in ("torch", "stock_tvm"):
        over = rows[name]["time_over_ours"]
        assert 0 < over["low"] <= over["median"] <= over["high"]


@pytest.mark.parametrize("name", PACKAGES)
def test_engine_computes_the_same_as_pytorch(host, name):
    for package in PACKAGES[name]:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install -e '.[bench]'")
    row = run_engines(name)[name]
    assert row["error"] is None
    assert row["max_abs_error"] <= job.MAX_ABS_ERROR
    assert row["time_over_ours"] is None  # ours was not asked for


def test_engine_that_is_missing_is_a_row_with_the_reason(host, monkeypatch):
    monkeypatch.setitem(sys.modules, "ncnn", None)
    monkeypatch.delitem(sys.modules, "benchmarks.engines.ncnn", raising=False)
    rows = run_engines("ncnn", "torch")
    assert "not installed (ncnn)" in rows["ncnn"]["error"]
    assert rows["ncnn"]["median_ms"] is None
    assert rows["torch"]["error"] is None


def test_engine_with_other_outputs_is_refused():
    with pytest.raises(FleetposeError, match="shapes"):
        job.max_abs_error([np.zeros((1, 2))], [np.zeros((2, 1))])
    made = job.EngineJob("", torch.nn.Identity(), np.ones((1, 1, 2, 2), np.float32), 1, None)
    with pytest.raises(FleetposeError, match=r"largest error 0\.5"):
        made.check(job.PreparedEngine.of_callable(lambda: [made.tensor + 0.5]))
    with pytest.raises(FleetposeError, match="largest error nan"):
        made.check(job.PreparedEngine.of_callable(lambda: [made.tensor * np.nan]))


def test_a_plan_of_ours_computes_what_pytorch_does_with_its_zeros(host, tmp_path):
    model = register_small()
    graph = trace(create_model(model), (3, 32, 32), model)
    sparse = next(layer.name for layer in graph.layers if layer.op == "conv" and layer.macs > 0 and layer.groups == 1)
    path = tmp_path / "half.json"
    Plan.of(model, graph.layers, {sparse: Sparsity.parse("columns:0.5:4x1")}).save(path)
    found = compare([model], ["ours", "torch"], plans=[str(path)], threads=1, rounds=2, size=(32, 32))
    rows = {(row["engine"], row["plan"]): row for row in found["rows"]}
    assert set(rows) == {("ours", "dense"), ("ours", str(path)), ("torch", "dense")}
    assert all(row["error"] is None for row in rows.values())
    assert rows["ours", str(path)]["max_abs_error"] <= job.MAX_ABS_ERROR
    assert rows["ours", str(path)]["time_over_ours"]["median"] > 0


def test_plans_of_label_are_the_papers_or_files():
    assert labels_for("resnet50_3", []) == ["dense", "1.80x", "2.15x"]
    assert labels_for("resnet50_3", ["2.15x"]) == ["dense", "2.15x"]
    assert labels_for("lwop", ["2.15x", "dense"]) == ["dense"]
    with pytest.raises(UsageError, match=r"did you mean '2\.15x'"):
        labels_for("lwop", ["2.16x"])


def test_a_plan_in_a_file_is_of_the_network_it_names(tmp_path):
    path = str(tmp_path / "plan.json")
    Plan("resnet50_3", (LayerChoice("neck.0"),)).save(Path(path))
    assert labels_for("resnet50_3", [path]) == ["dense", path]
    assert labels_for("lwop", [path, "2.15x"]) == ["dense"]
    check_plans(["lwop", "resnet50_3"], [path])
    with pytest.raises(UsageError, match="a plan of resnet50_3, not of lwop or efficientnet"):
        check_plans(["lwop", "efficientnet"], [path])


def test_networks_command_refuses_wrong_flags(capsys):
    with pytest.raises(UsageError, match="did you mean 'onnxruntime'"):
        engine("onnxruntim")
    for flags in (["--threads", "0"], ["--rounds", "0"], ["--plot", "a.svg"], ["--engine", "tflite"]):
        assert cli.run(networks.main, networks.make_parser(), flags) == 2
    assert capsys.readouterr().err.count("benchmarks.networks:") == 4


def test_networks_command_prints_a_table_and_writes_csv(host, tmp_path, capsys):
    flags = ["--model", register_small(), "--engine", "ours", "torch", "--rounds", "2", "--threads", "1"]
    flags += ["--csv", str(tmp_path / "rows.csv"), "--size", "40x24"]
    assert cli.run(networks.main, networks.make_parser(), flags) == 0
    assert "time / ours" in capsys.readouterr().out
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(rows_out.COLUMNS)
    assert [(row["engine"], row["height"], row["width"], row["error"]) for row in rows] == [
        ("ours", "40", "24", ""),
        ("torch", "40", "24", ""),
    ]
    assert float(rows[1]["time_over_ours"]) > 0


def test_networks_command_draws(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[bench]'")
    row = {"network": "one", "plan": "dense", "engine": "ours", "median_ms": 2.0, "min_ms": 1.0, "error": None}
    failed = {**row, "network": "two", "median_ms": None, "min_ms": None, "error": "broken"}
    rows_out.plot([row, {**row, "engine": "torch", "median_ms": 30.0}, failed], tmp_path / "drawing.png")
    assert (tmp_path / "drawing.png").read_bytes().startswith(b"\x89PNG")


CONVOLUTIONS = {
    "plain": window("conv", (8, 9), (11, 13), (3, 3)),
    "strided, dilated, grouped": window(
        "conv", (8, 12), (17, 15), (3, 3), (2, 2), dilation=(2, 2), groups=4, bias=False
    ),
}


@pytest.mark.parametrize("layer", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_single_convolutions(host, layer):
    inputs, weights = random_operands(layer, 0)
    expected = run_single(layer, inputs, weights.weight, weights.bias)
    stock = stock_conv(layer, host, inputs, weights)
    np.testing.assert_allclose(stock.outputs()[0][0], expected, atol=1e-4)
    assert measure(host, stock.call.function, entry=stock.call.entry, repeats=2).ok
    for prepacked in (False, True):
        run = onednn_conv(layer, inputs, weights, prepacked)
        found = run().to_dense() if prepacked else run()
        np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-4)


def test_costs_of_a_transposed_convolution(host, monkeypatch, capsys):
    """One small layer against PyTorch, which is always there."""
    monkeypatch.setattr(costs, "TRANSPOSED", {"small": (6, 5, 4, 2, 1, 1, 7, 9)})
    argv = ["--kind", "transposed", "--rounds", "3", "--json"]
    assert cli.run(costs.main, costs.make_parser(), argv) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["kind"], row["what"]) == ("transposed convolution", "small")
    assert row["over"] in costs.PEERS
    assert min(row["ms"], row["over_ms"]) > 0
    assert row["low"] <= row["ratio"] <= row["high"]


@pytest.mark.slow
@pytest.mark.usefixtures("host")
def test_layers_of_the_zoo_are_records_that_can_be_learnt_from(capsys, tmp_path):
    """The layers of one network that multiply nothing, at its own size."""
    path = tmp_path / "zoo.jsonl"
    flags = ["--network", "U-Net", "--moving", "--scale", "1", "--rounds", "3", "-o", str(path), "--json"]
    assert cli.run(zoo_layers.main, zoo_layers.make_parser(), flags) == 0
    said = json.loads(capsys.readouterr().out)
    records = read_records(path)
    assert len(records) == said["records"] == said["measured"] > 0
    assert set(said["failed"]) <= {"noise"}, "as on a machine that is busy"
    assert {record.networks for record in records} == {("U-Net",)}
    assert all(record.layer is not None and record.layer.macs == 0 for record in records)
