"""Device profiles: every one that comes with the package reads; a bad one is refused by file and key."""

import dataclasses

import pytest

from devices.profile import PROFILE_DIR, Profile, load_profile, profile_names
from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError

PHONES = (
    "adreno-640", "adreno-730", "adreno-740", "adreno-830", "generic_adreno",
    "generic_mali", "mali-g57", "mali-g610", "mali-g715", "mali-g720", "mali-g76", "mali-g78",
)  # fmt: skip
HOST = (PROFILE_DIR / "host.toml").read_text()


@pytest.mark.parametrize("name", profile_names())
def test_profile_files_of_the_package_are_all_read(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description


def test_host_profile_has_the_facts_of_avx512():
    host = load_profile("host")
    assert (host.gpu, host.lanes, host.accumulators, host.work_group) == ("cpu", 16, 24, 1)
    assert host.fp16
    assert host.image2d


@pytest.mark.parametrize("name", PHONES)
def test_figures_of_a_phone_agree_with_each_other(name):
    phone = load_profile(name)
    assert phone.gpu == ("mali" if "mali" in name else "adreno")
    assert (phone.fp16, phone.fp16_rate, phone.image2d) == (True, 2.0, True)
    assert phone.local_memory == (phone.gpu == "adreno"), "a Mali has none of its own"
    assert phone.work_group % phone.thread_warp_size == 0, "a part of a warp would idle"
    assert phone.work_group <= phone.max_threads_per_block
    assert phone.registers_per_thread
    assert phone.lanes * phone.accumulators < phone.registers_per_thread, "operands and addresses need some too"
    assert phone.host == "android-arm64"
    assert phone.image2d_max >= 8192, "OpenCL's least"


@pytest.mark.parametrize("name", [name for name in PHONES if "generic" not in name])
def test_every_figure_of_a_phone_names_its_source(name):
    phone = load_profile(name)
    assert phone.compute_units
    assert phone.peak_gflops_fp32
    assert phone.peak_gbytes_per_sec
    lines = (PROFILE_DIR / f"{name}.toml").read_text().splitlines()
    sources = {line[2:5] for line in lines if line.startswith("# [")}
    for line in lines:
        key, _, comment = line.partition("#")
        if "=" in key and not key.startswith(("description", "gpu", "host")):
            assert "derived: " in comment or any(source in comment for source in sources), line


def test_facts_of_one_machine_are_not_the_hosts():
    host = load_profile("host")
    facts = (host.compute_units, host.cache_bytes, host.peak_gflops_fp32, host.peak_gbytes_per_sec)
    assert facts == (None, None, None, None)


def test_profile_defaults_are_what_every_device_has(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("".join(line for line in HOST.splitlines(True) if not line.startswith("image2d_max")))
    profile = load_profile(path)
    assert (profile.image2d_max, profile.fp16_rate, profile.registers_per_thread) == (8192, 1.0, None)


def test_a_profile_is_frozen_and_a_json_object():
    host = load_profile("host")
    with pytest.raises(dataclasses.FrozenInstanceError):
        host.lanes = 8
    assert decode(Profile, encode(host)) == host


def test_profile_load_suggests_a_name():
    with pytest.raises(UsageError, match=r"unknown device profile 'hots'; did you mean 'host'\?"):
        load_profile("hots")


def test_profile_load_reads_a_users_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HOST.replace("lanes = 16", "lanes = 8") + 'opencl_device = "rusticl:0"\npeak_gflops_fp32 = 200\n')
    profile = load_profile(path)
    assert (profile.name, profile.lanes, profile.opencl_device) == ("mine", 8, "rusticl:0")
    assert isinstance(profile.peak_gflops_fp32, float)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("lanes = 16", "lanes = 'many'", "lanes is 'many', not a whole number"),
        ("lanes = 16", "lanes = 0", "lanes is 0, not a whole number that is a width of OpenCL's vectors"),
        ("lanes = 16", "lanes = true", "lanes is True, not a whole number"),
        ("lanes = 16", "", "has no 'lanes'"),
        ("lanes = 16", "lanes = 16\nlane = 16", "unknown key 'lane'; did you mean 'lanes'?"),
        ("fp16 = true", "fp16 = 0", "fp16 is 0, not true or false"),
        ('gpu = "cpu"', 'gpu = "maly"', "gpu: unknown value 'maly'; did you mean 'mali'?"),
        ('gpu = "cpu"', "gpu = ", "is not TOML"),
    ],
)
def test_profile_load_names_file_and_key_of_what_is_wrong(tmp_path, old, new, says):
    path = tmp_path / "bad.toml"
    assert old in HOST
    path.write_text(HOST.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_profile(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_profile_load_names_a_missing_file():
    with pytest.raises(UsageError, match=r"cannot read device profile nowhere/x\.toml: No such file"):
        load_profile("nowhere/x.toml")
