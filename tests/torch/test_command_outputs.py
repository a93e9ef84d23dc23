"""Training, pruning, replacing: files of the user's that bear the names of side files stay as they are."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from fleetpose import cli
from fleetpose.errors import UsageError
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune import __main__ as prune_command
from models.prune.response.journal import ResponseJournal
from models.resolve import create_model
from models.train import __main__ as train_command
from models.train.running.log import COLUMNS, may_go_on
from models.zoo.weights import save_weights
from tests.tiny_pose import NAME, register_tiny, write_coco


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with coco/, w.safetensors and plan.json of the tiny network."""
    from models.frontend.trace import trace

    register_tiny()
    folder = tmp_path_factory.mktemp("outputs")
    write_coco(folder / "coco", images=2)
    network = create_model(NAME)
    save_weights(network, folder / "w.safetensors")
    layers = trace(network, (3, 64, 64), NAME).layers
    Plan.of(NAME, layers, {"neck": Sparsity.parse("columns:0.5:4x1")}).save(folder / "plan.json")
    return folder


def train(place: Path, out: Path, *more) -> int:
    flags = ["--model", NAME, "--data", place / "coco", "--crop", 64, "--batch", 2, "--steps", 2, "--device", "cpu"]
    parser = train_command.make_parser()
    return cli.run(train_command.main, parser, [str(flag) for flag in (*flags, "-o", out, *more)])


def prune(place: Path, out: Path, *more) -> int:
    flags = ["--model", NAME, "--weights", place / "w.safetensors", "--plan", place / "plan.json", "-o", out, *more]
    return cli.run(prune_command.main, prune_command.make_parser(), list(map(str, flags)))


def log_of(path: Path, rows: str = "") -> Path:
    path.write_text(",".join(COLUMNS) + "\n" + rows)
    return path


def test_training_leaves_a_table_of_the_users_alone(place, tmp_path, capsys):
    table = tmp_path / "net.csv"
    table.write_text("step,kept\n1,for ever\n")
    assert train(place, tmp_path / "net.safetensors") == 2
    assert "net.csv exists; add --force" in capsys.readouterr().err
    assert table.read_text() == "step,kept\n1,for ever\n"
    assert train(place, tmp_path / "net.safetensors", "--force") == 0
    assert table.read_text().startswith(",".join(COLUMNS))


def test_training_leaves_the_log_of_one_that_ended_alone(place, tmp_path):
    log = log_of(tmp_path / "net.csv", "60,1.00000,9,9,0.1,1\n")
    assert train(place, tmp_path / "net.safetensors") == 2
    assert log.read_text().endswith("60,1.00000,9,9,0.1,1\n")


def test_training_goes_on_in_a_log_that_has_not_ended(place, tmp_path):
    log_of(tmp_path / "net.csv", "60,0.10000,9,9,0.1,1\n")
    assert train(place, tmp_path / "net.safetensors") == 0


def test_log_may_go_on_where_its_training_has_not_ended(tmp_path):
    log, checkpoint = tmp_path / "net.csv", tmp_path / "net.checkpoint"
    assert not may_go_on(log, checkpoint)
    assert may_go_on(log_of(log), checkpoint)
    assert may_go_on(log_of(log, "10,0.5,1\n20,"), checkpoint), "a torn last line"
    assert not may_go_on(log_of(log, "10,1.00000,1\n"), checkpoint)
    checkpoint.write_text("not ended, since there is a checkpoint")
    assert may_go_on(log, checkpoint)
    log.write_bytes(b"\xff\xfe\x00 no table")
    assert not may_go_on(log, checkpoint)


@pytest.mark.parametrize("more", [(), ("--photographs", 2, "--agreement", 0)])
def test_pruning_at_once_leaves_the_files_of_a_training_alone(place, tmp_path, more):
    """A checkpoint, a start and a state of a recovery of that name are of something else."""
    others = {
        tmp_path / f"net{suffix}": f"an interrupted {suffix}" for suffix in (".checkpoint", ".start", ".recovery")
    }
    others[tmp_path / "net.csv"] = "its log"
    for path, text in others.items():
        path.write_text(text)
    data = ("--data", place / "coco", *more) if more else ()
    assert prune(place, tmp_path / "net.safetensors", *data) == 0
    assert {path: path.read_text() for path in others} == others


def test_pruning_with_a_training_refuses_a_start_that_is_none(place, tmp_path, capsys):
    training = (
        "--data",
        place / "coco",
        "--photographs",
        2,
        "--crop",
        64,
        "--batch",
        2,
        "--steps",
        1,
        "--agreement",
        0,
    )
    start = tmp_path / "net.start"
    start.write_bytes(b"no start at all")
    assert prune(place, tmp_path / "net.safetensors", *training) == 2
    assert "net.start is not what this pruning began with (" in capsys.readouterr().err
    assert start.read_bytes() == b"no start at all"
    save_file(load_file(place / "w.safetensors"), start)
    before = start.read_bytes()
    assert prune(place, tmp_path / "net.safetensors", *training) == 2
    assert "(it does not say what pruning it is of); move it away" in capsys.readouterr().err
    assert start.read_bytes() == before


@pytest.mark.parametrize("suffix", [".pth", ".ckpt"])
def test_weights_are_not_written_under_a_name_that_reads_as_another_format(place, tmp_path, suffix):
    with pytest.raises(UsageError, match=r"give -o net.safetensors"):
        save_weights(create_model(NAME), tmp_path / f"net{suffix}")
    assert not list(tmp_path.iterdir())


def test_journal_is_not_begun_over_a_file_of_the_users(tmp_path):
    path, identity = tmp_path / "s.journal", {"model": "x", "seed": 1}
    path.write_bytes(b"a diary without an end of line")
    with pytest.raises(UsageError, match=r"s.journal is no journal that can be read"):
        ResponseJournal(path, identity)
    assert path.read_bytes() == b"a diary without an end of line"
    path.write_bytes(b'{"model": "x", "se')
    with ResponseJournal(path, identity) as journal:
        journal.add("a", 1)
    with ResponseJournal(path, identity) as journal:
        assert journal.values == {"a": 1}
