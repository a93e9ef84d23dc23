"""Losses of variants: the rule without a file, and sensitivity files, good and bad."""

import json

import pytest

from fleetpose.errors import UsageError
from latency.planning.losses import Losses, read_losses
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity

TABLE = (("backbone", "backbone"), ("head.pafs", "PAF branch"))


def named(name: str, channels: int = 8) -> Layer:
    shape = (channels, 8, 8)
    return Layer(name, "conv", ("x",), (shape,), shape, (3, 3), padding=(1, 1), module=name)


LAYERS = (named("backbone.0"), named("backbone.1", 16), named("head.pafs.0"))


def write(path, **values):
    path.write_text(json.dumps({"format": "fleetpose.sensitivity/1", "model": "m", **values}))
    return path


def fine(zeros):
    return Sparsity.parse(f"columns:{zeros}:4x1")


def test_the_rule_grows_with_zeros_and_with_the_block_and_not_with_the_layer():
    losses = Losses(LAYERS, TABLE)
    mild, harsh = losses.of(LAYERS[0], fine(0.5)), losses.of(LAYERS[0], fine(0.75))
    assert mild == pytest.approx(1 / 3), "half over half, of three layers"
    assert harsh == pytest.approx(3 * mild)
    assert losses.of(LAYERS[1], fine(0.5)) == pytest.approx(mild), "four times the weights"
    assert losses.of(LAYERS[2], fine(0.5)) == pytest.approx(4 * mild), "as many weights, in the PAF branch"


def test_losses_of_coarse_units_are_dearer():
    losses = Losses(LAYERS, TABLE)
    texts = ("columns:0.5:1x1", "columns:0.5:4x1", "columns:0.5:8x1", "block_punched:0.5:8x4", "connectivity:0.5:8x1")
    found = [losses.of(LAYERS[0], Sparsity.parse(text)) for text in texts]
    assert found == sorted(found)
    assert found[3] / found[1] == pytest.approx(8**0.3), "32 weights at a time, not 4"
    assert found[4] / found[1] == pytest.approx(18**0.3), "kernels of nine weights, eight at a time"


def test_curves_of_blocks_are_shared_by_weights_and_a_layers_own_goes_first(tmp_path):
    path = write(
        tmp_path / "s.json",
        measure="AP",
        blocks={"backbone": {"0.5": 0.1, "0.75": 0.3}},
        layers={"backbone.0": {"0.5": 0.05}},
    )
    losses = read_losses(path, "m", LAYERS, TABLE)
    assert losses.measure == "AP"
    share = 16 * 16 / (16 * 16 + 8 * 8)
    assert losses.of(LAYERS[1], fine(0.5)) == pytest.approx(0.1 * share)
    assert losses.of(LAYERS[1], fine(0.625)) == pytest.approx(0.2 * share), "between two points"
    assert losses.of(LAYERS[1], fine(0.875)) == pytest.approx(0.4 * share), "beyond the last"
    assert losses.of(LAYERS[0], fine(0.5)) == pytest.approx(0.05)
    assert losses.of(LAYERS[2], fine(0.5)) > 0, "no curve: the rule"


def test_curves_are_of_the_family_the_file_names(tmp_path):
    coarse, layers = Sparsity.parse("block_punched:0.5:8x4"), {"backbone.0": {"0.5": 0.06}}
    path = write(tmp_path / "s.json", layers=layers, divergence={"block_punched:8x4": {}, "columns:4x1": {}})
    losses = read_losses(path, "m", LAYERS, TABLE)
    assert losses.of(LAYERS[0], coarse) == pytest.approx(0.06)
    assert losses.of(LAYERS[0], fine(0.5)) == pytest.approx(0.06 / 8**0.3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no sensitivity"),
        ('{"format": "fleetpose.sensitivity/1", "model": "other"}', "of other, not of m"),
        ('{"format": "fleetpose.sensitivity/1", "model": "m", "blocks": {"backbone": [1]}}', "a curve is an object"),
        ('{"format": "fleetpose.sensitivity/1", "model": "m", "blocks": {"b": {"1.5": 0}}}', "from 0 to below 1"),
        (
            '{"format": "fleetpose.sensitivity/1", "model": "m", "layers": {"b": {"0.5": NaN}}}',
            "NaN, which is no",
        ),
        ('{"format": "fleetpose.sensitivity/1", "model": "m", "layers": {"b": {"nan": 1}}}', "from 0 to below 1"),
        ('{"format": "fleetpose.sensitivity/1", "model": "m", "layers": [1]}', r"layers is \[1\], not an object"),
        ('{"format": "fleetpose.sensitivity/1", "model": "m", "measured": 3}', "measured is 3, not an object"),
    ],
)
def test_read_losses_refuses_bad_files(tmp_path, text, message):
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_losses(path, "m", LAYERS, TABLE)


def test_read_losses_names_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read the sensitivity"):
        read_losses(tmp_path / "no.json", "m", LAYERS, TABLE)
