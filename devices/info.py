"""What a device says of itself, and the profile that suits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from devices.profile import PROFILE_DIR, Profile, load_profile, profile_names
from fleetpose.codec import decode
from fleetpose.errors import UsageError


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
    fp16: bool | None = None
    image2d: bool | None = None

    @classmethod
    def from_listed(cls, listed: Mapping[str, Any]) -> DeviceInfo:
        """One entry of our backend's list of OpenCL devices ("fleetpose.opencl.devices")."""
        known = {field.name: listed[field.name] for field in fields(cls) if field.name in listed}
        return decode(cls, {**known, "kind": str(listed.get("type", "")).lower()}, "what the device says of itself")


def profile_for(info: DeviceInfo) -> Profile:
    """The profile that comes with the package for a device that describes itself so. Raises UsageError if none does."""
    words = f"{info.name} {info.vendor} {info.platform}".lower()
    name = next((f"generic_{gpu}" for gpu in ("mali", "adreno") if gpu in words), "")
    if info.kind == "cpu":
        name = "host-avx2" if 0 < info.vector_width <= 8 else "host"
    if name not in profile_names():
        raise UsageError(
            f"no profile suits device {info.name!r}; write one like {PROFILE_DIR / 'host.toml'}\n"
            f"and give it with --profile FILE"
        )
    return load_profile(name)
