"""A shared object and its manifest belong together: what is damaged, changed or of another build is not loaded."""

import hashlib
import json
import os
import random
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from codegen.artifact.manifest import manifest_path, parameters_path
from codegen.artifact.reading import read_manifest
from codegen.artifact.seal import seal
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.linking.elf import ElfError
from codegen.linking.stamp import STAMP_BYTES, digest_without_stamp, read_stamp, with_stamp
from devices.profile import load_profile
from fleetpose.errors import UsageError
from tests import sweep
from tests.sample_manifest import INTRUDERS, at, mutations, places, put
from tests.small_network import register_small

TARGETS = [("host", "native", "lld"), ("host", "native", "cc"), ("mali-g76", "android-arm64", "lld")]


def make(folder: Path, profile="host", host="native", linker="lld", size=(32, 32), inside=True) -> Path:
    path = folder / "pose.so"
    network = trace_network(register_small(), sizes=[size])
    target = BuildTarget(load_profile(profile), {}, host, linker)
    build(network, target, weights_inside=inside).write(path, force=True)
    return path


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("sealed"))


@pytest.fixture(scope="module")
def with_weights(tmp_path_factory) -> Path:
    """One that has its weights in a file beside it."""
    return make(tmp_path_factory.mktemp("weights"), inside=False)


def copy_of(artifact: Path, folder: Path) -> Path:
    for path in artifact.parent.iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder / artifact.name


@pytest.fixture
def copied(artifact, tmp_path) -> Path:
    """A copy of the artifact, for a test of its own."""
    return copy_of(artifact, tmp_path)


def entries_of(path: Path) -> dict:
    return json.loads(manifest_path(path).read_text())


def rewrite(path: Path, entries) -> None:
    manifest_path(path).write_text(json.dumps(entries))


@pytest.mark.parametrize(("profile", "host", "linker"), TARGETS)
def test_artifact_is_sealed_for_every_host_and_linker(tmp_path, profile, host, linker):
    path = make(tmp_path, profile, host, linker)
    manifest, content = read_manifest(path), path.read_bytes()
    assert (manifest.gpu, manifest.host) == (load_profile(profile).gpu, host)
    assert read_stamp(content) != bytes(STAMP_BYTES)
    assert digest_without_stamp(with_stamp(content, bytes(STAMP_BYTES))) == digest_without_stamp(content)
    rewrite(path, {**entries_of(path), "model": "another"})
    with pytest.raises(UsageError, match="was not built with this manifest"):
        read_manifest(path)


def test_manifest_may_be_laid_out_anew(copied):
    """What it says counts, not its spaces and the order of its entries."""
    rewrite(copied, dict(reversed(entries_of(copied).items())))
    assert read_manifest(copied).model == register_small()


def test_manifest_of_another_build_is_refused(copied, tmp_path):
    (tmp_path / "other").mkdir()
    other = make(tmp_path / "other", size=(32, 48))
    rewrite(copied, entries_of(other))
    with pytest.raises(UsageError, match=r"pose.so is not the file its manifest describes .* or of another build"):
        read_manifest(copied)
    rewrite(copied, {**entries_of(other), "sha256": hashlib.sha256(copied.read_bytes()).hexdigest()})
    with pytest.raises(UsageError, match="was not built with this manifest"):
        read_manifest(copied)


def test_manifest_with_any_entry_changed_is_refused(copied):
    """Whatever its type still is: the shared object says which manifest is its own."""
    entries = entries_of(copied)
    everywhere = sweep.sample([path for path in places(entries) if path], 40)
    others = INTRUDERS if sweep.EVERYTHING else INTRUDERS[::5]
    changed = [put(entries, path, other) for path in everywhere for other in others if at(entries, path) != other]
    changed += [values for _, values in mutations(entries, 2, 1000 if sweep.EVERYTHING else 40) if values != entries]
    for values in changed:
        rewrite(copied, values)
        with pytest.raises(UsageError) as caught:
            read_manifest(copied)
        assert "\n" not in str(caught.value)
    rewrite(copied, entries)
    assert read_manifest(copied).model == register_small()


