"""The sensitivity file and the journal of its measurement: read back, refused when wrong, resumed when torn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fleetpose.errors import UsageError
from fleetpose.files import write_json
from latency.planning.losses import read_losses
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity
from models.prune.response.curves import FamilyCurves, read_divergence, relation, to_json
from models.prune.response.journal import ResponseJournal
from tests.small_disk import file_limit

LAYER = Layer("head.0", "conv", ("x",), ((8, 8, 8),), (8, 8, 8), (3, 3), padding=(1, 1), module="head.0")
HALF = Sparsity.parse("columns:0.5:4x1")
ANNOTATED = FamilyCurves(
    blocks={"head": {0.25: 0.02, 0.5: 0.1, 0.75: 0.5}},
    layers={"head.0": {0.25: 0.01, 0.5: 0.05}},
    dense_ap=0.5,
    ap={"head": {0.25: 0.49, 0.5: 0.45, 0.75: 0.3}},
)


def test_sensitivity_file_gives_decide_losses_in_ap(tmp_path):
    content = to_json("m", {"columns:4x1": ANNOTATED}, {"seed": 0})
    write_json(tmp_path / "s.json", content)
    assert content["measure"] == "AP"
    losses = read_losses(tmp_path / "s.json", "m", [LAYER], (("head", "head block"),))
    assert losses.measure == "AP"
    assert losses.of(LAYER, HALF) == pytest.approx(0.05 * content["relation"]["ap_per_divergence"])
    assert content["blocks"]["head"]["0.5"] == pytest.approx(0.05)


def test_without_annotations_losses_are_divergences(tmp_path):
    content = to_json("m", {"columns:4x1": FamilyCurves(ANNOTATED.blocks, ANNOTATED.layers)}, {})
    write_json(tmp_path / "s.json", content)
    assert content["measure"] == "output divergence"
    assert content["relation"] is None
    assert read_losses(tmp_path / "s.json", "m", [LAYER], ()).of(LAYER, HALF) == pytest.approx(0.05)


def test_divergences_are_read_back_by_family(tmp_path):
    families = {"columns:4x1": ANNOTATED, "block_punched:8x4": FamilyCurves({}, {"head.0": {0.5: 0.2}})}
    write_json(tmp_path / "s.json", to_json("m", families, {}))
    found = read_divergence(tmp_path / "s.json", "m")
    assert found == {"columns:4x1": {"head.0": {0.25: 0.01, 0.5: 0.05}}, "block_punched:8x4": {"head.0": {0.5: 0.2}}}
    assert list(read_divergence(tmp_path / "s.json", "m", "columns:4x1")) == ["columns:4x1"]
    with pytest.raises(UsageError, match="did you mean 'columns:4x1'"):
        read_divergence(tmp_path / "s.json", "m", "columns:8x1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no sensitivity"),
        ('{"format": "fleetpose.sensitivity/1", "model": "other"}', "of other, not of m"),
        ('{"format": "fleetpose.sensitivity/1", "model": "m", "layers": {}}', "no curves of layers"),
        (
            '{"format": "fleetpose.sensitivity/1", "model": "m", "divergence": {"a": {"layers": [1]}}}',
            "a.layers is .1., not an",
        ),
    ],
)
def test_sensitivity_file_refuses_other_contents(tmp_path, text, message):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_divergence(tmp_path / "s.json", "m")


def test_the_relation_is_a_slope_where_little_is_lost():
    divergence = np.array([0.01, 0.02, 0.05, 0.1, 0.5, 1.0])
    lost = np.minimum(0.8 * divergence, 0.3)
    found = relation(np.column_stack([divergence, lost]))
    assert found["ap_per_divergence"] == pytest.approx(0.8)
    assert found["spearman"] > 0.95
    assert relation(np.zeros((2, 2))) is None
    assert relation(np.column_stack([divergence, np.zeros(6)])) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[1, 2, 3]", "not a list of 2"),
        ("{}", "is {}, not a list"),
        ("[[], 1]", r"\[0\]\[0\] is \[\], not a string"),
        ('["a", NaN]', "line 2 has NaN"),
        ("[" * 100_000, "more than 64 lists"),
    ],
)
def test_response_journal_refuses_other_lines_in_one_line(tmp_path, line, says):
    path = tmp_path / "s.journal"
    path.write_text(f'{{"seed": 0}}\n{line}\n')
    with pytest.raises(UsageError, match=says) as caught:
        ResponseJournal(path, {"seed": 0})
    assert "--restart" in str(caught.value)
    assert len(str(caught.value)) < 400
    assert path.read_text() == f'{{"seed": 0}}\n{line}\n'


def test_response_journal_checks_a_value_when_it_is_read(tmp_path):
    path = tmp_path / "s.journal"
    path.write_text('{"seed": 0}\n["a", {"0.5": "much"}]\n')
    with ResponseJournal(path, {"seed": 0}) as journal, pytest.raises(UsageError, match=r"a.* is 'much', not a number"):
        journal.read("a", dict[float, float])


def test_response_journal_goes_on_after_a_torn_line(tmp_path):
    path = tmp_path / "s.journal"
    with ResponseJournal(path, {"seed": 0}) as journal:
        journal.add("a", {"0.5": 1.0})
        journal.add("b", None)
    path.write_bytes(path.read_bytes() + b'["c", {"0.')
    with ResponseJournal(path, {"seed": 0}) as journal:
        assert journal.values == {"a": {"0.5": 1.0}, "b": None}
        journal.add("c", 2)
    assert [json.loads(line) for line in path.read_text().splitlines()][1:] == [
        ["a", {"0.5": 1.0}],
        ["b", None],
        ["c", 2],
    ]


def test_response_journal_leaves_whole_lines_on_a_full_disk(tmp_path):
    path = tmp_path / "s.journal"
    with ResponseJournal(path, {"seed": 0}) as journal:
        with file_limit(path.stat().st_size + 5), pytest.raises(UsageError, match=f"cannot write {path}: File too"):
            journal.add("a", 1)
        journal.add("b", 2)
    assert path.read_text() == '{"seed": 0}\n["b", 2]\n'


def test_response_journal_of_another_measurement_stays_as_it_is(tmp_path):
    path = tmp_path / "s.journal"
    with ResponseJournal(path, {"seed": 0, "data": ["d"]}) as journal:
        journal.add("a", 1)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"seed.*--restart"):
        ResponseJournal(path, {"seed": 1, "data": ["d"]})
    path.write_bytes(b"\x00\xff\n")
    with pytest.raises(UsageError, match="no journal"):
        ResponseJournal(path, {"seed": 1})
    path.write_bytes(before)
    with ResponseJournal(path, {"seed": 0, "data": ("d",)}) as journal:
        assert journal.values == {"a": 1}
