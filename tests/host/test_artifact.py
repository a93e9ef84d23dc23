"""A whole network built, linked, loaded in a fresh process over RPC, and compared with PyTorch."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import nn

from codegen import build as build_command
from codegen import run as run_command
from codegen.artifact.breakdown import break_down
from codegen.artifact.loaded import Artifact
from codegen.artifact.manifest import manifest_path, parameters_path
from codegen.artifact.reading import read_manifest
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.verifying.comparison import Comparison
from codegen.verifying.verify import verify
from devices.timing.measure import measure
from fleetpose import cli
from fleetpose.errors import UsageError
from models.preprocess import Preprocessing
from models.zoo.registry import model_names, register_model
from models.zoo.spec import ModelSpec
from tests.small_network import register_small

pytestmark = pytest.mark.system_opencl

SIZES = [(64, 96), (64, 64)]


def make(host, folder: Path, model: str = "", sizes=SIZES, linker: str = "lld", weights_inside: bool = True) -> Path:
    path = folder / "pose.so"
    network = trace_network(model or register_small(), sizes=sizes)
    build(network, BuildTarget.of(host, linker=linker), weights_inside=weights_inside).write(path)
    return path


@pytest.fixture(scope="module")
def small(host, tmp_path_factory):
    return make(host, tmp_path_factory.mktemp("small"))


def test_artifact_outputs_equal_float64_pytorch_at_every_size(host, small):
    found = verify(Artifact(small, host), None)
    assert found["ok"]
    assert found["max_abs_error"] < 1e-4
    assert found["input_sizes"] == {"64x64": 1, "64x96": 1}


def test_artifact_runs_several_pictures(host, small):
    loaded, tensor = Artifact(small, host), np.random.default_rng(5).standard_normal((3, 3, 64, 64)).astype(np.float32)
    together = loaded.run(tensor)
    for number in range(3):
        for name, array in loaded.run(tensor[number : number + 1]).items():
            assert np.array_equal(together[name][number : number + 1], array)


def test_verify_notices_other_weights(host, small):
    loaded = Artifact(small, host)
    loaded.manifest = replace(loaded.manifest, weights={"seed": 1})
    found = verify(loaded, None)
    assert not found["ok"]
    assert found["max_abs_error"] > 1e-3


def test_verify_judges_outputs_by_their_own_magnitude(host, small):
    class Scaled(Artifact):
        def run(self, tensor):
            return {name: np.float32(1.01) * value for name, value in super().run(tensor).items()}

    loaded = Scaled(small, host)
    assert verify(loaded, None)["max_relative_error"] == pytest.approx(0.01, rel=0.01)
    assert not verify(loaded, None)["ok"]
    assert verify(loaded, None, max_error=0.02)["ok"]


def test_comparison_takes_the_largest_magnitude_of_all_inputs():
    comparison = Comparison()
    for offset, map_, nothing in (([1.0, -300.0], [1e-6, 2e-6], [0.0, 0.0]), ([0.5, 2.0], [0.0, 0.0], [0.0, 0.0])):
        expected = {"offset": np.array(offset), "map": np.array(map_), "nothing": np.array(nothing)}
        ours = {"offset": expected["offset"] + 0.003, "map": expected["map"] + 1e-6, "nothing": np.array([1e-4, 0.0])}
        comparison.add(ours, expected, (8, 8))
    assert comparison.relative() == pytest.approx({"offset": 1e-5, "map": 0.5, "nothing": 1e-4})


def test_artifact_reads_weights_beside_it(host, small, tmp_path):
    path = make(host, tmp_path, weights_inside=False)
    tensor = np.random.default_rng(3).standard_normal((1, 3, 64, 96)).astype(np.float32)
    inside, beside = Artifact(small, host).run(tensor), Artifact(path, host).run(tensor)
    for name in inside:
        np.testing.assert_array_equal(inside[name], beside[name])
    timing = measure(host, **Artifact(path, host).call_arguments(tensor), repeats=2)
    assert timing.ok, timing.error
    parameters_path(path).write_bytes(b"something else")
    with pytest.raises(UsageError, match="not the file its manifest describes"):
        Artifact(path, host)


def test_artifact_renamed_finds_its_weights(host, small, tmp_path):
    path = make(host, tmp_path, weights_inside=False)
    for old, new in ((path, tmp_path / "other.so"), (manifest_path(path), tmp_path / "other.json")):
        old.rename(new)
    tensor = np.ones((1, 3, 64, 64), np.float32)
    found, expected = Artifact(tmp_path / "other.so", host).run(tensor), Artifact(small, host).run(tensor)
    np.testing.assert_array_equal(found["wide"], expected["wide"])


def test_verify_says_where_outputs_are_no_numbers(host, small):
    class Broken(Artifact):
        def run(self, tensor):
            return {name: np.full_like(value, np.nan) for name, value in super().run(tensor).items()}

    found = verify(Broken(small, host), None)
    assert (found["ok"], found["not_finite"], found["max_abs_error"]) == (False, ["pooled", "wide"], None)
    json.dumps(found, allow_nan=False)


def test_both_linkers_give_the_same_results(host, small, tmp_path):
    path = make(host, tmp_path, linker="cc")
    tensor = np.random.default_rng(4).standard_normal((1, 3, 64, 64)).astype(np.float32)
    ours, theirs = Artifact(small, host).run(tensor), Artifact(path, host).run(tensor)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_lld_needs_no_compiler(host, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert make(host, tmp_path).is_file()


def wide() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 128, 5, 4, 2), nn.Conv2d(128, 256, 5, 1, 2))


def register_wide() -> str:
    """The name in the registry of a network that is little but weights."""
    name = "wide_of_the_tests"
    if name not in model_names():
        register_model(ModelSpec(name, wide, Preprocessing((0.0, 0.0, 0.0), 1.0), size=SIZES[0], outputs=("maps",)))
    return name


def test_weights_shared_between_sizes_are_stored_once(host, tmp_path):
    """A second size adds its kernels, not its weights, which are megabytes here.

    Tiles, for which weights are packed, depend on the width alone here, and the sizes are equally wide.
    """
    model, sizes = register_wide(), [(64, 96), (96, 96)]
    paths = []
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
        paths.append(make(host, tmp_path / str(count), model, sizes[:count]))
    assert paths[0].stat().st_size > 1e6
    assert paths[1].stat().st_size < 1.2 * paths[0].stat().st_size


def test_build_dumps_sources(host, tmp_path):
    argv = ["--model", register_small(), "--device", "host", "--size", "64x96", "-o", tmp_path / "pose.so"]
    command = build_command.make_parser()
    assert cli.run(build_command.main, command, [*map(str, argv), "--dump", str(tmp_path / "dump")]) == 0
    assert "__kernel void conv_3x3_s2_3_8" in (tmp_path / "dump" / "kernels.cl").read_text()
    assert "def run_64x96" in (tmp_path / "dump" / "module.py").read_text()
    assert json.loads((tmp_path / "dump" / "manifest.json").read_text())["model"] == register_small()


def test_run_goes_on_for_the_minutes_that_are_asked_for(host, small, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((64, 96, 3), np.uint8))
    flags = ["--artifact", str(small), "--image", str(tmp_path / "photo.png"), "--no-people", "--sustained", "0.02"]
    assert cli.run(run_command.main, run_command.make_parser(), [*flags, "--json"]) == 0
    sustained = json.loads(capsys.readouterr().out)["sustained"]
    assert sustained["minutes"] == 0.02
    assert sustained["last"]["network_ms"] == pytest.approx(
        sustained["first"]["network_ms"] * sustained["slower"]["network"]
    )
    assert sustained["conditions_first"]["time_unix_secs"] <= sustained["conditions_last"]["time_unix_secs"]
    assert cli.run(run_command.main, run_command.make_parser(), flags) == 0
    assert "after 0.02 minutes without a pause network takes" in capsys.readouterr().out


def test_layer_times_follow_the_manifest(host, small):
    loaded = Artifact(small, host)
    tensor = np.zeros((1, 3, 64, 96), np.float32)
    parts = break_down({"this": loaded, "other": Artifact(small, host)}, tensor, rounds=3)
    for part in parts.values():
        layers = part.layers()
        assert [layer.code.layer for layer in layers] == [code.layer for code in loaded.manifest.entry((64, 96)).layers]
        assert all(layer.secs > 0 for layer in layers)
        assert part.gap_share >= 0
        assert sum(layer.secs for layer in layers) == pytest.approx(part.kernel_share * part.wall_secs)
    timing = measure(host, **loaded.call_arguments(tensor), repeats=3)
    assert timing.ok, timing.error
    assert 0 < timing.event_median_secs <= timing.wall_median_secs


def test_artifact_refuses_a_shape_it_was_not_built_for(host, small):
    with pytest.raises(UsageError, match=r"built for input 64x96, 64x64, not 32x32; rebuild with --size 32x32"):
        Artifact(small, host).run(np.zeros((1, 3, 32, 32), np.float32))
    with pytest.raises(UsageError, match=r"expected \(1, 3, 64, 96\)"):
        Artifact(small, host).run(np.zeros((1, 1, 64, 96), np.float32))


def test_artifact_refuses_damaged_files(host, small, tmp_path):
    copy = tmp_path / "pose.so"
    copy.write_bytes(small.read_bytes())
    with pytest.raises(UsageError, match=r"cannot read the manifest .*pose.json: .*moves with it"):
        read_manifest(copy)
    manifest_path(copy).write_text("{")
    with pytest.raises(UsageError, match=r"the manifest .*pose.json is not JSON"):
        read_manifest(copy)
    fields = json.loads(manifest_path(small).read_text())
    manifest_path(copy).write_text(json.dumps({**fields, "format": 99}))
    with pytest.raises(UsageError, match=r"format is 99, not 3; .*rebuild"):
        read_manifest(copy)
    manifest_path(copy).write_text(json.dumps(fields))
    assert read_manifest(copy).model == register_small()
    copy.write_bytes(small.read_bytes()[:-1])
    with pytest.raises(UsageError, match="not the file its manifest describes"):
        read_manifest(copy)


FRESH = """
import sys
from devices import open_device
from devices.rpc import lean
lean.without_compiler()
import numpy as np
from codegen.artifact.breakdown import break_down
from codegen.artifact.loaded import Artifact
with open_device("host") as session:
    Artifact(sys.argv[1], session).run(np.zeros((1, 3, 64, 64), np.float32))
maps = open("/proc/self/maps").read()
assert "libtvm_compiler" not in maps and "libtorch" not in maps, "the compiler or torch is loaded"
assert sys.modules.get("torch") is None
"""


def test_artifact_in_a_fresh_process_needs_neither_torch_nor_the_compiler(small):
    done = subprocess.run([sys.executable, "-c", FRESH, str(small)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
