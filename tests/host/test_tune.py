"""Tuning for real: a tiny network within a small budget, resumed, with candidates that fail in every way."""

import json
import time
from dataclasses import dataclass

import numpy as np
import pytest

from codegen import schedules, tune
from codegen.kernels.builder import kernel, put
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Kernel, Weights
from codegen.schedules.direct import DIRECT
from codegen.schedules.rule import Rule
from codegen.tuning import database as tuned
from codegen.tuning.contest import Contest
from codegen.tuning.database import METASCHEDULE, Tuned, read_rows
from codegen.tuning.ranking.ranker import to_time
from codegen.tuning.ranking.trials import read_trials, trials_path
from codegen.tuning.tasks import tasks_of
from fleetpose import cli
from models.frontend.trace import trace
from tests.small_network import Small, register_small


@dataclass(frozen=True)
class Fault:
    """What a kernel does wrong."""

    kind: str

    def __str__(self) -> str:
        return self.kind


def _faulty(workload, weights, profile, fault):
    """A kernel of the schedule below: its code is direct's where it computes at all."""
    if fault.kind == "refuses":
        raise ValueError("such a tile does not exist")
    if fault.kind == "errs":
        return DIRECT.make(
            workload, Weights(-weights.weight, weights.bias), profile, DIRECT.space(workload, profile)[0]
        )
    with kernel(workload.arguments(), [1], profile) as frame:  # far outside of its buffer
        put(frame["out"], 2_000_000_000, np.float32(1))
    return Kernel(frame.func)


FAULTY = Rule(
    "faulty",
    Fault,
    lambda workload, profile: [Fault(kind) for kind in ("refuses", "errs", "crashes")] if is_conv(workload) else [],
    _faulty,
    prefers=lambda workload, profile: False,
)


def is_conv(workload) -> bool:
    return workload.layer.op == "conv"


@pytest.fixture
def faulty_schedule(monkeypatch):
    for module in (schedules, tuned, tune):
        monkeypatch.setattr(module, "RULES", (*schedules.RULES, FAULTY))


def run(capsys, *argv) -> dict:
    """The command's JSON; nothing else may be on stdout."""
    status = cli.run(tune.main, tune.make_parser(), ["--model", register_small(), "--rounds", "3", "--json", *argv])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    return json.loads(printed.out)


def small_tasks(profile, **wanted):
    return tasks_of([trace(Small().eval(), (3, 32, 32), "small")], profile, **wanted)


@pytest.mark.usefixtures("host")
def test_tune_resumes(capsys, tmp_path):
    out = tmp_path / "new" / "x.jsonl"
    started = time.monotonic()
    first = run(capsys, "--out", str(out), "--layer", "wide", "stem")
    assert (first["measured"], first["left"]) == (2, 0)
    for row in first["rows"]:
        assert 0 < row["ms"] < 1e3 * (time.monotonic() - started)
        assert row["ratio"] >= 1
        assert not row["failures"], row["failures"]
        assert row["device"]["profile"].startswith("host")
        assert row["tried"] > 1
    again = run(capsys, "--out", str(out), "--layer", "wide", "stem")
    assert (again["measured"], again["rows"]) == (0, first["rows"])
    more = run(capsys, "--out", str(out), "--layer", "wide", "--sparsity", "dense", "block_punched:0.75:4x4", "--force")
    assert more["measured"] == 2
    assert [row["workload"]["sparsity"] for row in more["rows"]].count("block_punched:0.75:4x4") == 1
    assert len(read_rows(out)) == 3


def test_tune_times_a_share_of_the_candidates_and_remembers_them(host, capsys, tmp_path):
    out = tmp_path / "x.jsonl"
    tasks = {task.key: len(task.choices) for task in small_tasks(host.profile, layers=["one", "stem"])}
    run(capsys, "--out", str(out), "--layer", "one", "stem", "--share", "0.3")
    rows, known = read_rows(out), read_trials(trials_path(out))
    assert {row.workload: row.tried for row in rows} == {key: to_time(count, 0.3) for key, count in tasks.items()}
    assert any(row.tried < tasks[row.workload] for row in rows)
    assert {one.workload: len(one.ms) for one in known} == {row.workload: row.tried for row in rows}
    assert all(one.choices[0] == row.default for one in known for row in rows if row.workload == one.workload)
    assert run(capsys, "--out", str(out), "--layer", "one", "stem", "--share", "0.3")["measured"] == 0
    every = run(capsys, "--out", str(out), "--layer", "one", "stem", "--share", "1")
    assert {row["tried"] for row in every["rows"]} == set(tasks.values())


