"""Commands with predictors that come with the package: predict says plainly, decide refuses, collect times the few."""

import json

import pytest

from fleetpose import cli
from latency import collect, decide, fit, predict
from tests.pure.test_tvm_kernels import write


def run(module, *words):
    return cli.run(module.main, module.make_parser(), list(words))


def test_predict_answers_without_a_phone_and_says_whose_kernels(capsys):
    assert run(predict, "--model", "lwop", "--size", "96x96", "--device-model", "adreno-730", "--dtype", "float16") == 0
    text = capsys.readouterr().out
    assert "predicted from others' kernels" in text
    assert "octoml/qualcomm, Apache-2.0" in text


def test_halves_are_predicted_faster_and_layers_have_their_fastest_kernel(capsys):
    totals, kernels = [], []
    for dtype in ("float16", "float32"):
        words = ("--model", "resnet50_3", "--device-model", "adreno-730", "--dtype", dtype, "--json")
        assert run(predict, *words) == 0
        answer = json.loads(capsys.readouterr().out)
        totals.append(answer["network"]["ms"])
        kernels += [layer["kernel"] for layer in answer["layers"]]
        assert "not this project's" in answer["about"]
    assert totals[0] < totals[1]
    assert {"direct", "winograd4"} & set(kernels)


def test_decide_refuses_to_decide_from_the_box_alone(tmp_path, capsys):
    words = ("--model", "lwop", "--size", "96x96", "--predictor", "adreno-730", "--speedup", "1.5")
    assert run(decide, *words, "-o", str(tmp_path / "plan.json")) != 0
    assert "not of this project's kernels" in capsys.readouterr().err


def test_collect_times_the_few_runs_that_tell_most_and_goes_on_from_there(tmp_path, capsys):
    out = tmp_path / "few.jsonl"
    words = ("--model", "lwop", "--size", "96x96", "--device", "null", "--sparsity", "dense", "--rounds", "3",
             "--active", "adreno-660", "adreno-730", "mali-g76", "--few", "6", "-o", str(out))  # fmt: skip
    assert run(collect, *words, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert first["measured"] == 6
    assert run(collect, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["measured"] == 0


@pytest.mark.parametrize("count", [1, 12])
def test_a_phone_of_which_few_layers_were_timed(tmp_path, capsys, count):
    lines = [{"config": "tile_fc=1x8", "cin": 16 * (number + 1), "ms": 0.1 * (number + 1)} for number in range(count)]
    table, out = write(tmp_path / "few.csv", *lines), tmp_path / "new.predictor"
    assert run(fit, "--data", str(table), "--base", "adreno-650", "adreno-730", "-o", str(out)) == 0
    text = capsys.readouterr().out
    assert f"the mean of 2 other devices' predictors, corrected by {count} samples" in text
    assert "intervals: ±" in text or count == 1
    assert (tmp_path / "new.predictor.png").exists() == (count > 1)
    assert run(predict, "--model", "lwop", "--size", "96x96", "--predictor", str(out), "--dtype", "float16") == 0
    assert "predicted for tvm on Adreno 660" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--few", "6"), "--few needs --active"),
        (("--sustained", "9"), "add --networks"),
        (("--active", "adreno-660", "adreno-730"), "--active takes one"),
    ],
)
def test_flags_that_do_not_go_together(tmp_path, capsys, flags, message):
    out = str(tmp_path / "few.jsonl")
    assert run(collect, "--model", "lwop", "--size", "96x96", "--device", "null", *flags, "-o", out) != 0
    assert message in capsys.readouterr().err
