"""The kernel benchmark on a tiny network: the shape of what comes out; every kernel has numbers or a reason."""

import csv
import json

import pytest
import torch

from benchmarks import kernel_timing, kernels
from benchmarks.kernel_contenders import KernelSelection, contenders_of, kind_of, unique_convolutions
from benchmarks.kernel_rows import ONEDNN, Contender, make_row
from benchmarks.kernel_timing import LayerBench
from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.sizes import trace_sizes
from codegen.schedules import RULES, default_choice
from codegen.tuning.database import Tuned
from devices import open_device
from fleetpose import cli
from fleetpose.errors import UsageError
from tests import sweep
from tests.host.kernel_cases import window
from tests.small_network import register_small

SUMMARY = {
    "geomean_dense_vs_onednn",
    "geomean_dense_vs_onednn_prepacked",
    "min_dense_vs_onednn",
    "geomean_dense_vs_stock_tvm",
    "depthwise_vs_onednn",
    "sparse",
    "sparse_vs_best_dense",
    "break_even",
}


@pytest.fixture(autouse=True)
def pytorch_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def graph():
    return trace_sizes(register_small(), None, 0, [(32, 32)])[0]


def run_command(*flags: str) -> int:
    return cli.run(kernels.main, kernels.make_parser(), ["--model", register_small(), "--threads", "1", *flags])


def test_kernel_cases_are_unique_convolutions(graph):
    cases = unique_convolutions(graph, 16)
    labels = [case.facts.label for case in cases]
    assert len(set(labels)) == len(labels) == 4
    assert sum(case.facts.count for case in cases) == sum(layer.op == "conv" for layer in graph.layers)
    assert sum(case.facts.macs_share for case in cases) == pytest.approx(1)
    assert [case.facts.label for case in unique_convolutions(graph, 16, ["*_s2_*"])] == labels[:1]
    with pytest.raises(UsageError, match="did you mean 'conv_3x3_d2_24_5"):
        unique_convolutions(graph, 16, ["conv_3x3_d2_24_6"])


def test_kind_of_names_convolutions():
    assert kind_of(window("conv", (8, 8), (9, 9), (5, 5))) == "5x5"
    assert kind_of(window("conv", (8, 8), (9, 9), (3, 3), groups=8)) == "depthwise"
    assert kind_of(window("conv", (8, 8), (9, 9), (3, 3), groups=2)) == "grouped"


def test_kernel_contenders_are_rules_and_sparsities(graph, host):
    case = unique_convolutions(graph, host.profile.lanes)[1]
    every = KernelSelection(ratios=(2, 4), families=("columns:4x1", "block_punched:4x2", "pattern"), configurations=2)
    contenders, declined = contenders_of(case.workload, host.profile, every)
    names = [one.name for one in contenders]
    assert len(set(names)) == len(names)
    assert {one.schedule for one in contenders} >= {"", "direct"}
    answering = [rule.name for rule in RULES if not rule.reads_sparsity and rule.space(case.workload, host.profile)]
    for rule in answering:
        assert 1 <= sum(one.schedule == rule and one.sparsity is None for one in contenders) <= 2
    for one in contenders:
        if one.sparsity is not None:
            assert one.kept == pytest.approx(one.sparsity.kept_fraction(case.workload.layer.weight_shape))
    assert all(declined.values())
    assert {one.family for one in contenders if one.ratio == 2} <= {"columns:4x1", "block_punched:4x2"}
    few, _ = contenders_of(case.workload, host.profile, KernelSelection(ratios=(), schedules={"direct"}, peers=False))
    assert [one.schedule for one in few] == ["direct"]


def test_a_tuned_configuration_comes_first(graph, host):
    case = unique_convolutions(graph, host.profile.lanes)[1]
    direct = next(rule for rule in RULES if rule.name == "direct")
    last = ScheduleChoice("direct", direct.space(case.workload, host.profile)[-1])

    class Known(Tuned):
        def choice(self, workload, profile):
            return last

    selection = KernelSelection(ratios=(), schedules={"direct"}, peers=False, tuned=Known())
    assert [one.choice for one in contenders_of(case.workload, host.profile, selection)[0]] == [last]


