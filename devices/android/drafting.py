"""The profile of a phone's GPU: one that comes with the package, or, for a GPU that none is of, a draft of one.

A draft has the limits that the device says, and else what the profile of the maker's other GPUs has; each line says
which. A GPU of a maker whose kernels are not known gets those of a Mali, which ask for least: no local memory, small
work-groups, vectors of four.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from devices.adb.wire import plain_line
from devices.android.probing import ReachedPeaks
from devices.info import DeviceInfo, kind_of, model_of, own_profile
from devices.profile import Profile, load_profile

#: fields of a profile that a draft has in this order; those that nobody knows are left out
_DRAFTED = tuple(
    field.name
    for field in fields(Profile)
    if field.name not in ("name", "description", "peak_gflops_fp32", "peak_gbytes_per_sec", "opencl_device")
)
_SAID, _MEASURED = "the device says so", "measured when this was drafted"


@dataclass(frozen=True)
class ProfileChoice:
    """What kernels for a phone are shaped by.

    Attributes:
        name: a profile's name.
        draft: the text of a profile of one's own, as TOML; None where `name` comes with the package.
    """

    name: str
    draft: str | None = None


def choose_profile(info: DeviceInfo) -> ProfileChoice:
    """The profile of the GPU's model, or that of CPUs; a draft where there is none."""
    if name := own_profile(info):
        return ProfileChoice(name)
    return ProfileChoice(model_of(info) or "gpu", draft_profile(info, ReachedPeaks()))


def draft_profile(info: DeviceInfo, peaks: ReachedPeaks) -> str:
    """The text of a profile for a GPU by what it says of itself, and by what was measured of it."""
    kind = kind_of(info)
    family = f"generic_{kind if kind in ('adreno', 'mali') else 'mali'}"
    values = _values(info, load_profile(family), family) | _peak_values(peaks)
    described = plain_line(f"{info.name}, {info.vendor}, {info.version}").replace('"', "'").replace("\\", "/")
    lines = [
        f"# A draft for {described}. What no comment calls the device's own is that of",
        f"# {family}.toml. Peaks are what small kernels reached here; those without a line were not measured.",
        f'description = "{described}, a draft"',
    ]
    for name, (value, source) in values.items():
        lines.append(f"{name} = {_toml(value)}" + (f"  # {source}" if source else ""))
    return "\n".join(lines) + "\n"


def _values(info: DeviceInfo, family: Profile, name: str) -> dict[str, tuple[Any, str]]:
    """Of each field its value, and where it comes from where that is not the family's profile."""
    values = {field: (value, "") for field in _DRAFTED if (value := getattr(family, field)) is not None}
    if info.max_work_group:
        most = min(info.max_work_group, family.max_threads_per_block)
        source = f"{name}'s; the device takes {info.max_work_group} of kernels with few registers"
        values["max_threads_per_block"] = (most, _SAID if most == info.max_work_group else source)
        values["work_group"] = (min(family.work_group, most), "")
    said = {"max_shared_memory_per_block": info.local_bytes or None, "compute_units": info.compute_units or None,
            "fp16": info.fp16, "image2d": info.image2d, "cache_bytes": info.cache_bytes or None,
            "image2d_max": min(info.image2d_width, info.image2d_height) or None}  # fmt: skip
    return values | {field: (value, _SAID) for field, value in said.items() if value is not None}


def _peak_values(peaks: ReachedPeaks) -> dict[str, tuple[Any, str]]:
    measured = {
        "fp16_rate": peaks.half_rate,
        "peak_gflops_fp32": peaks.gflops,
        "peak_gbytes_per_sec": peaks.gbytes_per_sec,
    }
    return {name: (float(f"{value:.3g}"), _MEASURED) for name, value in measured.items() if value is not None}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
