"""docs/atlas.md: its figures are those the package predicts, and where zeros begin to pay follows from the counts."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from models.zoo.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
atlas, atlas_counts = importlib.import_module("atlas"), importlib.import_module("atlas_counts")

PAGE = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("network", "device"), [("resnet50_3", "adreno-730"), ("posenet", "mali-g76")])
def test_the_page_says_what_is_predicted(network, device):
    from latency.cost_model.box.shipped import names

    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{network}` |"))
    assert row.split(" | ")[3 + names().index(device)].rstrip(" |") == str(atlas.cell(network, device))


def test_the_page_has_every_network_and_the_counts():
    assert set(atlas.NETWORKS) == {spec.name for spec in CATALOGUE}
    assert all(f"| `{network}` |" in PAGE for network in atlas.NETWORKS)
    rows, compiler = atlas_counts.counted_table()
    assert len(rows) == len({(row[0], row[1]) for row in rows}) >= 4
    assert all("| " + " | ".join(row) + " |" in PAGE for row in rows)
    assert compiler in PAGE


@pytest.mark.parametrize(
    ("cycles", "expected"),
    [((100, 80, 50), "below 2x"), ((100, 120, 80), "3.0x"), ((100, 150, 110), "above 4x"), ((100, 110, 60), "2.4x")],
)
def test_where_zeros_begin_to_pay(cycles, expected):
    assert atlas_counts.break_even(cycles, (1.0, 2.0, 4.0)) == expected


def test_a_count_adds_up_layers_that_are_cheaper():
    def answer(**cycles):
        layers = [{"layer": name, "cycles": value} for name, value in cycles.items()]
        return {"layers": layers, "total": {"cycles": sum(cycles.values())}, "compiler": "Mesa 1"}

    layers = {}
    atlas_counts.count_row("net", "mali-g76", "dense", answer(a=60, b=40), layers)
    row = atlas_counts.count_row("net", "mali-g76", "columns:0.5:8x1", answer(a=30, b=50), layers)
    assert (row["cycles"], row["faster_share"]) == (80, 0.6)


def blue(picture):
    """Pixels of the first GPU's colour in a picture."""
    return int((np.round(255 * imread(picture)[..., :3]) == (31, 119, 180)).all(-1).sum())


def test_a_variant_that_was_not_counted_is_an_empty_cell(tmp_path):
    counts = {"dense": 100, "columns:0.5:8x1": 80, "columns:0.75:8x1": 40}
    about = {"network": "net", "profile": "mali-g76", "faster_share": 0.5, "compiler": "Mesa 1"}
    path = tmp_path / "counts.csv"
    atlas_counts.write_counts(({**about, "variant": name, "cycles": cycles} for name, cycles in counts.items()), path)
    rows, compiler = atlas_counts.counted_table(path)
    assert rows == [["`net`", "mali-g76", "", "1.25", "", "2.50", "50%", "below 2x"]]
    assert compiler == "Mesa 1"


@pytest.mark.slow
def test_a_small_page_is_written_with_its_picture(tmp_path):
    text, picture = atlas.write(tmp_path, ["posenet"], ["adreno-730"])
    lines = text.read_text(encoding="utf-8").splitlines()
    assert "|  | input | GMACs | Adreno 730, TVM |" in lines
    (row,) = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `posenet`")]
    graph, cell = atlas.graph_of("posenet"), atlas.cell("posenet", "adreno-730")
    height, width = graph.input_shape[1:]
    assert row == ["`posenet`", f"{height}x{width}", f"{graph.macs / 1e9:.3g}", str(cell)]
    assert cell.low < cell.ms < cell.high
    assert blue(picture) > 20


def test_a_figure_in_doubt_is_drawn_hollow(tmp_path):
    sure, doubted = atlas.Cell(10.0, 9.0, 11.0, 0.0), atlas.Cell(10.0, 9.0, 11.0, 0.5)
    filled = []
    for cell in (sure, doubted):
        atlas.draw({("posenet", "adreno-730"): cell}, ["posenet"], ["adreno-730"], tmp_path / "a.png")
        filled.append(blue(tmp_path / "a.png"))
    assert filled[0] > filled[1] > 0
    assert (str(sure), str(doubted)) == ("10 (9 to 11)", "10 (9 to 11) ?50%")
