"""Replays of logs of other tools' tuning: what is a history, what is learnt and from where, regrets, the command."""

import itertools
import json

import numpy as np
import pytest

from benchmarks import ranking as replay_command
from benchmarks.tuning_logs.histories import LEAST_TIMED, read_histories, read_winners
from benchmarks.tuning_logs.orders import SOURCES, rank
from benchmarks.tuning_logs.regret import MOST_REGRET, TRIALS, regrets, replay
from fleetpose import cli
from fleetpose.errors import UsageError
from latency.dataset.read import Dataset
from tests.foreign_files import texture_line
from tests.pure.test_tvm_kernels import ROW, write

CONFIGURATIONS = [
    f"tile_fc=2x{filters};tile_y=1x{rows};tile_x={pixels}x2;tile_rcc={step};auto_unroll_max_step=512;unroll_explicit=0"
    for filters, rows, pixels, step in itertools.product((1, 4, 16), (2, 7), (1, 2, 7), (1, 4))
]
LAYERS = [(64, 128, 28), (128, 128, 28), (64, 256, 14), (256, 256, 14)]


def made_up_ms(channels, filters, side, config):
    """Large tiles and work-groups of 32 are good; the layer's size says the rest."""
    parts = [part.split("=")[1] for part in config.split(";")]
    group, pixels = int(parts[0].split("x")[1]), int(parts[2].split("x")[0])
    return 1e-6 * channels * filters * side * (1 + 2 / pixels + abs(np.log2(group / 16)) + 0.1 / int(parts[3]))


def rows_of(device, layers=LAYERS, configurations=CONFIGURATIONS, slow=1.0):
    return [
        {"device": device, "gpu": device.title(), "cin": channels, "cout": filters, "h_in": side, "w_in": side,
         "h_out": side, "w_out": side, "config": config, "ms": slow * made_up_ms(channels, filters, side, config)}
        for channels, filters, side in layers
        for config in configurations
    ]  # fmt: skip


@pytest.fixture
def table(tmp_path):
    rows = [*rows_of("adreno660"), *rows_of("adreno730", LAYERS[:2], slow=0.6)]
    rows[0] = {**rows[0], "ms": "", "error": 7}
    return write(tmp_path / "tuning.csv", *rows)


def test_a_history_is_a_layer_on_a_device_and_keeps_what_failed(table):
    histories = read_histories(Dataset.read([table], ()))
    assert [history.device for history in histories] == ["adreno660"] * 4 + ["adreno730"] * 2
    assert all(len(history.ms) == len(history.table) == len(CONFIGURATIONS) for history in histories)
    assert np.isinf(histories[0].ms).nonzero()[0].tolist() == [0]
    assert histories[0].layer == histories[4].layer != histories[1].layer
    chosen = read_histories(Dataset.read([table], ["device=adreno730"]))
    assert {history.device for history in chosen} == {"adreno730"}


def test_few_configurations_are_no_search(tmp_path):
    few = write(tmp_path / "few.csv", *rows_of("adreno660", configurations=CONFIGURATIONS[: LEAST_TIMED - 1]))
    with pytest.raises(UsageError, match=f"no layer has {LEAST_TIMED} configurations"):
        read_histories(Dataset.read([few], ()))


def test_a_log_of_autotvm_is_a_history_too(tmp_path):
    entity = [["tile_fc", "sp", [-1, 1, 8]], ["tile_y", "sp", [-1, 1, 4]], ["tile_x", "sp", [-1, 7, 2]]]
    lines = [texture_line(ms=0.5 + number, entity=[*entity, ["tile_rcc", "ot", number + 1]]) for number in range(25)]
    log = tmp_path / "tuning.log"
    log.write_bytes(b"".join(lines))
    (history,) = read_histories(Dataset.read([log], (), origin=replay_command.MeasuredOn("Adreno 660")))
    assert history.ms[:2].tolist() == pytest.approx([0.5, 1.5])
    assert len(np.unique(history.table, axis=0)) == 25


def test_regrets_of_an_order():
    ms = np.array([np.inf, 3.0, 2.0, 1.0, *[9.0] * 30])
    assert regrets(ms, range(34)).tolist() == [MOST_REGRET, 0.0, 0.0, 0.0]
    assert regrets(ms, [2, *range(4, 34), 3]).tolist() == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_learnt_of_others_finds_the_best_early(table, source):
    histories = read_histories(Dataset.read([table], ()))
    for asked in histories[1::4]:
        ranks = rank(histories, asked, (), source).ranks
        assert set(ranks) == {"histories"}
        assert regrets(asked.ms, np.argsort(ranks["histories"]))[1] < 0.1


def test_the_layer_and_the_device_asked_about_teach_nothing(table):
    histories = read_histories(Dataset.read([table], ()))
    alone = [history for history in histories if history.layer == histories[0].layer]
    assert all(rank(alone, alone[0], (), source).ranks == {} for source in SOURCES)
    assert set(rank([*alone, histories[-1]], alone[0], (), "other devices").ranks) == {"histories"}


def test_winners_are_learnt_from_beside_histories(table, tmp_path):
    sizes = [(channels, filters, side) for channels in (32, 64, 96, 160) for filters in (32, 64, 192, 256)
             for side in (8, 16, 32, 56)]  # fmt: skip
    best = min(CONFIGURATIONS, key=lambda config: made_up_ms(64, 64, 28, config))
    winners = read_winners([write(tmp_path / "best.csv", *rows_of("adreno650", sizes, [best]))])
    assert len(winners) == len(sizes)
    histories = read_histories(Dataset.read([table], ()))
    ranks = rank(histories, histories[1], winners, "other devices").ranks
    assert set(ranks) == {"histories", "winners", "both"}
    assert all(sorted(set(np.argsort(order))) == [*range(len(CONFIGURATIONS))] for order in ranks.values())
    assert not set(rank(histories, histories[1], winners, "same device").ranks) & {"winners", "both"}


@pytest.mark.slow
def test_a_replay_has_a_row_for_each_device_and_order(table):
    rows = {(row["device"], row["order"], row["learnt_from"]): row
            for row in replay(read_histories(Dataset.read([table], ())))}  # fmt: skip
    assert len(rows) == 3 * (2 + len(SOURCES))
    random, learnt = rows["all", "at random", ""], rows["all", "histories", "any device"]
    assert (random["histories"], random["layers"], random["trials"]) == (6, 4, [*TRIALS])
    assert learnt["mean"][1] < random["mean"][1]
    for row in rows.values():
        for figure in ("median", "mean"):
            assert all(low <= high for low, high in row[f"{figure}_interval"])
            assert sorted(row[figure], reverse=True) == row[figure]


@pytest.mark.slow
def test_the_command_prints_regrets(table, capsys):
    parser = replay_command.make_parser()
    arguments = ["--data", str(table), "--where", "device=adreno730"]
    assert cli.run(replay_command.main, parser, [*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {row["device"] for row in answer["rows"]} == {"all", "adreno730"}
    assert cli.run(replay_command.main, parser, arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "5 trials" in lines[0]
    assert any(line.startswith("all") and "same device" in line for line in lines)


def test_a_row_of_a_table_is_the_configuration_it_names(tmp_path):
    rows = [{"config": f"{ROW['config']};auto_unroll_max_step={number}"} for number in range(LEAST_TIMED)]
    (history,) = read_histories(Dataset.read([write(tmp_path / "t.csv", *rows)], ()))
    assert history.samples[0].config["filters"] == 2 * 4
    assert len(np.unique(history.table, axis=0)) == LEAST_TIMED
