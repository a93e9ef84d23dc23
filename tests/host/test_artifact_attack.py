"""Artifacts that somebody made to pass every check: whatever they do, it is one error in words.

Here code is damaged, or a manifest changed, and both are sealed anew, as only somebody does who means to. That the code
is right cannot be told then; but the process that loads it is the server's, so this one goes on.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codegen import run as run_command
from codegen.artifact.loaded import Artifact, ArtifactError
from codegen.artifact.manifest import Manifest, TensorSpec, entry_name, manifest_path
from codegen.artifact.reading import read_manifest
from codegen.artifact.seal import seal
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.linking.elf import ElfError, native_machine
from devices import open_device
from fleetpose import cli
from fleetpose.errors import DeviceUnreachable, UsageError
from tests import opencl, sweep
from tests.small_network import register_small

pytestmark = pytest.mark.system_opencl

SIZE = (32, 32)
LOADER = Path(__file__).with_name("load_artifacts.py")
#: seconds of an artifact after which what does not end is a failure of the test
LIMIT_SECS = 60.0


@pytest.fixture(scope="module")
def artifact(host, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("attacked") / "pose.so"
    build(trace_network(register_small(), sizes=[SIZE]), BuildTarget.of(host)).write(path)
    return path


def forge(artifact: Path, folder: Path, manifest: Manifest | None = None, content: bytes | None = None) -> Path:
    """Another shared object, manifest or both, sealed so that all checks of the files pass."""
    path = folder / "pose.so"
    path.write_bytes(artifact.read_bytes() if content is None else content)
    seal(path, read_manifest(artifact) if manifest is None else manifest).write(manifest_path(path))
    assert read_manifest(path)
    return path


def tensor(size=SIZE) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)


def test_forged_pair_that_is_right_runs(host, artifact, tmp_path):
    ours, forged = Artifact(artifact, host), Artifact(forge(artifact, tmp_path), host)
    for name, array in ours.run(tensor()).items():
        np.testing.assert_array_equal(forged.run(tensor())[name], array)


def changed_outputs(manifest: Manifest, *outputs: TensorSpec) -> Manifest:
    return replace(manifest, entries=(replace(manifest.entries[0], outputs=outputs),))


def test_outputs_are_compared_with_the_manifest(host, artifact, tmp_path):
    manifest = read_manifest(artifact)
    wide, pooled = manifest.entries[0].outputs
    swapped = forge(artifact, tmp_path, changed_outputs(manifest, replace(wide, shape=pooled.shape), pooled))
    with pytest.raises(ArtifactError, match=r"run_32x32 gives 1x5x16x16 float32, .* its manifest says 1x8x8x8 float32"):
        Artifact(swapped, host).run(tensor())
    fewer = forge(artifact, tmp_path, changed_outputs(manifest, wide))
    with pytest.raises(ArtifactError, match=r"run_32x32 gives .*, its manifest says 1x5x16x16 float32"):
        Artifact(fewer, host).run(tensor())
    assert host.alive()


def test_functions_are_compared_with_the_manifest(host, artifact, tmp_path):
    manifest = read_manifest(artifact)
    entry = manifest.entries[0]
    larger = replace(entry, name=entry_name(32, 48), input=TensorSpec("x", (1, 3, 32, 48)))
    with pytest.raises(ArtifactError, match=r"loading .*pose.so failed: .*run_32x48"):
        Artifact(forge(artifact, tmp_path, replace(manifest, entries=(larger,))), host)
    narrow = replace(entry, input=TensorSpec("x", (1, 2, *SIZE)))
    loaded = Artifact(forge(artifact, tmp_path, replace(manifest, entries=(narrow,))), host)
    with pytest.raises(ArtifactError, match=r"pose.so failed: "):
        loaded.run(tensor()[:, :2])
    assert host.alive()


def test_parameters_are_compared_with_the_code(host, artifact, tmp_path):
    path = tmp_path / "pose.so"
    build(trace_network(register_small(), sizes=[SIZE]), BuildTarget.of(host), weights_inside=False).write(path)
    manifest = read_manifest(path)
    fewer = forge(path, tmp_path, replace(manifest, parameters=manifest.parameters[1:]))
    with pytest.raises(ArtifactError, match=rf"takes {1 + len(manifest.parameters)} arguments, its manifest says"):
        Artifact(fewer, host)
    other = forge(path, tmp_path, replace(manifest, parameters=("none", *manifest.parameters[1:])))
    with pytest.raises(UsageError, match=r"does not hold the parameters of pose.so: 'none'"):
        Artifact(other, host)
    turned = forge(path, tmp_path, replace(manifest, parameters=manifest.parameters[::-1]))
    with pytest.raises(ArtifactError, match=r"pose.so failed: "):
        Artifact(turned, host).run(tensor())


def test_code_of_another_processor_is_refused_before_it_is_loaded(host, artifact, tmp_path):
    other = "AArch64" if native_machine() != "AArch64" else "x86-64"
    elf = {**read_manifest(artifact).elf, "machine": other}
    with pytest.raises(UsageError, match=rf"built for host native, {other}, and this machine is {native_machine()}"):
        Artifact(forge(artifact, tmp_path, replace(read_manifest(artifact), elf=elf)), host)


def test_run_takes_an_artifact_of_another_device_by_force_only(host, artifact, tmp_path, capsys):
    manifest = read_manifest(artifact)
    path = forge(artifact, tmp_path, replace(manifest, device={**manifest.device, "name": "Mali-G76", "kind": "gpu"}))
    import cv2

    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((*SIZE, 3), np.uint8))
    flags = ["--artifact", str(path), "--image", str(tmp_path / "photo.png"), "--no-people", "--repeats", "1", "--json"]
    assert cli.run(run_command.main, run_command.make_parser(), flags) == 2
    said = capsys.readouterr()
    assert "it was built for 'Mali-G76', and this device is" in said.err
    assert said.err.count("\n") == 1
    assert cli.run(run_command.main, run_command.make_parser(), [*flags, "--force-device"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["model"] == register_small()


def damages(whole: bytes, seed: int, count: int):
    """Shared objects with a few bytes of the code, or of the modules that TVM unpacks from it, written over."""
    chance = random.Random(seed)
    for _ in range(count):
        content = bytearray(whole)
        place = chance.randrange(1024, len(content) - 64)
        for _ in range(chance.choice((1, 4, 64))):
            content[place] = chance.randrange(256)
            place = min(place + chance.choice((1, 1, 8, 100)), len(content) - 1)
        yield bytes(content)


def test_damaged_code_that_is_sealed_anew_is_one_error_or_runs(artifact, tmp_path):
    """It may give wrong results, fail, or end the server's process; the client sees one error of each, and goes on."""
    count, manifest, paths = (330 if sweep.EVERYTHING else 4), read_manifest(artifact), [artifact]
    for number, content in enumerate(damages(artifact.read_bytes(), 5, count)):
        (tmp_path / str(number)).mkdir()
        with contextlib.suppress(ElfError):  # what is damaged so that it cannot be sealed is refused unloaded
            paths.append(forge(artifact, tmp_path / str(number), manifest, content))
    command, environment = [sys.executable, str(LOADER), *map(str, paths)], {**os.environ, **opencl.SYSTEM}
    limit = LIMIT_SECS * len(paths)
    done = subprocess.run(command, env=environment, timeout=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    right, *outcomes = done.stdout.splitlines()
    assert len(outcomes) == len(paths) - 1 > count // 2
    assert right.startswith("runs "), right
    kinds = Counter("runs as before" if said == right else said.split()[0] for said in outcomes)
    print(dict(kinds))
    assert set(kinds) <= {"runs as before", "runs", "ArtifactError", "DeviceUnreachable"}


def test_session_that_ends_while_running_is_one_error(artifact):
    with open_device("host") as session:
        loaded = Artifact(artifact, session)
        session.abort("somebody pulled the plug")
        with pytest.raises(DeviceUnreachable, match="somebody pulled the plug"):
            loaded.run(tensor())
