"""Records and their file: round trips, what is refused and how it is said, torn lines, one writer at a time."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from fleetpose.codec import encode
from fleetpose.errors import UsageError
from latency.records.identity import checksum, layer_from_dict, layer_id, layer_to_dict, network_id
from latency.records.journal import Journal
from latency.records.read import from_line, read_records, to_line
from latency.records.record import FORMAT, Failure, RatioToDense, Record
from models.graph.layer import Layer, Step
from tests.small_disk import file_limit

DEVICE = {"profile": "host", "name": "a CPU", "driver": "3.1", "compute_units": 2}
LAYER = Layer(
    "", "conv", ("", ""), ((19, 23, 31), (38, 12, 16)), (38, 12, 16), (3, 3), (2, 2), (1, 1), bias=True,
    epilogue=(Step("add"), Step("leaky_relu", (0.1,))),
)  # fmt: skip
PITCHES = (32, 16, 16)


def record(sparsity="dense", **changed) -> Record:
    values = {
        "id": layer_id(DEVICE, LAYER, PITCHES, sparsity, "float32"), "kind": "layer", "dtype": "float32",
        "layer": LAYER, "pitches": PITCHES, "sparsity": sparsity, "schedule": {"schedule": "direct", "filters": 8},
        "grids": 1, "networks": ("resnet50_3", "lwop"), "group": "g", "event_ms": 1.25, "wall_ms": 1.5,
        "event_iqr_ms": 0.0, "wall_iqr_ms": 0.25, "samples": 9, "device": DEVICE, "versions": {"python": "3"},
        "conditions": {"load_1min": 0.5}, "drift": 1.01, "reference_ms": 0.4, "to_reference": 2.5,
        "date": "2025-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Record(**{**values, **changed})


def failed(kind="wrong", **changed) -> Record:
    nothing = dict.fromkeys(("event_ms", "wall_ms", "event_iqr_ms", "wall_iqr_ms"))
    return record(**{**nothing, "samples": 0, "failure": Failure(kind, "it is wrong"), **changed})


def network(**changed) -> Record:
    identity = network_id(DEVICE, "lwop", (368, 368), {}, "float32")
    return Record(identity, "network", "float32", grids=60, wall_ms=55.0, network="lwop", size=(368, 368), **changed)


VARIOUS = (
    record(),
    record("columns:0.75:8x1", ratio_to_dense=RatioToDense(0.4, 0.38, 0.43)),
    failed(sparsity="columns:0.5:8x1"),
    network(),
    network(plan={"a.0": "pattern:0.75"}),
)


@pytest.mark.parametrize("one", VARIOUS)
def test_record_is_read_back_from_its_line(one):
    assert from_line(to_line(one)) == one


def test_record_layer_is_read_back_without_names():
    named = replace(LAYER, name="a.0", inputs=("x", "y"), module="a.0")
    assert layer_from_dict(json.loads(json.dumps(layer_to_dict(named)))) == LAYER


def test_record_id_follows_from_what_was_measured_alone():
    first = layer_id(DEVICE, LAYER, PITCHES, "dense", "float32")
    assert first == layer_id({**DEVICE, "compute_units": 4}, replace(LAYER, name="b"), PITCHES, "dense", "float32")
    others = {
        layer_id({**DEVICE, "driver": "3.2"}, LAYER, PITCHES, "dense", "float32"),
        layer_id(DEVICE, replace(LAYER, stride=(1, 1)), PITCHES, "dense", "float32"),
        layer_id(DEVICE, LAYER, (48, 16, 16), "dense", "float32"),
        layer_id(DEVICE, LAYER, PITCHES, "columns:0.5:8x1", "float32"),
        layer_id(DEVICE, LAYER, PITCHES, "dense", "float16"),
        layer_id(DEVICE, LAYER, PITCHES, "dense", "float16", "sums"),
    }
    assert len(others | {first}) == 7


def test_record_variant_is_a_sparsity():
    assert record().variant is None
    assert str(record("columns:0.75:8x1").variant) == "columns:0.75:8x1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0, "1", True])
@pytest.mark.parametrize("name", ["event_ms", "wall_ms", "drift", "reference_ms", "to_reference"])
def test_record_refuses_times_not_above_zero(name, value):
    with pytest.raises(ValueError, match=f"its {name} is"):
        record(**{name: value})


def test_record_has_a_time_or_a_failure():
    with pytest.raises(ValueError, match="both"):
        record(failure=Failure("nan", "no"))
    with pytest.raises(ValueError, match="neither"):
        failed(failure=None)
    with pytest.raises(ValueError, match="'melted', not one of"):
        failed("melted")


def changed_line(one: Record, **values) -> str:
    """A line that says otherwise, its checksum made right."""
    told = {"format": FORMAT, **encode(one), **values}
    return json.dumps({**told, "checksum": checksum(told)}) + "\n"


WRONG = {
    "is not JSON": "certainly not\n",
    "it is a JSON list": "[1]\n",
    "format is 'nn-meter/3'": changed_line(record(), format="nn-meter/3"),
    "format is None": '{"ms": 1}\n',
    "unknown key 'energy'": changed_line(record(), energy=1),
    "has NaN, which is no number": changed_line(record(), event_ms=math.nan),
    "wall_ms is -1": changed_line(record(), wall_ms=-1),
    "wall_ms is 0": changed_line(record(), wall_ms=0),
    "it was changed or damaged": to_line(record()).replace("1.25", "1.26"),
    "it has no checksum": json.dumps({"format": FORMAT, **encode(record())}) + "\n",
    "its kind is 'block'": changed_line(record(), kind="block"),
    "unknown variant": changed_line(record(), sparsity="colums:0.5:8x1"),
    "layer: it has no 'in_shapes'": changed_line(record(), layer={"op": "conv"}),
    r"layer: kernel\[0\] is 0, not a whole number above 0": changed_line(
        record(), layer={**layer_to_dict(LAYER), "kernel": [0, 3]}
    ),
    "layer: bias is 'yes', not true or false": changed_line(record(), layer={**layer_to_dict(LAYER), "bias": "yes"}),
    "layer: unknown field of a layer 'colour'": changed_line(record(), layer={**layer_to_dict(LAYER), "colour": 1}),
    "has more than 64 lists and objects": "[" * 100_000 + "\n",
    "has the key 'format' twice": to_line(record()).replace("{", '{"format": 1, ', 1),
}


@pytest.mark.parametrize("says", WRONG)
def test_read_records_names_a_bad_line_in_one_line(tmp_path, says):
    path = tmp_path / "x.jsonl"
    path.write_text(to_line(record()) + WRONG[says] + to_line(failed()))
    with pytest.raises(UsageError, match=says) as caught:
        read_records(path)
    assert f"{path}, line 2: " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UsageError, match="line 2"):
        Journal(path)
    assert path.read_text().count("\n") == 3, "a file that is refused is not touched"


def test_read_records_says_that_there_is_no_file_or_no_record(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_records(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_bytes(b"\n")
    with pytest.raises(UsageError, match="has no records"):
        read_records(tmp_path / "x.jsonl")


def test_journal_mends_a_file_torn_anywhere(tmp_path):
    """Cut at every byte: all whole lines are read, and what is appended next stands on a line of its own."""
    whole = "".join(map(to_line, VARIOUS[:2]))
    one = len(to_line(VARIOUS[0]))
    for cut in (*range(1, one + 2), *range(one + 2, len(whole) + 1, 37), len(whole) - 1):
        path = tmp_path / f"{cut}.jsonl"
        path.write_text(whole[:cut])
        survivors = [each for each, end in zip(VARIOUS, (one - 1, len(whole) - 1), strict=False) if cut >= end]
        with Journal(path) as journal:
            assert journal.records == survivors, cut
            journal.append([VARIOUS[2]])
        assert read_records(path) == [*survivors, VARIOUS[2]], cut


def test_journal_skips_known_ids(tmp_path):
    path = tmp_path / "new" / "x.jsonl"
    with Journal(path) as journal:
        assert journal.append([record(), record(), failed(id="other")]) == [record(), failed(id="other")]
        assert journal.append([record(wall_ms=9.0)]) == []
        assert record().id in journal
        assert "never measured" not in journal
    assert read_records(path) == [record(), failed(id="other")]


HOLD = """
import sys
from pathlib import Path
from latency.records.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_journal_has_one_writer_and_a_killed_one_lets_go(tmp_path):
    path = tmp_path / "x.jsonl"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(UsageError, match="being written to by another"):
            Journal(path)
    finally:
        holder.kill()
        holder.communicate()
    with Journal(path) as journal:
        assert journal.append(VARIOUS[:1]) == [VARIOUS[0]]


def test_journal_leaves_whole_lines_on_a_full_disk(tmp_path):
    path = tmp_path / "x.jsonl"
    with Journal(path) as journal:
        journal.append([VARIOUS[0]])
        with file_limit(path.stat().st_size + 40), pytest.raises(UsageError, match=f"cannot write {path}: File too"):
            journal.append([VARIOUS[1]])
        journal.append([VARIOUS[2]])
    assert read_records(path) == [VARIOUS[0], VARIOUS[2]]


@pytest.mark.parametrize("content", ["notes\n", "notes", '{"ms": 1', "\n\nx"])
def test_journal_refuses_lines_of_other_programs(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match="is not JSON"):
        Journal(path)
    assert path.read_text() == content
