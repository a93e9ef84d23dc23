"""Layers and networks timed on this machine's OpenCL, while a test says how hot the device is."""

from dataclasses import replace

import pytest

from codegen.tuning.tasks import tasks_of
from codegen.tuning.tuner import Tuner, TuneSettings
from devices.timing.cooling import CoolingSettings
from fleetpose.progress import no_report
from latency.dataset.read import Dataset
from latency.profiling.bench import LayerBench
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.network_timing import NetworkVariant, network_record
from latency.profiling.outcomes import layer_records
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Patience, ReferenceKernel
from latency.profiling.space import network_groups
from latency.records.journal import Journal
from latency.records.read import from_line, to_line
from models.plans.sparsity import parse_variant
from tests.scripted_conditions import NoTime, ScriptedSession, hot
from tests.small_network import register_small

COOLING = CoolingSettings(max_celsius=45.0, wait_cool=60.0)
SPARSE = parse_variant("columns:0.75:4x1")
QUICK = RunSettings(
    rounds=3, sample_secs=0.0005, timeout_secs=20.0, patience=Patience(wait_secs=0.0, useless=1e9, cooling=COOLING)
)


class Weather(NoTime):
    """A device that is cool when it is first asked, hot and slowed down from then on, and cool again after `waits`.

    It is hot `spells` times; `waits` None: for ever.
    """

    def __init__(self, spells: int, waits: int | None) -> None:
        super().__init__()
        self.spells, self.after, self.hot, self.asked = spells, waits, False, 0

    def __call__(self):
        if not self.hot and self.asked and self.spells:
            self.hot, self.spells = True, self.spells - 1
            self.waits.clear()
        self.asked += 1
        return hot(60.0 - len(self.waits), gpu=1) if self.hot else hot(41.5)

    def wait(self, timeout=None):
        super().wait(timeout)
        if self.after is not None and len(self.waits) >= self.after:
            self.hot, self.asked = False, 0
        return False


@pytest.fixture(scope="module")
def graph():
    from models.frontend.trace import trace
    from models.resolve import create_model

    return trace(create_model(register_small()), (3, 32, 32), register_small())


def time_layers(host, graph, weather, settings=QUICK):
    """Records of a layer, dense and sparse, and how many interleaved runs they took."""
    session = ScriptedSession(weather, host)
    bench = LayerBench(session, settings, stop=weather)
    runs, run = [], bench.rounds.run
    bench.rounds.run = lambda calls, alone=False: runs.append(calls) or run(calls, alone)
    (group,) = network_groups([graph], host.profile, [SPARSE], layers=[graph.layers[1].name])
    outcomes, pace = bench.time(group, Recipe(host.profile).prepare(group))
    return layer_records(group, outcomes, pace, session), len(runs)


def test_layers_timed_while_the_device_holds_back_are_timed_again_once_it_is_cool(host, graph, caplog):
    records, runs = time_layers(host, graph, weather := Weather(1, 2))
    assert (runs, weather.spells) == (2, 0)
    assert [record.marks for record in records] == [(), ()]
    assert {record.conditions["temperatures_celsius"]["thermal_zone1:gpuss-0"] for record in records} == {41.5}
    assert "waiting until nothing is slowed down and it is at 45 °C, 60 s at most" in caplog.text


def test_layers_are_timed_again_once_only_and_stay_marked(host, graph):
    records, runs = time_layers(host, graph, Weather(9, 2))
    assert runs == 2
    assert [record.marks for record in records] == [("throttled",), ("throttled",)]
    assert all(record.ok and record.ratio_to_dense is not None for record in records[1:])


def test_layers_stay_marked_where_the_device_stays_hot(host, graph, caplog):
    records, runs = time_layers(host, graph, weather := Weather(1, None))
    assert runs == 1
    assert [record.marks for record in records] == [("throttled",), ("throttled",)]
    assert sum(weather.waits) == 60.0
    assert "going on all the same" in caplog.text


def test_nothing_is_waited_for_nor_timed_again_by_default(host, graph):
    by_default = replace(QUICK, patience=Patience(wait_secs=0.0, useless=1e9))
    records, runs = time_layers(host, graph, weather := Weather(1, None), by_default)
    assert (runs, weather.waits) == (1, [])
    assert {record.marks for record in records} == {("throttled",)}


@pytest.mark.parametrize(("waits", "marks"), [(2, ()), (None, ("throttled",))])
def test_networks_are_timed_again_too(host, graph, waits, marks):
    session = ScriptedSession(weather := Weather(1, waits), host)
    reference = ReferenceKernel(session, QUICK.patience, stop=weather)
    record = network_record(session, NetworkVariant(graph), Recipe(host.profile), QUICK, reference)
    assert record.ok, record.failure
    assert record.marks == marks


def test_networks_that_run_on_have_their_first_and_last_minute_in_the_record(host, graph):
    settings = replace(QUICK, sustained=0.05)
    reference = ReferenceKernel(host, settings.patience)
    record = network_record(host, NetworkVariant(graph), Recipe(host.profile), settings, reference)
    assert record.ok, record.failure
    assert record.sustained["minutes"] == 0.05
    assert min(record.sustained[window]["network_ms"] for window in ("first", "last")) > 0
    assert from_line(to_line(record)) == record
    plain = replace(record, sustained={})
    assert '"sustained"' not in to_line(plain)
    assert from_line(to_line(plain)).sustained == {}


def test_candidates_are_not_timed_while_the_device_is_hot(host, graph, tmp_path):
    """It is hot from the second candidate on, and cool again after two waits."""
    session, settings = ScriptedSession(weather := Weather(1, 2), host), TuneSettings(rounds=3, cooling=COOLING)
    (task,) = tasks_of([graph], host.profile, layers=[graph.layers[1].name])
    tuner = Tuner(session, tmp_path / "x.jsonl", settings, "native")
    tuner.cooler.stop = weather
    tuner.run([task], no_report)
    assert (tuner.measured, weather.spells, weather.waits) == (1, 0, [1.0, 2.0])


def test_reading_says_how_many_times_are_marked_and_can_leave_them_out(host, graph, tmp_path, caplog):
    path, clean = tmp_path / "x.jsonl", tmp_path / "clean.jsonl"
    marked, _ = time_layers(host, graph, Weather(1, None))
    usual, _ = time_layers(host, graph, Weather(0, None))
    with Journal(path) as journal:
        journal.append([marked[0], *usual[1:]])
    caplog.clear()
    assert len(Dataset.read([path]).samples()) == 2
    assert "1 of 2 times are of a device that was not as usual (1 throttled)" in caplog.text
    caplog.clear()
    assert len(Dataset.read([path], ["marks=none"]).samples()) == 1
    assert len(Dataset.read([path], ["marks=throttled"]).samples()) == 1
    with Journal(clean) as journal:
        journal.append(usual)
    assert len(Dataset.read([clean]).samples()) == 2
    assert caplog.text == ""
