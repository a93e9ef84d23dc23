"""Hosts: who loads what is built, where nobody says."""

from dataclasses import replace

import pytest

from codegen.lowering.hosts import host_for
from devices.profile import load_profile
from fleetpose.errors import UsageError


@pytest.mark.parametrize(
    ("profile", "spec", "wanted", "expected"),
    [
        ("mali-g76", "rpc:pixel", None, "android-arm64"),
        ("adreno-730", None, None, "android-arm64"),
        ("mali-g76", "rpc:board", "linux-arm64", "linux-arm64"),
        ("host-avx2", "rpc:local", None, "native"),
        ("mali-g76", "host", None, "native"),  # a phone's kernels, run by this machine
        ("mali-g76", "null", None, "native"),
        ("host", None, "android-arm64", "android-arm64"),
    ],
)
def test_the_profile_says_it_except_of_this_machine(profile, spec, wanted, expected):
    assert host_for(load_profile(profile), spec, wanted) == expected


def test_an_unknown_host_is_refused():
    with pytest.raises(UsageError, match="unknown host 'android'"):
        host_for(load_profile("host"), "host", "android")
    with pytest.raises(UsageError, match="unknown host 'macos'"):
        host_for(replace(load_profile("host"), host="macos"), None)
