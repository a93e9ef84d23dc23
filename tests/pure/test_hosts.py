"""What loads that which is built, where no flag says it."""

from dataclasses import dataclass, replace

import pytest

from codegen.lowering.hosts import artifact_suffix, host_for
from devices.info import LIBRARY, PACKAGE
from devices.profile import load_profile
from fleetpose.errors import UsageError


@dataclass(frozen=True)
class Opened:
    """What `host_for` looks at of a session."""

    on_this_machine: bool
    loads: str = LIBRARY
    spec: str = "rpc:pixel"
    runs_kernels: bool = True


HERE, AWAY, AGENT = Opened(True), Opened(False), Opened(False, PACKAGE)


@pytest.mark.parametrize(
    ("profile", "session", "wanted", "expected"),
    [
        ("mali-g76", None, None, "android-arm64"),
        ("adreno-730", AWAY, None, "android-arm64"),
        ("mali-g76", AWAY, "linux-arm64", "linux-arm64"),
        ("host-avx2", None, None, "native"),
        ("mali-g76", HERE, None, "native"),  # a phone's kernels, run by this machine
        ("host", None, "android-arm64", "android-arm64"),
        ("mali-g76", AGENT, None, "agent"),
        ("host", AGENT, "agent", "agent"),
        ("mali-g76", None, "agent", "agent"),
    ],
)
def test_target_host_follows_from_the_device_and_its_profile(profile, session, wanted, expected):
    assert host_for(load_profile(profile), session, wanted) == expected


def test_target_host_refuses_unknown_names():
    with pytest.raises(UsageError, match="unknown host 'android'"):
        host_for(load_profile("host"), HERE, "android")
    with pytest.raises(UsageError, match="unknown host 'macos'"):
        host_for(replace(load_profile("host"), host="macos"), None)


def test_target_host_that_the_device_does_not_load_is_refused():
    with pytest.raises(UsageError, match="'rpc:pixel' loads packages"):
        host_for(load_profile("mali-g76"), AGENT, "android-arm64")
    with pytest.raises(UsageError, match="'rpc:pixel' loads shared objects"):
        host_for(load_profile("mali-g76"), AWAY, "agent")


def test_artifacts_are_named_by_what_loads_them():
    assert [artifact_suffix(host) for host in ("native", "android-arm64", "agent")] == [".so", ".so", ".fpk"]
