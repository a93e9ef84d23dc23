"""Ranking candidates: what is learnt from other workloads' trials, what is not, the file of trials, and replays."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import ranking as replay
from codegen.kernels.choice import ScheduleChoice
from codegen.schedules import RULES
from codegen.tuning.key import Key
from codegen.tuning.ranking.ranker import LEAST_TIMED, Ranker, to_time
from codegen.tuning.ranking.trials import MOST_WORKLOADS, Trials, read_trials, rounded_ms, trials_path, write_trials
from fleetpose import cli

LANES = 16
CHOICES = tuple(
    {"schedule": "direct", "filters": filters, "vectors": vectors, "band": 0}
    for filters in (4, 8, 16, 12)
    for vectors in (1, 2, 3, 4)
)


def key(channels, filters, size):
    return Key("conv", (1, 1), (1, 1), (1, 1), (0, 0), 1, ((channels, size, size),), (filters, size, size), ("relu",),
               "float32", None, (size, size))  # fmt: skip


def made_up_ms(workload, choice):
    """Loads and wasted columns: large tiles are good until they reach over the edge."""
    width = choice["vectors"] * LANES
    waste = np.ceil(workload.output[-1] / width) * width / workload.output[-1]
    return float(waste * (0.5 + 1 / choice["filters"] + 1 / choice["vectors"]))


def trials(channels, filters, size, fails=()):
    workload = key(channels, filters, size)
    times = [None if number in fails else made_up_ms(workload, choice) for number, choice in enumerate(CHOICES)]
    return Trials(workload, CHOICES, tuple(times))


SIZES = ((32, 64, 48), (64, 64, 32), (64, 128, 31), (128, 128, 16), (16, 96, 64), (96, 32, 17), (48, 48, 80))
KNOWN = [trials(channels, filters, size, fails=(5,)) for channels, filters, size in SIZES]


def choices():
    return [ScheduleChoice.from_dict(choice, RULES) for choice in CHOICES]


def test_what_other_workloads_teach_finds_the_best_early():
    ranker = Ranker.learn(KNOWN, LANES)
    for size in (30, 47, 64):
        asked = trials(80, 80, size)
        order = ranker.order(asked.workload, choices())
        assert sorted(order) == [*range(len(CHOICES))]
        assert order[0] == 0
        times = np.array(asked.ms)
        assert times[order[:4]].min() <= 1.05 * times.min() < times[:4].min()


def test_failures_come_last():
    large = [choice["filters"] == 16 for choice in CHOICES]
    bad = []
    for known in KNOWN:
        times = [None if fails else ms for fails, ms in zip(large, known.ms, strict=True)]
        bad.append(replace(known, ms=tuple(times)))
    order = Ranker.learn(bad, LANES).order(key(80, 80, 40), choices())
    failed = {5, *(number for number, fails in enumerate(large) if fails)}
    assert not failed & set(order[: len(order) // 2])
    assert len(failed & set(order[-5:])) >= 4


@pytest.mark.parametrize("known", [[], KNOWN[:2], [replace(KNOWN[0], ms=(None,) * len(CHOICES))] * 5])
def test_with_little_to_learn_from_the_order_stays(known):
    assert Ranker.learn(known, LANES).order(key(80, 80, 40), choices()) == [*range(len(CHOICES))]


def test_how_many_are_timed():
    assert [to_time(count, 0.2) for count in (2, 4, 16, 30, 100)] == [2, 4, LEAST_TIMED, 6, 20]
    assert to_time(30, 1.0) == 30


def test_the_file_keeps_the_newest_of_each_workload(tmp_path, caplog):
    path = trials_path(tmp_path / "a-phone.jsonl")
    assert path.name == "a-phone.trials.jsonl"
    assert read_trials(path) == []
    newer = replace(KNOWN[0], ms=rounded_ms([0.00123456789] * len(CHOICES)))
    write_trials(path, [*KNOWN, newer])
    assert read_trials(path) == [*KNOWN[1:], newer]
    assert newer.ms[0] == 1.2346
    damaged = json.loads(path.read_text().splitlines()[0])
    damaged["ms"].pop()
    path.write_text(path.read_text() + json.dumps(damaged) + "\n{\n")
    with caplog.at_level(logging.WARNING):
        assert read_trials(path) == [*KNOWN[1:], newer]
    assert "differ in number" in caplog.text
    write_trials(path, [trials(8, 8, 9 + number) for number in range(MOST_WORKLOADS + 5)])
    assert len(read_trials(path)) == MOST_WORKLOADS


def test_a_short_tuning_takes_nothing_from_a_longer_one(tmp_path):
    path = tmp_path / "x.trials.jsonl"
    short = replace(KNOWN[1], choices=CHOICES[2:4], ms=(None, 7.0), layers=3)
    write_trials(path, [*KNOWN, short])
    (*others, joined) = read_trials(path)
    assert others == [KNOWN[0], *KNOWN[2:]]
    times = dict(zip(map(str, joined.choices), joined.ms, strict=True))
    assert len(times) == len(CHOICES)
    assert (times[str(CHOICES[2])], times[str(CHOICES[3])]) == (None, 7.0)
    assert times[str(CHOICES[0])] == KNOWN[1].ms[0]
    assert (joined.layers, joined.choices[:2]) == (3, CHOICES[2:4])


def test_a_replay_counts_a_workload_as_often_as_layers_have_it():
    good, bad = ((4.0, 2.0), (4.0, 1.0))
    known = [replace(KNOWN[0], choices=CHOICES[:2], ms=good, layers=3), replace(KNOWN[1], choices=CHOICES[:2], ms=bad)]
    speed, taken = replay.reached(known, lambda trials: [0] if trials is known[0] else [1], 1.0)
    assert (speed, taken) == (pytest.approx((3 * 2 + 1) / (3 * 4 + 1)), 0.5)


def test_a_replay_says_what_ranking_is_worth(tmp_path, capsys):
    path = tmp_path / "full.trials.jsonl"
    write_trials(path, KNOWN)
    assert cli.run(replay.main, replay.make_parser(), ["--trials", str(path)]) == 0
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("20%"))
    ranked, plain = (float(row[column].rstrip("%")) for column in (2, 3))
    assert ranked > 97 > plain


def test_trials_that_come_with_the_package_are_of_schedules_that_exist():
    from codegen.tuning.database import TUNED_DIR

    files = sorted(TUNED_DIR.glob("*.trials.jsonl"))
    assert files
    for file in files:
        known = read_trials(file)
        assert len(known) == len(file.read_text().splitlines())
        assert all(ScheduleChoice.from_dict(choice, RULES) for one in known for choice in one.choices)