def test_build_uses_a_choice_that_was_measured(host, capsys, tmp_path):
    run(capsys, "--out", str(tmp_path / "x.jsonl"), "--layer", "wide")
    (task,) = small_tasks(host.profile, layers=["wide"])
    found = Tuned.load(tmp_path / "x.jsonl")
    assert found.choice(task.workload, host.profile) == found.row(task.workload).choice()


@pytest.mark.usefixtures("host")
def test_tune_ends_at_its_budget(capsys, tmp_path):
    found = run(capsys, "--out", str(tmp_path / "x.jsonl"), "--budget-secs", "0")
    assert (found["measured"], found["rows"]) == (0, [])
    assert found["left"] >= 4
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.usefixtures("host", "faulty_schedule")
def test_tune_records_failures_and_goes_on(capsys, tmp_path):
    found = run(capsys, "--out", str(tmp_path / "x.jsonl"), "--layer", "wide", "stem", "--share", "1")
    assert found["measured"] == 2, "what crashes ends its session only"
    for row in found["rows"]:
        reasons = {failure["choice"]: failure["reason"] for failure in row["failures"]}
        assert reasons.keys() == {"faulty refuses", "faulty errs", "faulty crashes"}
        assert "such a tile does not exist" in reasons["faulty refuses"]
        assert "is wrong in" in reasons["faulty errs"]
        assert "went away" in reasons["faulty crashes"]
        assert row["best"]["schedule"] != "faulty"


@pytest.mark.usefixtures("faulty_schedule")
def test_tune_replaces_a_default_that_fails(host):
    (task,) = small_tasks(host.profile, layers=["wide"])
    inputs, weights = task.operands(0)
    contest = Contest(host, task.workload, weights, inputs)
    for choice in (ScheduleChoice("faulty", Fault("refuses")), *task.choices[:2]):
        contest.enter(choice)
    verdict = contest.decide(3)
    assert verdict.best in task.choices[:2]
    assert (verdict.default_secs, verdict.ratio, verdict.tried) == (None, None, 3)
    nothing = Contest(host, task.workload, weights, inputs)
    nothing.enter(ScheduleChoice("faulty", Fault("refuses")))
    assert nothing.decide(3) is None


@pytest.mark.long
def test_tune_records_metaschedule_and_never_chooses_it(host, capsys, tmp_path):
    out = tmp_path / "x.jsonl"
    flags = ("--out", str(out), "--layer", "stem", "--tuner", METASCHEDULE, "--trials", "2")
    found = run(capsys, *flags)
    (row,) = found["rows"]
    assert row["best"] == {"schedule": METASCHEDULE}
    assert row["ms"] > 0
    assert row["default_ms"] > 0
    assert run(capsys, *flags)["measured"] == 0
    (task,) = small_tasks(host.profile, layers=["stem"])
    assert Tuned.load(out).choice(task.workload, host.profile) is None


def test_tune_refuses_bad_flags(capsys, tmp_path):
    model = register_small()
    torn = tmp_path / "torn.jsonl"
    torn.write_text("{\n{}\n")
    for argv, text in [
        (["--model", "lwpo"], "did you mean 'lwop'?"),
        (["--model", model, "--device", "null"], "the null device runs nothing"),
        (["--model", model, "--rounds", "0"], "at least 1"),
        (["--model", model, "--out", str(tmp_path)], "is a directory"),
        (["--model", model, "--out", str(torn)], "torn.jsonl, line 1, is not JSON"),
        (["--model", model, "--layer", "wid"], "did you mean 'wide'?"),
        (["--model", model, "--size", "33x32"], "multiples of 4"),
        (["--model", model, "--sparsity", "blocks:0.5"], "unknown variant 'blocks'"),
        (["--model", model, "--sparsity", "pattern:0.75", "--tuner", METASCHEDULE], "dense convolutions only"),
    ]:
        status = cli.run(tune.main, tune.make_parser(), argv)
        printed = capsys.readouterr()
        assert (status, printed.out) == (2, ""), argv
        assert text in printed.err
        assert printed.err.count("\n") <= 2, printed.err


def test_tune_has_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        tune.make_parser().parse_args(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m codegen.tune")
