"""docs/atlas.md: its figures are those the package predicts, and where zeros begin to pay follows from the counts."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("atlas", ROOT / "tools" / "atlas.py")
atlas = importlib.util.module_from_spec(_spec)
sys.modules["atlas"] = atlas
_spec.loader.exec_module(atlas)

PAGE = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("network", "device"), [("resnet50_3", "adreno-730"), ("posenet", "mali-g76")])
def test_the_page_says_what_is_predicted(network, device):
    from latency.cost_model.box.shipped import names

    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{network}` |"))
    assert row.split(" | ")[1 + names().index(device)].rstrip(" |") == str(atlas.cell(network, device))


def test_the_page_has_every_network_and_the_counts():
    assert all(f"| `{network}` |" in PAGE for network in atlas.NETWORKS)
    rows, compiler = atlas.counted_table()
    assert len(rows) == len({(row[0], row[1]) for row in rows}) >= 4
    assert all("| " + " | ".join(row) + " |" in PAGE for row in rows)
    assert compiler in PAGE


@pytest.mark.parametrize(
    ("cycles", "expected"),
    [((100, 80, 50), "below 2x"), ((100, 120, 80), "3.0x"), ((100, 150, 110), "above 4x"), ((100, 110, 60), "2.4x")],
)
def test_where_zeros_begin_to_pay(cycles, expected):
    assert atlas.break_even(cycles, (1.0, 2.0, 4.0)) == expected


def test_a_count_adds_up_layers_that_are_cheaper():
    def answer(**cycles):
        layers = [{"layer": name, "cycles": value} for name, value in cycles.items()]
        return {"layers": layers, "total": {"cycles": sum(cycles.values())}, "compiler": "Mesa 1"}

    layers = {}
    atlas.count_row("net", "mali-g76", "dense", answer(a=60, b=40), layers)
    row = atlas.count_row("net", "mali-g76", "columns:0.5:8x1", answer(a=30, b=50), layers)
    assert (row["cycles"], row["faster_share"]) == (80, 0.6)