@pytest.mark.long
def test_kernels_command_prints_a_json_object(host, capsys):
    few = () if sweep.EVERYTHING else ("--family", "columns:4x1", "pattern")
    assert run_command("--rounds", "2", "--ratio", "2", "4", "--tuned", "none", "--json", *few) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= {"device", "threads", "versions", "rows", *SUMMARY}
    assert found["threads"] == 1
    assert len(found["rows"]) == 4
    for row in found["rows"]:
        assert row["best_dense"]["ms"] == min(one["ms"] for one in row["dense"].values())
        assert 0 < row["best_dense"]["ms"] <= row["best_direct_ms"]
        for key in ("onednn", "onednn_prepacked", "stock_tvm"):
            assert row[f"{key}_ms"] > 0
            assert row[f"dense_vs_{key}"] > 0
        for ratio, times in row["sparse"].items():
            assert all(ms > 0 for ms in times.values())
            assert (row["best_sparse"][ratio] is None) or row["best_sparse"][ratio]["vs_direct"] > 0
        assert all(isinstance(reason, str) and reason for reason in {**row["errors"], **row["declined"]}.values())
        assert row["errors"] == {}
    assert found["geomean_dense_vs_onednn"] > 0
    assert found["min_dense_vs_onednn"]["layer"] in [row["layer"] for row in found["rows"]]
    assert found["sum_ms"]["best_dense"] > 0
    readers = any(rule.reads_sparsity for rule in RULES)
    assert ("3x3" in found["sparse"]) == ("3x3" in found["break_even"]["best_dense"]) == readers


def test_kernels_command_writes_table_and_csv(host, tmp_path, capsys):
    flags = ["--rounds", "2", "--ratio", "2", "--no-stock", "--layer", "*_d2_*", "--csv", str(tmp_path / "rows.csv")]
    assert run_command(*flags) == 0
    printed = capsys.readouterr().out
    assert "conv_3x3_d2_24_5_16x16" in printed
    assert "fused epilogue" in printed
    with open(tmp_path / "rows.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["layer"] == "conv_3x3_d2_24_5_16x16"
    assert float(row["direct_ms"]) > 0
    assert (row["stock_tvm_ms"], row["errors"]) == ("", "")


def test_wrong_kernels_are_reasons(host, monkeypatch, capsys):
    monkeypatch.setattr(kernel_timing, "MAX_RELATIVE_ERROR", -1.0)  # that no kernel keeps
    assert run_command("--rounds", "2", "--ratio", "--no-stock", "--layer", "*_d2_*", "--json") == 1
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["best_dense"], row["dense_vs_onednn"]) == (None, None)
    assert row["onednn_ms"] > 0
    assert row["errors"]
    assert all("its result is wrong" in reason for reason in row["errors"].values())


def test_a_lost_device_costs_one_kernel(graph):
    """The connection is cut before the first kernel: it has a reason, the others have times."""
    with open_device("host") as session:
        case = unique_convolutions(graph, session.profile.lanes)[1]
        choice = default_choice(case.workload, session.profile)
        contenders = [Contender("first", choice), Contender("second", choice), Contender(ONEDNN)]
        session.abort("cut by a test")
        times = LayerBench(case, session).run(contenders, 2, False, lambda what: None)
    row = make_row(times)
    assert row["errors"].keys() == {"first"}
    assert "cut by a test" in row["errors"]["first"]
    assert row["best_dense"]["ms"] > 0
    assert row["onednn_ms"] > 0


@pytest.mark.long
def test_kernels_command_draws(host, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[bench]'")
    drawing = tmp_path / "kernels.png"
    flags = ["--rounds", "1", "--ratio", "2", "--no-stock", "--layer", "*_8_8_*", "--plot", str(drawing)]
    assert run_command(*flags) == 0
    assert drawing.read_bytes().startswith(b"\x89PNG")
    assert "conv_3x3_8_8" in capsys.readouterr().out


def test_kernels_command_refuses_wrong_flags(capsys):
    for flags in (
        ["--threads", "0"],
        ["--rounds", "0"],
        ["--ratio", "1"],
        ["--schedule", "driect"],
        ["--family", "blocks:8x1"],
        ["--family", "columns"],
        ["--target-host", "windows"],
        ["--plot", "a.svg"],
    ):
        assert run_command(*flags) == 2
    printed = capsys.readouterr().err
    assert printed.count("benchmarks.kernels:") == 8
    assert "did you mean 'direct'" in printed
