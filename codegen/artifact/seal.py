"""The seal between a shared object and its manifest, so that the pair cannot be parted or either be changed alone.

The manifest has the SHA-256 of the shared object. The shared object has a stamp (`codegen.linking.stamp`): the SHA-256
of the manifest, without that digest, and of its own bytes, the stamp taken as zeros. Whoever changes a byte of either
file by accident, or takes a manifest from another build, or writes the digest anew, is found out before the code is
loaded. It is a checksum and no signature: whoever makes both anew on purpose is not found out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from codegen.artifact.manifest import Manifest
from codegen.linking.elf import ElfError
from codegen.linking.stamp import digest_without_stamp, read_stamp, with_stamp
from fleetpose.codec import encode
from fleetpose.disk.reading import only_files
from fleetpose.errors import UsageError

#: the entry of a manifest that depends on the stamp
DIGEST = "sha256"
#: of a shared object, at most
MOST_BYTES = 1 << 31


def seal(shared: Path, manifest: Manifest) -> Manifest:
    """Stamp a linked shared object; answers its manifest with the object's digest.

    Args:
        manifest: complete but for the digest.

    Raises:
        ElfError: the file has no room for a stamp.
    """
    content = shared.read_bytes()
    stamped = with_stamp(content, _stamp_of(content, encode(manifest)))
    shared.write_bytes(stamped)
    return replace(manifest, sha256=hashlib.sha256(stamped).hexdigest())


def check_seal(path: Path, entries: Mapping[str, Any]) -> None:
    """Check a shared object and its manifest against each other; nothing of it is loaded.

    Args:
        path: the shared object.
        entries: the manifest's JSON.

    Raises:
        UsageError: either is not what the other says.
    """
    content = _read(path)
    expected, digest = entries[DIGEST], hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise UsageError(
            f"{path} is not the file its manifest describes (sha256 {digest[:12]}..., not {expected[:12]}...); "
            "it is damaged or of another build: copy both again, or rebuild them"
        )
    try:
        is_its_own = read_stamp(content) == _stamp_of(content, entries)
    except ElfError as error:
        raise UsageError(f"{path} {error}; rebuild it") from error
    if not is_its_own:
        raise UsageError(
            f"{path} was not built with this manifest, or one of the two was changed since; "
            "copy both again, or rebuild them"
        )


def _read(path: Path) -> bytes:
    """The bytes of a shared object. Raises UsageError where they cannot be read, or are more than those of any."""
    try:
        with open(path, "rb", opener=only_files) as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path} has more than {MOST_BYTES >> 30} GiB, which no artifact has")
    return content


def _stamp_of(content: bytes, entries: Mapping[str, Any]) -> bytes:
    described = {name: value for name, value in entries.items() if name != DIGEST}
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode() + b"\n" + digest_without_stamp(content)).digest()
