"""Whether a device is the one that an artifact was built for: what differs is said, or refused.

Another device is another model of chip. The same chip through another driver, or another OpenCL runtime, runs the same
kernels, so that is only said. An artifact that was built by a profile alone has no device to compare; then the kind of
device (CPU, Mali, Adreno) must be the profile's. The host is the processor that loads the shared object: it is known
here for a device of this machine; of others the loader there finds out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from codegen.artifact.manifest import DISTRIBUTIONS, Manifest
from codegen.linking.elf import native_machine
from devices.info import DeviceInfo, kind_of, same_chip
from devices.session import Session
from fleetpose.codec import decode
from fleetpose.errors import UsageError

log = logging.getLogger("fleetpose.artifact")


def add_artifact(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that loads an artifact."""
    parser.add_argument("--artifact", type=Path, required=True, help="the .so, or .fpk, written by codegen.build")
    parser.add_argument("--device", default="host", help="host or rpc:KEY")
    parser.add_argument(
        "--force-device", action="store_true", help="load an artifact although it was built for another device or host"
    )


def check_device(path: Path, manifest: Manifest, session: Session, force: bool = False) -> None:
    """Refuse an artifact of another device or host, and say where driver or versions differ from those of the build.

    Args:
        path: the artifact, for what is said.
        force: load it although it is of another device or host, and say so.

    Raises:
        UsageError: naming what differs, and what mends it.
    """
    wrong = "; ".join(_mismatches(manifest, session))
    if wrong and not force:
        raise UsageError(f"{path}: {wrong}; build it for this one (codegen.build --device), or give --force-device")
    if wrong:
        _say(f"{path}: {wrong}; it is loaded because of --force-device")
    elif changes := "; ".join(_changes(manifest, session.info)):
        _say(f"{path}: {changes} since it was built; codegen.verify tells whether its results are right here")


def _mismatches(manifest: Manifest, session: Session) -> Iterator[str]:
    """What makes the device, or the machine it is at, another one than the artifact was built for."""
    info, machine = session.info, manifest.elf.get("machine")
    if session.on_this_machine and machine not in (None, native_machine()):
        yield f"it was built for host {manifest.host}, {machine}, and this machine is {native_machine()}"
    if manifest.device:
        built = decode(DeviceInfo, manifest.device)
        if not same_chip(built, info):
            yield f"it was built for {built.name!r}, and this device is {info.name!r}"
    elif kind_of(info) not in ("", manifest.gpu) or (manifest.gpu == "cpu" and info.kind not in ("", "cpu")):
        kind = kind_of(info) or info.kind
        yield f"it was built by profile {manifest.profile}, of kind {manifest.gpu}, and {info.name!r} is of kind {kind}"
    if manifest.dtype == "float16" and info.fp16 is False:
        yield f"it computes in float16, and {info.name!r} does not"
    if manifest.textures and info.image2d is False:
        yield f"it reads images, and {info.name!r} does not"


def _changes(manifest: Manifest, info: DeviceInfo) -> Iterator[str]:
    """What else is not as it was when the artifact was built."""
    if manifest.device:
        before, now = _driver(decode(DeviceInfo, manifest.device)), _driver(info)
        if before and now and before != now:
            yield f"the driver was {before}, is {now}"
    for name in DISTRIBUTIONS:
        if (version := _version(name)) not in ("", manifest.versions[name]):
            yield f"{name} was {manifest.versions[name]}, is {version}"


def _driver(info: DeviceInfo) -> str:
    return " ".join(filter(None, (info.platform, info.driver)))


@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # the runtime alone is installed
        return ""


@cache
def _say(text: str) -> None:
    """A warning, once: an artifact is loaded again and again where it is timed."""
    log.warning("%s", text)
