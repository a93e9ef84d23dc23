"""Times that scatter count as good ones: tests run beside other work, and what is done about scatter is tested alone.

Else a layer timed on a busy machine is timed up to three times, then a failure of kind "noise", and what is fitted to
such records has too few.
"""

from latency.profiling import bench


def no_scatter(_timing) -> float:
    return 0.0


def overlook_scatter() -> None:
    """From here on, in this process."""
    bench.roughness = no_scatter
