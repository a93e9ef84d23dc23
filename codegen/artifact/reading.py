"""A manifest read back and checked as a whole: its entries among themselves, and against the files it speaks of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from codegen.artifact.manifest import DISTRIBUTIONS, FORMAT, WIDENED_BY, Manifest, manifest_path, parameters_path
from codegen.artifact.seal import check_seal
from codegen.linking.elf import ElfReport
from codegen.linking.hosts import AGENT, LOADERS
from devices.info import DeviceInfo
from devices.profile import GPUS, ITEM_BYTES
from fleetpose.codec import decode, parse_json
from fleetpose.errors import DataError, UsageError, unknown_name
from fleetpose.files import read_bounded, read_json, sha256
from models.preprocess import Preprocessing
from runtime.package_format import MANIFEST, checked_section

#: a package, which has its manifest inside; of one at most
PACKAGE_SUFFIX, MOST_PACKAGE_BYTES = ".fpk", 1 << 31
_HINT = "it is written beside the artifact and moves with it; where it is lost or of another version, rebuild both"
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: what a manifest may say of weights, by the keys it has
_WEIGHTS = ({"file", "sha256"}, {"seed"}, {"own", "seed"})


def read_manifest(artifact: Path) -> Manifest:
    """The manifest of the artifact at `artifact`, checked against the files it speaks of. Nothing of it is loaded.

    Raises:
        UsageError: a file is missing, damaged, of another build or of another format, or the manifest is not
            consistent.
    """
    if not _is_file(artifact):
        raise UsageError(f"no artifact at {artifact}; make one with python -m codegen.build -o {artifact}")
    if artifact.suffix == PACKAGE_SUFFIX:
        return _read_package_manifest(artifact)
    path = manifest_path(artifact)
    entries = read_json(path, "manifest", FORMAT, _HINT)
    manifest = decode(Manifest, entries, str(path))
    check_consistency(manifest, str(path))
    check_seal(artifact, entries)
    if manifest.parameters_file:
        _check_digest(artifact.parent / manifest.parameters_file["file"], manifest.parameters_file["sha256"])
    return manifest


def _read_package_manifest(artifact: Path) -> Manifest:
    """The manifest inside a package. What only a shared object has, and its digest, are filled in."""
    content = read_bounded(artifact, "the package", MOST_PACKAGE_BYTES)
    try:
        text = checked_section(content, MANIFEST).rstrip(b"\0")
    except DataError as error:
        raise DataError(f"{artifact} {error}; copy it again, or rebuild it") from error
    entries = parse_json(text, subject=f"the manifest of {artifact}")
    if not isinstance(entries, dict) or entries.get("format") != FORMAT:
        raise DataError(f"{artifact} is no package of a network by this version; rebuild it")
    digest = hashlib.sha256(content).hexdigest()
    built = decode(Manifest, entries, str(artifact))
    manifest = replace(built, host=AGENT, sha256=digest, parameters=(), parameters_file={}, elf={})
    check_consistency(manifest, str(artifact))
    return manifest


def parameters_of(artifact: Path) -> Path | None:
    """The file of weights beside an artifact, if it is the one that the artifact's manifest, of any format, speaks of.

    None where there is no such file, or one of the same name that is not the artifact's.
    """
    path = parameters_path(artifact)
    try:
        facts = read_json(manifest_path(artifact), "manifest")["parameters_file"]
        return path if facts["file"] == path.name and facts["sha256"] == sha256(path) else None
    except (UsageError, OSError, LookupError, TypeError):
        return None


def check_consistency(manifest: Manifest, where: str) -> None:
    """Raise DataError, which begins with `where`, unless the entries of a complete manifest fit each other."""
    for name, check in _CHECKS.items():
        try:
            check(manifest)
        except UsageError as error:
            raise DataError(f"{where}: {name}: {error}") from error


def _check_entries(manifest: Manifest) -> None:
    if not manifest.entries:
        raise UsageError("there is none")
    first, sizes = manifest.entries[0], set[tuple[int, int]]()
    for entry in manifest.entries:
        _check_unique(entry.output_names, f"outputs of {entry.name}")
        if entry.size in sizes:
            raise UsageError(f"{entry.name} is there twice")
        if (entry.input.name, entry.input.shape[1]) != (first.input.name, first.input.shape[1]):
            raise UsageError(f"{entry.name} takes another input than {first.name}")
        if entry.output_names != first.output_names:
            raise UsageError(f"{entry.name} gives other outputs than {first.name}")
        if entry.input.view:
            raise UsageError(f"the input of {entry.name} has a view, which is of outputs")
        sizes.add(entry.size)


def _check_parameters(manifest: Manifest) -> None:
    _check_unique(manifest.parameters, "parameters")
    if bool(manifest.parameters) != bool(manifest.parameters_file):
        raise UsageError("parameters and a file of them go together")
    if manifest.parameters_file:
        _check_file(manifest.parameters_file)


def _check_weights(manifest: Manifest) -> None:
    facts = manifest.weights
    if set(facts) not in _WEIGHTS:
        raise UsageError(f"they are a file and its sha256, or a seed, not {', '.join(facts)[:80] or 'nothing'}")
    if "seed" in facts:
        decode(dict[str, int], {"seed": facts["seed"]})
    if "own" in facts:
        _check_sha256(facts["own"])
    if "file" in facts:
        _check_file(facts)


def _check_plan(manifest: Manifest) -> None:
    facts = manifest.plan
    if facts:
        if facts.get("zeros") not in ("given", "one-shot"):
            raise UsageError(f"its zeros are given or one-shot, not {str(facts.get('zeros'))[:80]!r}")
        origin = {name: value for name, value in facts.items() if name != "zeros"}
        if origin:
            _check_file(origin)


def _check_widened(manifest: Manifest) -> None:
    facts = manifest.widened
    if facts:
        _check_known("way to widen layers", facts.get("by", ""), WIDENED_BY)
        origin = {name: value for name, value in facts.items() if name != "by"}
        if origin:
            _check_file(origin)


def _check_file(facts: Mapping[str, Any]) -> None:
    """Of a file its bare name, and its digest."""
    if set(facts) != {"file", "sha256"}:
        raise UsageError(f"of a file there are its name and sha256, not {', '.join(facts)[:80]}")
    name = facts["file"]
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name or "\0" in name:
        raise UsageError(f"{str(name)[:80]!r} is no name of a file")
    _check_sha256(facts["sha256"])


def _check_sha256(digest: Any) -> None:
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise UsageError(f"{str(digest)[:80]!r} is no SHA-256")


def _check_unique(names: Iterable[str], what: str) -> None:
    listed = list(names)
    if len(set(listed)) != len(listed) or not all(listed):
        raise UsageError(f"{what} do not have names of their own")


def _check_known(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise unknown_name(kind, name[:80], known)


def _check_versions(manifest: Manifest) -> None:
    if set(manifest.versions) != set(DISTRIBUTIONS) or not all(manifest.versions.values()):
        raise UsageError(
            f"they are of {', '.join(DISTRIBUTIONS)}, not of {', '.join(manifest.versions)[:80] or 'none'}"
        )


def _check_optional(kind: type, values: Mapping[str, Any]) -> None:
    if values:
        decode(kind, values)


def _check_named(text: str) -> None:
    if not text.strip():
        raise UsageError("it is empty")


def _check_stride(manifest: Manifest) -> None:
    if manifest.stride < 0:
        raise UsageError(f"{manifest.stride} is below 0")


#: what is checked of each entry of a manifest besides its type
_CHECKS: dict[str, Callable[[Manifest], object]] = {
    "model": lambda manifest: _check_named(manifest.model),
    "sha256": lambda manifest: _check_sha256(manifest.sha256),
    "entries": _check_entries,
    "preprocessing": lambda manifest: _check_optional(Preprocessing, manifest.preprocessing),
    "stride": _check_stride,
    "weights": _check_weights,
    "parameters": _check_parameters,
    "device": lambda manifest: _check_optional(DeviceInfo, manifest.device),
    "profile": lambda manifest: _check_named(manifest.profile),
    "gpu": lambda manifest: _check_known("kind of device", manifest.gpu, GPUS),
    "host": lambda manifest: _check_known("host", manifest.host, LOADERS),
    "versions": _check_versions,
    "elf": lambda manifest: None if manifest.host == AGENT else decode(ElfReport, manifest.elf),
    "textures": lambda manifest: _check_unique(manifest.textures, "textures"),
    "dtype": lambda manifest: _check_known("dtype", manifest.dtype, ITEM_BYTES),
    "plan": _check_plan,
    "widened": _check_widened,
}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # of a folder that may not be looked into, or a name that is too long
        raise UsageError(f"cannot read {str(path)[-200:]}: {error.strerror}") from error


def _check_digest(path: Path, expected: str) -> None:
    if not _is_file(path):
        raise UsageError(f"{path} is missing; it belongs to the artifact and moves with it")
    try:
        digest = sha256(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if digest != expected:
        raise UsageError(
            f"{path} is not the file its manifest describes (sha256 {digest[:12]}..., not {expected[:12]}...)"
        )
