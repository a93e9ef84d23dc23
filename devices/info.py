"""What a device says of itself, and the profile that suits it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from devices.profile import PROFILE_DIR, Profile, load_profile, profile_names
from fleetpose.codec import decode
from fleetpose.errors import UsageError

log = logging.getLogger("devices.info")

#: what a device's server loads: a shared object of TVM's, or a package (docs/package-format.md)
LIBRARY, PACKAGE = "library", "package"

#: what names a GPU's kind in the names of devices, vendors and platforms
_MAKERS = {"mali": "mali", "immortalis": "mali", "adreno": "adreno", "qualcomm": "adreno"}


@dataclass(frozen=True)
class DeviceInfo:
    """What the device says of itself.

    Attributes:
        name, vendor, platform, platform_version, driver, version: OpenCL's own strings, "" where not known.
        kind: "gpu", "cpu", "accelerator", ... or "null".
        compute_units: cores, 0 where not known.
        clock_mhz: the highest clock it claims, 0 where not known.
        max_work_group: work-items in one work-group at most.
        vector_width: floats of the widest vector its instructions have, 0 where not known.
        local_bytes: local memory of one work-group.
        cache_bytes: the cache of global memory, 0 where not known.
        image2d_width, image2d_height: texels of an image2d at most, 0 where there are no images or it is not known.
        fp16, image2d: as claimed by extensions and limits; None where not known.
    """

    name: str
    vendor: str = ""
    platform: str = ""
    platform_version: str = ""
    driver: str = ""
    version: str = ""
    kind: str = ""
    compute_units: int = 0
    clock_mhz: int = 0
    max_work_group: int = 0
    vector_width: int = 0
    local_bytes: int = 0
    cache_bytes: int = 0
    image2d_width: int = 0
    image2d_height: int = 0
    fp16: bool | None = None
    image2d: bool | None = None

    @classmethod
    def from_listed(cls, listed: Mapping[str, Any]) -> DeviceInfo:
        """One entry of our backend's list of OpenCL devices ("fleetpose.opencl.devices")."""
        known = {field.name: listed[field.name] for field in fields(cls) if field.name in listed}
        return decode(cls, {**known, "kind": str(listed.get("type", "")).lower()}, "what the device says of itself")


def loaded_kind(listed: Sequence[Mapping[str, Any]] | None) -> str:
    """What a server loads, by its list of devices: LIBRARY unless it says otherwise."""
    return PACKAGE if listed and listed[0].get("loads") == PACKAGE else LIBRARY


def kind_of(info: DeviceInfo) -> str:
    """What kind of device describes itself so, as `Profile.gpu` has it; "" for another or none that can be told."""
    if info.kind == "cpu":
        return "cpu"
    words = f"{info.name} {info.vendor} {info.platform}".lower()
    return next((kind for word, kind in _MAKERS.items() if word in words), "")


def model_of(info: DeviceInfo) -> str:
    """The GPU's model, as profiles are named: "mali-g76", "adreno-740"; "" where no name has it.

    Arm's drivers have it in the device's name, among cores and revision: "Mali-G610 MC6 r0p0",
    "Mali-G715-Immortalis MC11". Qualcomm's older ones have it in OpenCL's version alone: "QUALCOMM Adreno(TM)",
    "OpenCL 2.0 Adreno(TM) 640". Mesa's call an Adreno 730 "FD730" or "Adreno (TM) 730".
    """
    if mali := re.search(r"\b(?:mali|immortalis)[- ]([gt]\d+)", info.name.lower()):
        return f"mali-{mali[1]}"
    for words in (info.name.lower(), info.version.lower()):
        if adreno := re.search(r"adreno\s*(?:\(tm\))?\s*(\d{3})\b|^fd(\d{3})\b", words):
            return f"adreno-{adreno[1] or adreno[2]}"
    return ""


def same_chip(info: DeviceInfo, other: DeviceInfo) -> bool:
    """Whether two descriptions are of the same model of chip, whatever OpenCL and driver it is reached through.

    Adreno has its number in OpenCL's version alone, Mali names a revision with some drivers, and for a CPU one runtime
    puts words of its own before the processor's name ("pthread-" in PoCL).
    """
    first, second = _chip(info), _chip(other)
    if "cpu" in (info.kind, other.kind) or not (info.kind and other.kind):
        return first.endswith(second) or second.endswith(first)
    return first == second


def _chip(info: DeviceInfo) -> str:
    name = " ".join(info.name.lower().split())
    if "adreno" in name and (numbered := re.search(r"adreno.*", info.version.lower())):
        return numbered[0]
    return re.sub(r"^(mali-\w+) r\d+p\d+$", r"\1", name)


def profile_for(info: DeviceInfo) -> Profile:
    """The profile that comes with the package for a device that describes itself so.

    That of its model, else, with a warning, that of its maker's GPUs. Raises UsageError where none suits.
    """
    name = own_profile(info) or f"generic_{kind_of(info)}"
    if name not in profile_names():
        raise UsageError(
            f"no profile suits device {info.name!r}; write one like {PROFILE_DIR / 'host.toml'}\n"
            f"and give it with --profile FILE"
        )
    if name.startswith("generic_"):
        model = model_of(info) or info.name
        log.warning("no profile is of %s; %s is taken (--profile FILE takes another)", model, name)
    return load_profile(name)


def own_profile(info: DeviceInfo) -> str:
    """The name of the profile that comes with the package for the very model of a device; "" where there is none."""
    if kind_of(info) == "cpu":
        return _cpu_profile(info)
    model = model_of(info)
    return model if model in profile_names() else ""


def _cpu_profile(info: DeviceInfo) -> str:
    """By the width of vectors and the processor's name: OpenCL's vendor is the runtime's, and may be Intel on any."""
    if 0 < info.vector_width <= 8:
        return "host-avx2"
    return "host-intel" if "intel" in info.name.lower() else "host"


def narrowed(profile: Profile, info: DeviceInfo) -> Profile:
    """A profile without half precision where the device says that it has none, as CPUs do with PoCL 3.1."""
    return replace(profile, fp16=profile.fp16 and info.fp16 is not False)
