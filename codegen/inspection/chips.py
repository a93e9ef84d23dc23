"""GPUs that the compilers can be asked to build for, and which of them stands for a profile. Imports no TVM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from devices.profile import Profile
from fleetpose.errors import UsageError, unknown_name

Architecture = Literal["bifrost", "valhall", "ir3"]


@dataclass(frozen=True)
class Chip:
    """A GPU as the compilers know it, and what a core of it does in a cycle.

    Attributes:
        name: as in names of profiles.
        architecture: of its instructions: "bifrost" and "valhall" (Mali), "ir3" (Adreno).
        number: how the compiler is told of it: Mali's product number in hexadecimal digits, Adreno's model.
        engines: execution engines of a Mali core, each of which runs one warp's instruction in a cycle.
        lanes: work-items of a warp.
    """

    name: str
    architecture: Architecture
    number: str
    engines: int = 1
    lanes: int = 1

    @property
    def is_mali(self) -> bool:
        return self.architecture != "ir3"


#: engines and warps: Arm's Mali GPU datasheet (fp32 operations per clock and core / 2 / lanes of a warp)
CHIPS: dict[str, Chip] = {
    chip.name: chip
    for chip in (
        Chip("mali-g72", "bifrost", "6221", engines=3, lanes=4),
        Chip("mali-g52", "bifrost", "7212", engines=3, lanes=8),
        Chip("mali-g76", "bifrost", "7211", engines=3, lanes=8),
        Chip("mali-g57", "valhall", "9091", engines=2, lanes=16),
        Chip("mali-g610", "valhall", "a867", engines=4, lanes=16),
        Chip("adreno-618", "ir3", "618"),
        Chip("adreno-630", "ir3", "630"),
        Chip("adreno-660", "ir3", "660"),
        Chip("adreno-730", "ir3", "730"),
        Chip("adreno-740", "ir3", "740"),
        Chip("adreno-750", "ir3", "750"),
        Chip("adreno-830", "ir3", "830"),
    )
}
#: for profiles whose GPU the compilers do not know, or that are of a whole family: the chips that stand for it, the
#: usual one first. Of a generation the instructions are the same.
STANDING_FOR: dict[str, tuple[str, ...]] = {
    "adreno-640": ("adreno-630", "adreno-618"),
    "mali-g78": ("mali-g57",),
    "mali-g715": ("mali-g610",),
    "mali-g720": ("mali-g610",),
    "generic_mali": ("mali-g76", "mali-g72", "mali-g52", "mali-g57", "mali-g610"),
    "generic_adreno": ("adreno-730", "adreno-618", "adreno-630", "adreno-660", "adreno-740", "adreno-750"),
}


def chips_for(profile: Profile) -> tuple[Chip, ...]:
    """The chips that a profile may be inspected on, the usual one first; none for a CPU's."""
    if profile.name in CHIPS:
        return (CHIPS[profile.name],)
    named = STANDING_FOR.get(profile.name) or STANDING_FOR.get(f"generic_{profile.gpu}", ())
    return tuple(CHIPS[name] for name in named)


def chip_for(profile: Profile, name: str | None = None) -> Chip:
    """The chip to inspect a profile's kernels on: the one that is named, or the usual one.

    Raises:
        UsageError: a chip that is not known, or of another maker than the profile's; or a profile of a CPU.
    """
    usual = chips_for(profile)
    if not usual:
        raise UsageError(f"{profile.name} is no profile of a GPU whose compiler is at hand; try --profile mali-g76")
    if name is None:
        return usual[0]
    if name not in CHIPS:
        raise unknown_name("GPU", name, CHIPS)
    if CHIPS[name].is_mali != usual[0].is_mali:
        raise UsageError(f"--gpu {name} is not of {profile.name}'s kind; it takes {', '.join(c.name for c in usual)}")
    return CHIPS[name]
