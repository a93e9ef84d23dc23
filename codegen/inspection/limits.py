"""What is wrong with a built kernel: it spills, or exceeds what its device allows."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.inspection.launches import Launch
from codegen.inspection.machine_code.figures import KernelFigures
from devices.profile import Profile


def faults_of(launch: Launch, figures: KernelFigures | str, profile: Profile) -> tuple[str, ...]:
    """Everything that is wrong with one launch, each in words; none where nothing is.

    Args:
        figures: of its kernel, or why there are none.
    """
    if isinstance(figures, str):
        return (figures,)
    return (*_registers(figures), *_groups(launch, figures, profile), *_memories(launch, figures, profile))


def _registers(figures: KernelFigures) -> Iterator[str]:
    if figures.does_spill:
        times = f"{figures.spills} times, reads {figures.fills} times" if figures.fills else f"{figures.spills} times"
        yield f"spills {times}, with {figures.registers} registers"


def _groups(launch: Launch, figures: KernelFigures, profile: Profile) -> Iterator[str]:
    if launch.group > profile.max_threads_per_block:
        yield f"work-groups of {launch.group} work-items; {profile.name} allows {profile.max_threads_per_block}"
    elif launch.group > figures.largest_group:
        yield f"work-groups of {launch.group} work-items; with its registers the driver allows {figures.largest_group}"


def _memories(launch: Launch, figures: KernelFigures, profile: Profile) -> Iterator[str]:
    if figures.local_bytes > profile.max_shared_memory_per_block:
        yield (
            f"{figures.local_bytes} bytes of local memory; {profile.name} has {profile.max_shared_memory_per_block} "
            "for a work-group"
        )
    for width, height in launch.images:
        if max(width, height) > profile.image2d_max:
            yield f"an image of {width}x{height} texels; {profile.name} allows {profile.image2d_max} each way"
