"""A frontier's plain values: what no other beats, the knee, which speed-ups, its table and picture."""

import argparse
from pathlib import Path

import pytest

from benchmarks.frontier import with_peers
from fleetpose.errors import UsageError
from latency.optimize.frontier.curve import FrontierPoint, dense_point, knee, point_of, unbeaten
from latency.optimize.frontier.gathering import frontier_facts, suggested, table_rows, write_table
from latency.optimize.frontier.picture import paper_ratios, plot_frontier
from latency.optimize.frontier.speedups import AUTO, check_speedups, parse_speedup
from latency.optimize.request import Request
from latency.planning.choosing import Goal
from tests.sample_result import sample_result


def point(name: str, ms: float, kept: float | None, dense_ms: float = 40.0) -> FrontierPoint:
    speed = dense_ms / ms
    return FrontierPoint(name, speed, (ms, 0.98 * ms, 1.03 * ms), (speed, 0.97 * speed, 1.03 * speed), kept)


POINTS = [point("dense", 40, 0.46), point("1.25x", 32, 0.455), point("1.6x", 25, 0.44), point("2x", 20, 0.36),
          point("2.2x", 18, 0.25)]  # fmt: skip


def test_unbeaten_leaves_out_what_is_slower_and_worse():
    worse = point("1.5x", 27, 0.43)
    assert [each.name for each in unbeaten([*POINTS, worse])] == ["dense", "1.25x", "1.6x", "2x", "2.2x"]
    assert unbeaten([point("dense", 40, None)]) == []


def test_knee_is_where_speed_becomes_dear():
    best = knee(POINTS)
    assert best is not None
    assert best.name == "1.6x"


def test_no_knee_of_a_line_of_two_points_or_of_unknown_ones():
    line = [point("dense", 40, 0.5), point("a", 30, 0.4), point("b", 20, 0.3)]
    assert knee(line) is None
    assert knee(POINTS[:2]) is None
    assert knee([point(str(ms), ms, None) for ms in (40, 30, 20)]) is None


def test_point_of_a_result_has_ap_with_the_paired_interval_else_agreement():
    result = sample_result()
    result["headline"] |= {"predicted_loss": None}
    result["verify"] = {"sparse": {"ok": True}, "dense": {"ok": True}}
    judged = point_of("1.3x", 1.3, result, "1.3x/pose.so")
    assert (judged.kept, judged.kept_low, judged.kept_high) == pytest.approx((0.431, 0.449 - 0.031, 0.449 - 0.004))
    assert dense_point(result, "dense.so").kept == 0.449
    result["headline"] |= {"ap_dense": None, "ap_sparse": None}
    assert point_of("1.3x", 1.3, result, "").kept == pytest.approx(0.75 * 0.88)
    assert dense_point(result, "dense.so").kept == 1.0


def test_table_has_a_row_each_and_marks_the_knee():
    facts = frontier_facts("lwop", sample_result(), POINTS)
    header, *rows = table_rows(facts, POINTS)
    assert "AP kept" in header
    assert [row[0] for row in rows] == [each.name for each in POINTS]
    assert [row[0] for row in rows if "knee" in row[-1]] == ["1.6x"]
    assert rows[2][5] == "0.020", "lost"
    assert "1.6x" in suggested(facts, POINTS)
    nothing = [point("dense", 40, None), point("2x", 20, None)]
    assert "not known" in suggested(frontier_facts("lwop", sample_result(), nothing), nothing)


def test_a_predicted_loss_stands_with_its_own_unit():
    """AP may be predicted, by annotated photographs of --data, where agreement is what was measured."""
    result = sample_result()
    result["headline"] |= {"predicted_loss": {"lost": 0.11, "low": 0.05, "high": 0.18, "unit": "AP"}}
    result["headline"] |= {"ap_dense": None, "ap_sparse": None}
    result["verify"] = {"sparse": {"ok": True}, "dense": {"ok": True}}
    points = [dense_point(result, ""), point_of("1.3x", 1.3, result, "")]
    header, _, row = table_rows(frontier_facts("lwop", result, points), points)
    assert dict(zip(header, row, strict=True))["lost, predicted"] == "AP 0.110 (0.050 to 0.180)"
    assert dict(zip(header, row, strict=True))["agreement lost"] == f"{1 - 0.75 * 0.88:.3f}"


def test_markdown_has_the_table_and_the_picture(tmp_path):
    write_table(tmp_path / "f.md", frontier_facts("lwop", sample_result(), POINTS), POINTS)
    text = (tmp_path / "f.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(POINTS)
    assert len({row.count("|") for row in rows}) == 1
    assert "The knee is 1.6x" in text
    assert "frontier.png" in text


def test_picture_is_drawn_with_and_without_what_is_kept(tmp_path):
    facts = frontier_facts("lwop", sample_result(), POINTS) | {"peers": [{"name": "openvino", "ms": 30.0}]}
    plot_frontier(tmp_path / "a.png", facts, POINTS)
    unknown = [point("dense", 40, None), point("2x", 20, None)]
    plot_frontier(tmp_path / "b.png", frontier_facts("lwop", sample_result(), unknown), unknown)
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("a.png", "b.png"))


def test_paper_ratios_are_of_tables_that_print_both():
    dense, pruned = paper_ratios()
    assert dense == (1.0, 0.0)
    assert pruned == pytest.approx((2.07 / 1.42, 0.019))


def test_speedups_are_read_and_checked():
    assert (parse_speedup("1.5"), parse_speedup("2x"), (parse_speedup("auto"),)) == (1.5, 2.0, AUTO)
    for speedups in ((), AUTO, (1.25, 2.0)):
        check_speedups(speedups)
    for speedups, text in (((0.9,), "above 1"), ((1.5, 1.5), "twice"), ((0.0, 1.5), "stands alone")):
        with pytest.raises(UsageError, match=text):
            check_speedups(speedups)
    for text in ("fast", "1", "nan", "inf"):
        with pytest.raises(argparse.ArgumentTypeError, match="above 1"):
            parse_speedup(text)


def test_frontier_takes_no_other_goal():
    with pytest.raises(UsageError, match="leave out other goals"):
        Request("lwop", Path("out"), goal=Goal(speedup=2.0), frontier=(1.5,)).check()


def test_engines_are_set_beside_the_dense_time():
    ratios = {"1.25x": {"median": 1.24}, "torch": {"median": 0.5}, "openvino": {"median": 0.8}}
    content = with_peers(frontier_facts("lwop", sample_result(), POINTS), POINTS, ratios)
    assert [(peer["name"], peer["ms"]) for peer in content["peers"]] == [("openvino", 50.0), ("torch", 80.0)]
