"""The latency model on public phone measurements, whole shapes held out; bounds leave room for what chance moves."""

import json

import pytest

from fleetpose import cli
from latency import evaluate


def test_a_phone_by_shape(shared_dir, capsys):
    table = shared_dir / "data/phone/conv_latency.csv"
    if not table.exists():
        pytest.skip(f"{table} is not there")
    flags = ["--data", str(table), "--where", "framework=tflite", "device=a03s", "suspect=0", "--split", "shape"]
    assert cli.run(evaluate.main, evaluate.make_parser(), [*flags, "--folds", "3", "--no-search", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] > 1000
    assert found["mape"] < 0.07
    assert found["spearman"] > 0.99
    assert 0.8 < found["interval_coverage"] < 0.97
    assert found["mape"] < min(found["baselines"].values(), key=lambda each: each["mape"])["mape"]
    assert found["decision"]["n"] == 0
