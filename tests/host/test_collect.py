"""latency.collect on this machine: records with times, a run killed and continued, a wrong variant, a dead device."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from devices.rpc import tracker
from fleetpose import cli
from fleetpose.errors import DeviceUnreachable
from latency import collect
from latency.profiling.bench import LayerBench
from latency.profiling.collector import Collector
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Patience
from latency.profiling.space import Group, network_groups
from latency.records.journal import Journal
from latency.records.read import read_records
from latency.records.record import Failure, Record
from models.plans.sparsity import parse_variant
from tests.scatter import overlook_scatter
from tests.small_network import register_small

FLAGS = ("--model", register_small(), "--sparsity", "columns:0.75:4x1", "block_punched:0.5:4x2", "--rounds", "3",
         "--wait-secs", "0", "--json")  # fmt: skip
QUICK = RunSettings(rounds=3, sample_secs=0.0005, timeout_secs=20.0, patience=Patience(wait_secs=0.0, useless=1e9))
SPARSE = parse_variant("columns:0.75:4x1")
WAIT_SECS = 600.0

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["latency.collect", "tests.small_network"])


class Collection:
    """`python -m latency.collect` in a process of its own, forked from one that has imported everything."""

    def __init__(self, out: Path, *flags: str) -> None:
        self.printed, self.said = out.with_suffix(".out"), out.with_suffix(".err")
        tracking = {name: os.environ[name] for name in ("TVM_TRACKER_HOST", "TVM_TRACKER_PORT") if name in os.environ}
        work = ([*FLAGS, "-o", str(out), *flags], str(self.printed), str(self.said), tracking)
        self.process = FORKS.Process(target=collect_in_child, args=work, daemon=True)
        self.process.start()

    def end(self) -> tuple[int, dict, str]:
        """Exit status, summary, standard error."""
        self.process.join(WAIT_SECS)
        printed = self.printed.read_text()
        return self.process.exitcode, json.loads(printed) if printed.strip() else {}, self.said.read_text()


def collect_in_child(flags: list[str], out: str, err: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    register_small()
    overlook_scatter()
    sys.exit(cli.run(collect.main, collect.make_parser(), flags))


def wait_for_records(path: Path, running: Collection, count: int = 1) -> None:
    limit = time.monotonic() + WAIT_SECS
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert running.process.is_alive(), running.said.read_text()
        assert time.monotonic() < limit
        time.sleep(0.01)


def wrong(records: list[Record]) -> list[Failure]:
    """Failures that are not the machine's unrest, which three rounds beside other work may well meet."""
    return [each.failure for each in records if each.failure is not None and each.failure.kind != "noise"]


@pytest.fixture(scope="module")
def groups(host) -> list[Group]:
    from models.frontend.trace import trace
    from models.resolve import create_model

    graph = trace(create_model(register_small()), (3, 32, 32), register_small())
    return network_groups([graph], host.profile, [SPARSE])


def collector(host, journal, **changed) -> Collector:
    return Collector(journal, Recipe(host.profile), QUICK, lambda message, done, total: None, **changed)


