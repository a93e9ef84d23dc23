"""Fits to what ncnn printed: networks that it timed beside their layers calibrate a predictor's totals."""

import json

import numpy as np
import pytest

from fleetpose import cli
from latency import evaluate, fit
from latency.cost_model.calibration import TERMS, terms_of
from latency.cost_model.predictor import Predictor
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import NetworkRun
from latency.dataset.read import Dataset
from latency.network_model.run_calibration import account_of_runs, calibrate_on_runs, runs_with_layers

#: what a whole network of `timings` takes, over its layers
OVERHEAD = 1.25


def timings(networks=6, layers=8):
    """benchncnn's output of networks whose layers take a microsecond for 20,000 multiply-adds, and 0.05 ms."""
    lines = ["[0 Mali-G76]  queueC=0[1]  queueG=0[1]", "gpu_device = 0"]
    for number in range(networks):
        total = 0.0
        for layer in range(layers):
            channels, filters, side = 16 * (1 + layer), 16 * (1 + number), 28 + 4 * (layer % 3)
            ms = round(0.05 + 9 * channels * filters * side * side / 2e7, 2)
            total += ms
            shapes = f"[{side:3}, {side:3}, {channels // 4:3} *4] -> [{side:3}, {side:3}, {filters // 4:3} *4]"
            lines.append(
                f"{'Convolution':24} {f'conv{layer}':30} {ms:8.2f}ms    | {shapes}     kernel: 3 x 3     stride: 1 x 1"
            )
        lines.append(f"{'Softmax':24} {'prob':30} {1.0:8.2f}ms    |")
        name, whole = f"net{number}", OVERHEAD * (total + 1)
        lines.append(f"{name:>20}  min = {whole:7.2f}  max = {whole:7.2f}  avg = {whole:7.2f}")
    return "\n".join(lines) + "\n"


def test_calibration_is_the_ratio_that_networks_have():
    runs = [NetworkRun(f"net{number}", 1.5 * (number + 3), (1.0, float(number + 2)), 1e6) for number in range(2)]
    calibration = calibrate_on_runs(runs)
    assert calibration.networks == ("net0", "net1")
    assert calibration.used == {"sum": pytest.approx(1.5)}
    assert [row["error"] for row in account_of_runs(runs, calibration)] == pytest.approx([0, 0])
    assert calibrate_on_runs([]) is None


def test_only_networks_with_layers_that_count_calibrate(tmp_path):
    path = tmp_path / "log"
    path.write_text(timings(2) + "               alone  min =    6.78  max =    7.09  avg =    6.91\n")
    for where, names in (((), ["net0", "net1"]), (("network=net1",), ["net1"]), (("network=other",), [])):
        dataset = Dataset.read([path], where, False, MeasuredOn())
        assert [run.name for run in runs_with_layers(dataset)] == names


def test_fit_and_evaluate_read_ncnn(tmp_path, capsys):
    data, out = tmp_path / "ncnn.txt", tmp_path / "mali.predictor"
    data.write_text(timings())
    flags = ["--data", str(data), "--no-search", "-o", str(out), "--json"]
    assert cli.run(fit.main, fit.make_parser(), flags) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["device"], summary["gpu"], summary["framework"]) == ("mali-g76", "Mali-G76", "ncnn")
    assert [row["network"] for row in summary["calibration"]["networks"]] == [f"net{number}" for number in range(6)]
    assert [row["error"] for row in summary["calibration"]["networks"]] == pytest.approx([0] * 6, abs=0.01)
    calibration = Predictor.load(out).calibration
    many = np.full(40, 2.0)
    assert calibration.predict(terms_of(many, 40, 0.0)[None])[0] == pytest.approx(OVERHEAD * 80, rel=0.05)
    assert len(calibration.coefficients) == len(TERMS)
    flags = [
        "--data",
        str(data),
        "--networks",
        str(data),
        "--split",
        "network",
        "--folds",
        "3",
        "--no-search",
        "--json",
    ]
    assert cli.run(evaluate.main, evaluate.make_parser(), flags) == 0
    figures = json.loads(capsys.readouterr().out)["networks"]
    assert figures["n"] == 6
    assert figures["mape"] < 0.2


def test_fit_names_the_flag_that_a_log_lacks(tmp_path, capsys):
    path = tmp_path / "log"
    path.write_text("\n".join(timings().splitlines()[1:]).replace("gpu_device = 0", ""))
    flags = ["--data", str(path), "--no-search", "-o", str(tmp_path / "p.predictor")]
    assert cli.run(fit.main, fit.make_parser(), flags) == 2
    assert "add --gpu NAME" in capsys.readouterr().err
