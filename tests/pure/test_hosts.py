"""The processor that loads what is built, where no flag says it."""

from dataclasses import replace

import pytest

from codegen.lowering.hosts import host_for
from devices.profile import load_profile
from fleetpose.errors import UsageError


@pytest.mark.parametrize(
    ("profile", "on_this_machine", "wanted", "expected"),
    [
        ("mali-g76", False, None, "android-arm64"),
        ("adreno-730", False, None, "android-arm64"),
        ("mali-g76", False, "linux-arm64", "linux-arm64"),
        ("host-avx2", False, None, "native"),
        ("mali-g76", True, None, "native"),  # a phone's kernels, run by this machine
        ("host", False, "android-arm64", "android-arm64"),
    ],
)
def test_target_host_follows_from_the_profile_except_of_this_machine(profile, on_this_machine, wanted, expected):
    assert host_for(load_profile(profile), on_this_machine, wanted) == expected


def test_target_host_refuses_unknown_names():
    with pytest.raises(UsageError, match="unknown host 'android'"):
        host_for(load_profile("host"), True, "android")
    with pytest.raises(UsageError, match="unknown host 'macos'"):
        host_for(replace(load_profile("host"), host="macos"), False)
