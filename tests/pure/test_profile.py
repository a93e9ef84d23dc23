"""Device profiles: every one that comes with the package reads; a bad one is refused by file and key."""

import dataclasses

import pytest

from devices.profile import PROFILE_DIR, Profile, load_profile, profile_names
from fleetpose.errors import UsageError

HOST = (PROFILE_DIR / "host.toml").read_text()


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_of_the_package_reads(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description


def test_the_host_profile():
    host = load_profile("host")
    assert (host.gpu, host.lanes, host.accumulators, host.work_group) == ("cpu", 16, 24, 1)
    assert not host.fp16
    assert host.image2d


def test_a_profile_is_frozen_and_a_json_object():
    host = load_profile("host")
    with pytest.raises(dataclasses.FrozenInstanceError):
        host.lanes = 8
    assert Profile(**host.to_dict()) == host


def test_unknown_name_suggests():
    with pytest.raises(UsageError, match=r"unknown device profile 'hots'; did you mean 'host'\?"):
        load_profile("hots")


def test_a_file_of_the_users_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HOST.replace("lanes = 16", "lanes = 8") + 'opencl_device = "rusticl:0"\npeak_gflops_fp32 = 200\n')
    profile = load_profile(path)
    assert (profile.name, profile.lanes, profile.opencl_device) == ("mine", 8, "rusticl:0")
    assert isinstance(profile.peak_gflops_fp32, float)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("lanes = 16", "lanes = 'many'", "key 'lanes' must be a whole number, not 'many'"),
        ("lanes = 16", "lanes = 0", "key 'lanes' must be above zero, not 0"),
        ("lanes = 16", "lanes = true", "key 'lanes' must be a whole number, not True"),
        ("lanes = 16", "", "key 'lanes' is missing"),
        ("lanes = 16", "lanes = 16\nlane = 16", "unknown key 'lane'; did you mean 'lanes'?"),
        ("fp16 = false", "fp16 = 0", "key 'fp16' must be true or false, not 0"),
        ('gpu = "cpu"', 'gpu = "maly"', "unknown gpu 'maly'; did you mean 'mali'?"),
        ('gpu = "cpu"', "gpu = ", "is not TOML"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_key(tmp_path, old, new, says):
    path = tmp_path / "bad.toml"
    assert old in HOST
    path.write_text(HOST.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_profile(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(UsageError, match=r"cannot read device profile nowhere/x\.toml: No such file"):
        load_profile("nowhere/x.toml")
