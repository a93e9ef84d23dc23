"""Tuned data: what is found again, what is found near, what is stale or torn, and that nothing illegal comes out."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.layer import standalone_planes
from codegen.schedules import candidates, default_choice
from codegen.tuning.database import CANDIDATES, METASCHEDULE, Tuned, TunedRow, load_tuned, read_rows, update
from codegen.tuning.key import Key
from codegen.tuning.tasks import tasks_of
from devices.profile import load_profile
from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.layer import Step
from models.plans.sparsity import Sparsity
from tests.host.kernel_cases import CONVOLUTIONS, MOVES, POOLS, window
from tests.small_network import Small, register_small

HOST = load_profile("host")
PROFILES = (HOST, load_profile("mali-g76"), load_profile("adreno-640"))
LAYERS = {**CONVOLUTIONS, **POOLS, **MOVES}
RELU = (Step("relu"),)


def workload_of(layer=None, profile=HOST, border=(0, 0), sparsity=None):
    layer = layer or window("conv", (64, 128), (46, 46), (3, 3), epilogue=RELU)
    return standalone_planes(layer, profile.lanes, border, sparsity=sparsity)


def row_of(workload, choice: ScheduleChoice | None = None, tuner=CANDIDATES, profile=HOST, **others) -> TunedRow:
    """A row as tuning writes it; without `choice`, of the workload's last candidate."""
    choice = choice or list(candidates(workload, profile))[-1]
    values = {"best": choice.to_dict(), "default": default_choice(workload, profile).to_dict(), **others}
    return TunedRow(Key.of(workload), tuner, ms=1.0, default_ms=1.5, ratio=1.5, low=1.4, high=1.6, tried=2, **values)


def test_tuned_choice_is_what_was_tuned():
    workload = workload_of()
    row = row_of(workload)
    assert Tuned([row]).choice(workload, HOST) == row.choice() != default_choice(workload, HOST)
    assert Tuned([row]).row(workload) == row
    assert Tuned().choice(workload, HOST) is None


def test_the_nearest_is_chosen_where_it_was_not_tuned():
    near, far = (workload_of(window("conv", (64, count), (46, 46), (3, 3), epilogue=RELU)) for count in (96, 256))
    wanted = workload_of(window("conv", (64, 128), (46, 46), (3, 3)))
    first, *_, last = [choice for choice in candidates(wanted, HOST) if choice.schedule == "direct"]
    assert Tuned([row_of(far, last), row_of(near, first)]).choice(wanted, HOST) == first
    assert Tuned([row_of(far, last)]).choice(wanted, HOST) == last


@pytest.mark.parametrize(
    "other",
    [
        {"kernel": (5, 5)},
        {"stride": (2, 2)},
        {"dilation": (2, 2)},
        {"groups": 64},
        {"groups": 4},
        {"channels": (64, 1024)},
        {"size": (400, 400)},
    ],
    ids=str,
)
def test_unlike_layers_are_not_near(other):
    known = {"channels": (64, 64), "size": (46, 46), "kernel": (3, 3)}
    row = row_of(workload_of(window("conv", **known)))
    assert Tuned([row]).choice(workload_of(window("conv", **{**known, **other})), HOST) is None


def test_sparse_layers_are_near_those_of_like_blocks_and_zeros():
    def key(text: str | None) -> Key:
        return Key.of(workload_of(sparsity=text and Sparsity.parse(text)))

    tuned = key("block_punched:0.75:8x4")
    assert tuned.distance(tuned) == 0
    assert 0 < tuned.distance(key("block_punched:0.7:8x4")) < 0.5
    for other in ("block_punched:0.5:8x4", "block_punched:0.75:8x8", "connectivity:0.75:8x4", "pattern:0.75", None):
        assert tuned.distance(key(other)) is None, other


def test_what_is_known_but_illegal_here_is_passed_over():
    direct = next(choice for choice in candidates(workload_of(), HOST) if choice.schedule == "direct")
    illegal = ScheduleChoice("direct", replace(direct.config, filters=1000, vectors=1000))
    assert Tuned([row_of(workload_of(), illegal)]).choice(workload_of(), HOST) is None


def test_a_configuration_that_depends_on_the_size_is_fitted_to_it():
    """A band of rows that fits the cache at one width does not at another: the rest of the tile is kept."""
    small, large = (workload_of(window("conv", (128, 128), (46, width), (3, 3))) for width in (46, 82))
    direct = [[choice for choice in candidates(each, HOST) if choice.schedule == "direct"] for each in (small, large)]
    fitted = 0
    for tuned in direct[0]:
        chosen = Tuned([row_of(small, tuned)]).choice(large, HOST)
        assert chosen is None or chosen in direct[1]
        if chosen is not None and chosen != tuned:
            fitted += 1
            assert sum(chosen.to_dict()[name] != value for name, value in tuned.to_dict().items()) == 1
    assert fitted, f"{direct[0]} are all legal at the other width, so that the test is of nothing"


def test_tuned_rows_that_are_stale_are_skipped(caplog):
    row = row_of(workload_of())
    gone = [{"schedule": "magic"}, {**row.best, "warp": 3}]
    tuned = Tuned([replace(row, best=best) for best in gone], "x.jsonl")
    assert not tuned.rows
    assert tuned.choice(workload_of(), HOST) is None
    assert "2 rows of earlier schedules" in caplog.text