def test_collect_killed_goes_on_and_is_whole(host, tmp_path):
    """kill -9 once records are there; then a torn line; then the same command. Nothing is lost, doubled or missing."""
    path = tmp_path / "x.jsonl"
    killed = Collection(path, "--networks")
    wait_for_records(path, killed)
    killed.process.kill()
    killed.process.join()
    kept = "".join(line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n"))
    path.write_text(kept + kept.splitlines()[0][:300])  # as if the kill had torn the next line
    status, summary, error = Collection(path, "--networks").end()
    assert status == 0, error
    assert summary["left"] == 0, error
    records = read_records(path)
    assert path.read_text().startswith(kept)
    assert len({record.id for record in records}) == len(records) == summary["records"]
    assert summary["measured"] == len(records) - kept.count("\n") > 0
    assert wrong(records) == []
    (network,) = [record for record in records if record.kind == "network"]
    assert (network.network, network.size) == (register_small(), (32, 32))
    assert network.grids >= 5
    sparse = [record for record in records if record.ok and record.sparsity != "dense"]
    assert sparse
    assert all(one.ratio_to_dense.low <= one.ratio_to_dense.median for one in sparse)
    again, summary, _ = Collection(path, "--networks").end()
    assert (again, summary["measured"], summary["left"]) == (0, 0, 0)


def test_collect_keeps_what_there_is_at_ctrl_c(host, tmp_path):
    path = tmp_path / "x.jsonl"
    running = Collection(path)
    wait_for_records(path, running)
    os.kill(running.process.pid, signal.SIGINT)
    status, summary, error = running.end()
    assert status == 130
    assert "goes on from here" in error
    assert len(read_records(path)) == summary["records"] >= summary["measured"] > 0


def test_collect_ends_at_its_budget(host, groups, tmp_path):
    with Journal(tmp_path / "x.jsonl") as journal:
        done = collector(host, journal, budget_secs=0.0)
        done.layers(groups, host)
        assert done.measured == 0
        done.budget_secs = None
        done.layers(groups[:1], host)
        assert done.count_left(groups[:1], host) == 0 < done.count_left(groups, host)


def test_collector_times_the_others_where_a_variant_is_wrong(host, groups):
    group = next(each for each in groups if len(each.sparsities) == 2)
    dense, sparse = Recipe(host.profile).prepare(group)
    spoilt = replace(sparse, bounds=replace(sparse.bounds, expected=sparse.bounds.expected + 1))
    (first, second), pace = LayerBench(host, QUICK).time(group, [dense, spoilt])
    assert first.failure is None
    assert first.measurement.ok
    assert pace.drift >= 1
    assert first.to_reference > 0
    assert second.failure.kind == "wrong"
    assert "is wrong in" in second.failure.reason


@pytest.mark.parametrize(("useless", "runs", "kind"), [(-1.0, 3, "noise"), (1e9, 1, None)], ids=["unsteady", "steady"])
def test_collector_begins_a_run_anew_where_a_variant_is_too_unsteady(host, groups, monkeypatch, useless, runs, kind):
    group = groups[0]
    bench = LayerBench(host, replace(QUICK, patience=replace(QUICK.patience, useless=useless)))
    real, begun = bench.rounds.run, []
    monkeypatch.setattr(bench.rounds, "run", lambda *given: begun.append(1) or real(*given))
    outcomes, _ = bench.time(group, Recipe(host.profile).prepare(group))
    assert len(begun) == runs == (1 if kind is None else 1 + QUICK.patience.repeats)
    assert {outcome.failure and outcome.failure.kind for outcome in outcomes} == {kind}


def test_collector_records_a_variant_that_cannot_be_compiled(host, groups, tmp_path):
    def refuses(workload, profile):
        if workload.sparsity is not None:
            raise LookupError("nobody knows how")

    group = next(each for each in groups if len(each.sparsities) == 2)
    with Journal(tmp_path / "x.jsonl") as journal:
        work = collector(host, journal)
        work.recipe = Recipe(host.profile, refuses)
        work.layers([group], host)
        assert [each.failure and each.failure.kind for each in journal.records] == [None, "compile"]
        assert work.failed == {"compile": 1}
        assert work.count_left([group], host) == 0, "a failure is an answer: it is not tried again"


def test_collector_reconnects_after_a_variant_breaks_the_session(host, groups, monkeypatch):
    """The variant that breaks it is given up after a second try; the others are timed."""
    group = next(each for each in groups if len(each.sparsities) == 2)
    bench, real, broken = LayerBench(host, QUICK), LayerBench._load, []

    def breaks(self, group, number, one):
        if number == 1:
            broken.append(number)
            self.session.abort("as a crash would")
        return real(self, group, number, one)

    monkeypatch.setattr(LayerBench, "_load", breaks)
    (dense, sparse), _ = bench.time(group, Recipe(host.profile).prepare(group))
    assert dense.failure is None
    assert sparse.failure.kind == "device"
    assert len(broken) == 2
    assert host.alive()


class Servers:
    """A tracker and two servers of this machine under one key."""

    def __init__(self) -> None:
        with tracker.bind("127.0.0.1", None) as probe:
            self.port = probe.getsockname()[1]
        address = ("--tracker", f"127.0.0.1:{self.port}", "--key", "pair")
        self.processes: list[subprocess.Popen] = []
        for more in (("--with-tracker",), ()):
            command = [sys.executable, "-m", "devices.serve", *address, *more]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.processes.append(process)
            while not process.stdout.readline().startswith("Ctrl-C"):
                assert process.poll() is None

    def end(self, number: int) -> None:
        """Ctrl-C, which ends its sessions too."""
        if self.processes[number].poll() is None:
            self.processes[number].send_signal(signal.SIGINT)
            self.processes[number].wait(WAIT_SECS)


@pytest.fixture
def servers(monkeypatch):
    pair = Servers()
    monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
    monkeypatch.setenv("TVM_TRACKER_PORT", str(pair.port))
    yield pair
    for number in (1, 0):
        pair.end(number)
        pair.processes[number].stdout.close()


@pytest.mark.long
def test_collect_shares_the_work_of_two_devices_and_one_may_die(servers, tmp_path):
    path = tmp_path / "x.jsonl"
    running = Collection(path, "--device", "rpc:pair", "--workers", "2", "-vv", "--layer", "stem", "one", "wide")
    wait_for_records(path, running)
    servers.end(1)  # the tracker lives on with the other one
    status, summary, error = running.end()
    assert status == 0, error
    assert summary["left"] == 0, error
    records = read_records(path)
    assert len({record.id for record in records}) == len(records)
    assert wrong(records) == []


def test_collect_ends_with_status_3_when_no_device_is_left(servers, tmp_path):
    path = tmp_path / "x.jsonl"
    running = Collection(path, "--device", "rpc:pair", "--rounds", "40")
    wait_for_records(path, running)
    for number in (1, 0):
        servers.end(number)
    status, summary, error = running.end()
    assert status == DeviceUnreachable.exit_status == 3, error
    assert "the same command goes on from here" in error
    assert len(read_records(path)) == summary["records"] > 0
    assert summary["left"] > 0
