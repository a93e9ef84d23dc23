"""Hardware: the few facts about a device that features are made of; from a profile, or from a GPU's name alone.

What is not known is 1: a predictor is fitted to one device, on which a constant factor of a term is the fit's to find.
"""

from __future__ import annotations

from dataclasses import dataclass

from devices.profile import Profile, load_profile, profile_names
from fleetpose.json_fields import Positive, PositiveInt
from latency.dataset.runtimes import Gpu


@dataclass(frozen=True)
class Hardware:
    """Facts about a device.

    Attributes:
        profile: name of the profile they are from; "" for a GPU without one.
        cores: that run work-groups independently.
        wave: work-items that a core runs in lockstep.
        lanes: fp32 elements of a vector load.
        gflops: peak arithmetic rate, 1e9 FLOP/s of fp32.
        gbytes_per_sec: peak memory rate, 1e9 bytes/s.
    """

    profile: str = ""
    cores: PositiveInt = 1
    wave: PositiveInt = 1
    lanes: PositiveInt = 4
    gflops: Positive = 1.0
    gbytes_per_sec: Positive = 1.0

    @classmethod
    def of(cls, profile: Profile) -> Hardware:
        """The facts of a profile."""
        return cls(
            profile.name,
            profile.compute_units or 1,
            profile.thread_warp_size,
            profile.lanes,
            profile.peak_gflops_fp32 or 1.0,
            profile.peak_gbytes_per_sec or 1.0,
        )

    @classmethod
    def of_gpu(cls, name: str) -> Hardware:
        """Of a GPU by its name in a table, "Mali-G76 MP12": its profile's where one comes with the package."""
        words = name.lower().replace(" ", "-")
        for profile in sorted(profile_names(), key=len, reverse=True):
            if "-" in profile and words.startswith(profile):
                return cls.of(load_profile(profile))
        return cls(cores=Gpu.of(name).cores)
