"""Networks of a user's own through the commands that prune: a file with a factory, and photographs of any shape."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fleetpose import cli
from models import allocate, sensitivity
from models.prune import __main__ as prune
from models.resolve import check_weights_known
from models.zoo.weights import read_tensors
from tests import sweep

SOURCE = """
from tests.zoo.catalogue import ZOO, create_zoo

PREPROCESSING = {"mean": [128, 128, 128], "scale": 0.0078125, "channels": "RGB"}


def described(name):
    network = create_zoo(name)
    network.fleetpose = {"size": ZOO[name].size, "preprocessing": PREPROCESSING}
    return network
"""

#: networks of the zoo, each with something that the others have not: tensors that are no maps, two sizes of maps, a
#: single input size, squeeze-excite, channel shuffles, attention
NETWORKS = (
    "SimpleBaseline", "HRNet", "YOLOv8-pose decoded", "ShuffleNetV2", "MobileNetV3", "ViTPose simple", "RTMPose",
    "YOLOX-pose", "HigherHRNet", "GhostNet", "Swin", "Hourglass",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with own_zoo.py and photographs of several shapes in it."""
    functions = (f"def n{index}():\n    return described({name!r})\n" for index, name in enumerate(NETWORKS))
    (tmp_path / "own_zoo.py").write_text("\n\n".join([SOURCE, *functions]))
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for index, shape in enumerate([(90, 61, 3), (70, 111, 3), (64, 64, 3), (101, 50, 3)]):
        picture = cv2.resize(random.integers(0, 256, (6, 6, 3), np.uint8), shape[1::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "photos" / f"{index}.png"), picture)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_zoo", None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


def run(command, *argv) -> None:
    parser = command.make_parser()
    assert cli.run(command.main, parser, [str(argument) for argument in argv]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS if sweep.EVERYTHING else NETWORKS[:1])
def test_own_network_is_measured_planned_and_pruned_from_the_weights_it_brings(folder, capsys, name):
    model = ("--model", f"own_zoo.py:n{NETWORKS.index(name)}")
    photographs = ("--data", "photos", "--photographs", 4)
    run(sensitivity, *model, *photographs, "--zeros", 0.5, "--block-zeros", 0.5, "-o", "s.json")
    measured = json.loads(Path("s.json").read_text())
    assert set(measured["measured"]["weights"]) == {"own"}
    losses = [loss for curve in measured["layers"].values() for loss in curve.values()]
    assert losses
    assert np.isfinite(losses).all()
    run(allocate, *model, "--sensitivity", "s.json", "--ratio", "1.1x", "-o", "plan.json")
    capsys.readouterr()
    quick = ("--agreement", 4, "--recovery-minutes", 0)
    run(prune, *model, *photographs, "--plan", "plan.json", *quick, "-o", "pruned.safetensors", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert facts["params_left"] < facts["params"] / 1.08
    assert 0 < facts["agreement"]["divergence"] < 1
    zeros = sum(int((tensor == 0).sum()) for tensor in read_tensors("pruned.safetensors").values())
    assert zeros >= facts["params"] - facts["params_left"]


def test_registered_network_needs_a_file_of_weights():
    from fleetpose.errors import UsageError

    with pytest.raises(UsageError, match="--model lwop brings no weights of its own; give --weights FILE"):
        check_weights_known("lwop", None)
    check_weights_known("lwop", "w.safetensors")
