"""A factory that only a file names, an artifact's manifest, a plan or a record, is not imported without trust."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from codegen.verifying.reference import Reference
from devices.profile import load_profile
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.trust import trusting
from latency import audit
from latency.dataset.hardware import Hardware
from latency.network_model.calibration_data import measured_networks
from latency.records.identity import network_id
from latency.records.record import Record
from models.plans.plan import LayerChoice, Plan
from tests.fuzz.readers import small_predictor
from tests.sample_manifest import sample_manifest

SOURCE = """
from pathlib import Path
from torch import nn
Path({mark!r}).mkdir()
def net():
    return nn.Conv2d(3, 4, 3)
net.fleetpose = {{"size": [8, 8], "preprocessing": {{"mean": [0, 0, 0], "scale": 1, "channels": "RGB"}}}}
"""


@pytest.fixture
def factory(tmp_path):
    """A factory, and the folder that importing it makes."""
    mark, source = tmp_path / "mark", tmp_path / f"own_of_{tmp_path.name}.py"
    source.write_text(SOURCE.format(mark=str(mark)))
    return f"{source}:net", mark


def test_verify_needs_trust_for_the_factory_of_a_manifest(factory):
    name, mark = factory
    manifest = replace(sample_manifest(), model=name, weights={"seed": 0})
    with pytest.raises(UsageError, match=r"the artifact is of the network .* code that would run; .* --trust"):
        Reference(manifest, None)
    assert not mark.exists()
    with trusting(True):
        Reference(manifest, None)
    assert mark.exists()


def test_audit_needs_trust_for_the_factory_of_a_plan(factory, tmp_path, capsys):
    name, mark = factory
    Plan(name, (LayerChoice("a"),)).save(tmp_path / "plan.json")
    flags = ["--plan", str(tmp_path / "plan.json"), "--data", str(tmp_path / "none.jsonl")]
    assert cli.run(audit.main, audit.make_parser(), flags) == 2
    assert "plan.json is of the network" in capsys.readouterr().err
    assert not mark.exists()
    assert cli.run(audit.main, audit.make_parser(), [*flags, "--trust"]) == 2
    assert "none.jsonl" in capsys.readouterr().err, "it went on to the data"
    assert mark.exists()


def test_records_need_trust_for_the_factories_of_networks(factory, caplog):
    name, mark = factory
    device = {"profile": "host", "name": "a CPU", "driver": "3.1"}
    identity = network_id(device, name, (8, 8), {}, "float32")
    record = Record(identity, "network", "float32", grids=6, wall_ms=5.0, network=name, size=(8, 8), device=device)
    predictor = replace(small_predictor(), hardware=Hardware.of(load_profile("host")))
    nothing = SimpleNamespace(samples=[], predicted=[])
    assert not measured_networks([record], [], predictor, nothing, "wall")
    assert "is of the network" in caplog.text
    assert "--trust" in caplog.text
    assert not mark.exists()