def test_rows_to_compare_with_are_never_chosen():
    row = row_of(workload_of(), tuner=METASCHEDULE, best={"schedule": "metaschedule"})
    assert Tuned([row]).choice(workload_of(), HOST) is None
    assert Tuned([row]).row(workload_of(), METASCHEDULE) == row


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_tuned_choices_are_legal(data):
    """Whatever was tuned on whatever device, even values nobody tuned: the answer is the workload's own candidate."""
    known = []
    for _ in range(data.draw(st.integers(1, 5))):
        profile = data.draw(st.sampled_from(PROFILES))
        workload = workload_of(LAYERS[data.draw(st.sampled_from(sorted(LAYERS)))], profile)
        row = row_of(workload, data.draw(st.sampled_from([*candidates(workload, profile)])), profile=profile)
        numbers = [name for name, value in row.best.items() if type(value) is int]
        if numbers and data.draw(st.booleans()):
            row = replace(row, best={**row.best, data.draw(st.sampled_from(numbers)): data.draw(st.integers(-1, 64))})
        known.append(row)
    profile = data.draw(st.sampled_from(PROFILES))
    border = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    workload = workload_of(LAYERS[data.draw(st.sampled_from(sorted(LAYERS)))], profile, border)
    chosen = Tuned(known).choice(workload, profile)
    assert chosen is None or chosen in set(candidates(workload, profile))


@pytest.mark.parametrize("name", LAYERS)
def test_tuned_keys_survive_json(name):
    key = Key.of(workload_of(LAYERS[name]))
    assert decode(Key, json.loads(json.dumps(encode(key)))) == key
    assert hash(decode(Key, encode(key))) == hash(key)


def test_a_file_is_sorted_and_the_latest_row_wins(tmp_path):
    path = tmp_path / "new" / "device.jsonl"
    rows = [row_of(workload_of(layer)) for layer in CONVOLUTIONS.values()]
    random.shuffle(rows)
    for start in range(0, len(rows), 7):
        update(path, rows[start : start + 7])
    text = path.read_text()
    update(path, reversed(rows))
    assert path.read_text() == text, "the order does not depend on that of writing"
    update(path, [replace(rows[3], ms=7.0)])
    changed = [new for old, new in zip(text.splitlines(), path.read_text().splitlines(), strict=True) if old != new]
    assert [json.loads(line)["ms"] for line in changed] == [7.0]
    assert {row.workload for row in read_rows(path)} == {row.workload for row in rows}


def test_a_torn_last_line_is_left_out_and_repaired(tmp_path, caplog):
    path = tmp_path / "device.jsonl"
    rows = [row_of(workload_of(CONVOLUTIONS[name])) for name in ("3x3 stride 2", "5x5", "width 97")]
    update(path, rows[:2])
    whole = path.read_text()
    path.write_text(whole[:-30])
    assert len(Tuned.load(path).rows) == 1
    assert "torn" in caplog.text
    update(path, rows[2:])
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2
    path.write_text("<<<<<<< ours\n" + whole)
    with pytest.raises(UsageError, match=r"device.jsonl, line 1, is not JSON"):
        Tuned.load(path)


def test_rows_of_another_format_are_left_out(tmp_path, caplog):
    path = tmp_path / "device.jsonl"
    row = encode(row_of(workload_of()))
    other = {**row, "workload": {**row["workload"], "sparsity": "wishful:0.5"}}
    path.write_text("".join(json.dumps(each) + "\n" for each in ({"ms": 1}, {**row, "extra": 1}, other, 3, row)))
    assert len(Tuned.load(path).rows) == 1
    assert caplog.text.count("of another format") == 4


def test_load_tuned_reads_files_by_flag(tmp_path):
    with pytest.raises(UsageError, match="cannot read tuned data"):
        load_tuned(HOST, str(tmp_path / "none_such.jsonl"))
    assert not load_tuned(HOST, "none").rows
    assert not load_tuned(replace(HOST, name="a profile nobody tuned")).rows


def test_tasks_are_the_distinct_workloads_with_a_choice():
    graph = trace(Small().eval(), (3, 20, 34), "small")
    tasks = tasks_of([graph], HOST)
    assert [task.share for task in tasks] == sorted((task.share for task in tasks), reverse=True)
    assert 0.5 < sum(task.share for task in tasks) < 1 + 1e-9
    layers = [name for task in tasks for name in task.layers if task.workload.layer.op == "conv"]
    assert sorted(layers) == ["one", "stem", "two", "wide"]
    for task in tasks:
        assert task.choices[0] == default_choice(task.workload, HOST)
        assert set(task.choices) == set(candidates(task.workload, HOST))
    sparse = tasks_of([graph, graph], HOST, [Sparsity.parse("block_punched:0.75:4x4")], layers=["wide"])
    assert [(task.layers, task.workload.sparsity.zeros) for task in sparse] == [(("wide",), 0.75)]
    _, weights = sparse[0].operands(0)
    assert (weights.weight == 0).mean() > 0.5
    with pytest.raises(UsageError, match="did you mean 'wide'"):
        tasks_of([graph], HOST, layers=["wid"])


def test_what_is_built_follows_tuned_data(tmp_path):
    graph = trace(Small().eval(), (3, 32, 32), "small")
    tasks = tasks_of([graph], HOST)
    path = tmp_path / "device.jsonl"
    update(path, [row_of(task.workload, task.choices[-1]) for task in tasks])
    wanted = {name: str(task.choices[-1]) for task in tasks for name in task.layers}

    def built(tuned: str | None) -> dict[str, str]:
        network, target = trace_network(register_small(), sizes=[(32, 32)]), BuildTarget(HOST, {}, "linux-arm64")
        manifest = build(network, target, load_tuned(HOST, tuned)).manifest
        layers = manifest.entries[0].layers
        return {code.layer: f"{code.schedule} {code.tile}".strip() for code in layers if code.layer in wanted}

    assert built(str(path)) == wanted
    assert built("none") == {name: str(task.choices[0]) for task in tasks for name in task.layers}