def test_damaged_code_is_refused_although_the_manifest_has_its_digest(copied):
    """Bytes flipped, cut off or appended, and the manifest's digest written anew: nothing of it is loaded."""
    whole, entries, chance = copied.read_bytes(), entries_of(copied), random.Random(3)
    for turn in range(400 if sweep.EVERYTHING else 60):
        content = bytearray(whole)
        if turn % 3 == 0:
            content = content[: chance.randrange(len(content))]
        elif turn % 3 == 1:
            content += chance.randbytes(chance.randrange(1, 5000))
        else:
            for _ in range(chance.randrange(1, 9)):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        copied.write_bytes(content)
        rewrite(copied, {**entries, "sha256": hashlib.sha256(content).hexdigest()})
        with pytest.raises(UsageError) as caught:
            read_manifest(copied)
        assert "\n" not in str(caught.value)


def test_artifact_of_an_earlier_format_is_to_be_built_again(copied):
    rewrite(copied, {**entries_of(copied), "format": 2})
    with pytest.raises(UsageError, match=r"its format is 2, not 3; .*rebuild both"):
        read_manifest(copied)


def test_shared_object_without_room_for_a_stamp_is_refused(copied):
    copied.write_bytes(b"\x7fELF of no use")
    rewrite(copied, {**entries_of(copied), "sha256": hashlib.sha256(copied.read_bytes()).hexdigest()})
    with pytest.raises(UsageError, match=r"is not an ELF file, or damaged .*; rebuild it"):
        read_manifest(copied)


def test_shared_object_that_is_too_large_is_refused(copied, monkeypatch):
    monkeypatch.setattr("codegen.artifact.seal.MOST_BYTES", 1000)
    with pytest.raises(UsageError, match="which no artifact has"):
        read_manifest(copied)


@contextmanager
def as_nobody():
    """Another user than root, who reads everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("which", ["pose.so", "pose.json", "."])
def test_artifact_that_cannot_be_read_is_refused(artifact, which):
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = copy_of(artifact, Path(name))
        (Path(name) / which).chmod(0)
        with as_nobody(), pytest.raises(UsageError, match=rf"{path.stem}.*: Permission denied") as caught:
            read_manifest(path)
        assert "\n" not in str(caught.value)
        Path(name).chmod(0o755)


@pytest.mark.parametrize("name", ["x" * 300 + ".so", "a\0b.so", "pose.so/pose.so", ""])
def test_name_that_is_of_no_file_is_no_artifact(copied, name):
    with pytest.raises(UsageError, match=r"no artifact at|cannot read"):
        read_manifest(copied.parent / name)


def test_seal_needs_room(tmp_path, artifact):
    (tmp_path / "x.so").write_bytes(b"no ELF")
    with pytest.raises(ElfError, match="is not an ELF file"):
        seal(tmp_path / "x.so", read_manifest(artifact))


def test_weights_beside_are_part_of_what_is_sealed(tmp_path, with_weights):
    path = copy_of(with_weights, tmp_path)
    assert read_manifest(path).parameters_file["file"] == "pose.weights.safetensors"
    weights = parameters_path(path).read_bytes()
    parameters_path(path).write_bytes(weights[:-4] + b"abcd")
    with pytest.raises(UsageError, match=r"pose.weights.safetensors is not the file its manifest describes"):
        read_manifest(path)
    changed = entries_of(path)
    changed["parameters_file"]["sha256"] = hashlib.sha256(parameters_path(path).read_bytes()).hexdigest()
    rewrite(path, changed)
    with pytest.raises(UsageError, match="was not built with this manifest"):
        read_manifest(path)


def test_replaced_artifact_takes_its_own_weights_along(tmp_path, with_weights):
    path = copy_of(with_weights, tmp_path)
    make(tmp_path)
    assert not parameters_path(path).exists()


def test_replaced_artifact_leaves_a_file_of_that_name_alone(tmp_path, with_weights):
    """A file that bears the name, but is not what the replaced manifest speaks of, is somebody else's."""
    path = copy_of(with_weights, tmp_path)
    parameters_path(path).write_bytes(b"somebody else's")
    make(tmp_path)
    assert parameters_path(path).read_bytes() == b"somebody else's"
    assert not read_manifest(path).parameters_file
