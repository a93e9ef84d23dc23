"""Which profile a device gets by what its OpenCL says of itself; names as drivers have them."""

import pytest

from devices.info import DeviceInfo, kind_of, model_of, profile_for
from devices.profile import load_profile, profile_names
from fleetpose.errors import UsageError

QUALCOMM = "QUALCOMM Adreno(TM)"
#: (CL_DEVICE_NAME, vendor, CL_DEVICE_VERSION), the model, the profile
DEVICES = [
    (("Mali-G76", "ARM", "OpenCL 2.1 v1.r26p0"), "mali-g76", "mali-g76"),
    (("Mali-G76 r0p0", "ARM", "OpenCL 3.0 v1.r38p1"), "mali-g76", "mali-g76"),
    (("Mali-G57 MC2", "ARM", "OpenCL 2.1 v1.r32p1"), "mali-g57", "mali-g57"),
    (("Mali-G610 r0p0", "ARM", "OpenCL 3.0 v1.g13p0-01eac0"), "mali-g610", "mali-g610"),
    (("Mali-G610 MC6 r0p0", "ARM", "OpenCL 3.0 v1.r32p1-01eac0"), "mali-g610", "mali-g610"),
    (("Mali-G610 MC4 (Panfrost)", "Arm", "OpenCL 3.0"), "mali-g610", "mali-g610"),
    (("Mali-G715-Immortalis MC11", "ARM", "OpenCL 3.0"), "mali-g715", "mali-g715"),
    (("Immortalis-G715", "ARM", ""), "mali-g715", "mali-g715"),
    (("Mali-G720-Immortalis MC12", "ARM", "OpenCL 3.0"), "mali-g720", "mali-g720"),
    (("Mali-G78", "ARM", "OpenCL 3.0"), "mali-g78", "mali-g78"),
    (("Mali-G710 r0p0", "ARM", "OpenCL 3.0"), "mali-g710", "generic_mali"),
    (("Mali-G7", "ARM", "OpenCL 3.0"), "mali-g7", "generic_mali"),
    (("Mali-T628", "ARM", "OpenCL 1.2 v1.r12p0-04rel0"), "mali-t628", "generic_mali"),
    ((QUALCOMM, "QUALCOMM", "OpenCL 2.0 Adreno(TM) 640"), "adreno-640", "adreno-640"),
    ((QUALCOMM, "QUALCOMM", "OpenCL 3.0 Adreno(TM) 730"), "adreno-730", "adreno-730"),
    ((QUALCOMM, "QUALCOMM", "OpenCL 3.0 Adreno(TM) 740"), "adreno-740", "adreno-740"),
    (("QUALCOMM Adreno(TM) 830", "QUALCOMM", "OpenCL 3.0 Adreno(TM) 830"), "adreno-830", "adreno-830"),
    (("QUALCOMM Adreno(TM) 750", "QUALCOMM", "OpenCL 3.0 Adreno(TM) 750"), "adreno-750", "generic_adreno"),
    ((QUALCOMM, "QUALCOMM", "OpenCL 2.0 Adreno(TM) 505"), "adreno-505", "generic_adreno"),
    (("Qualcomm(R) Adreno(TM) X1-45 GPU", "QUALCOMM", "OpenCL 3.0 QUALCOMM build: 863.0"), "", "generic_adreno"),
    (("FD730", "Qualcomm", "OpenCL 3.0 "), "adreno-730", "adreno-730"),
    (("Adreno (TM) 830", "Qualcomm", "OpenCL 3.0 "), "adreno-830", "adreno-830"),
]


@pytest.mark.parametrize(("strings", "model", "profile"), DEVICES)
def test_profile_is_that_of_the_model_a_driver_names(strings, model, profile, caplog):
    name, vendor, version = strings
    info = DeviceInfo(name, vendor, version=version, kind="gpu")
    assert model_of(info) == model
    assert profile_for(info) == load_profile(profile)
    said = [record.getMessage() for record in caplog.records]
    line = f"no profile is of {model or name}; {profile} is taken (--profile FILE takes another)"
    assert said == ([line] if profile.startswith("generic") else [])


def test_models_of_the_table_are_all_profiles_of_phones():
    phones = {name for name in profile_names() if load_profile(name).gpu != "cpu"}
    assert {profile for *_, profile in DEVICES} == phones


@pytest.mark.parametrize(("name", "width", "profile"), [
    ("pthread-skylake-avx512-Intel(R) Xeon(R) Processor", 16, "host-intel"),
    ("Intel(R) Xeon(R) Processor", 16, "host-intel"),
    ("pthread-haswell-Intel(R) Core(TM) i7-4770", 8, "host-avx2"),
    ("pthread-skylake-avx512-AMD EPYC", 16, "host"),
    ("AMD EPYC 9654 96-Core Processor", 16, "host"),
    ("cpu", 0, "host"),
])  # fmt: skip
def test_profile_of_a_cpu_follows_from_its_vectors_and_its_maker(name, width, profile):
    """Intel's OpenCL names itself as the vendor on processors of any maker."""
    info = DeviceInfo(name, "Intel(R) Corporation", kind="cpu", vector_width=width)
    assert profile_for(info) == load_profile(profile)


def test_device_of_another_maker_has_no_profile():
    info = DeviceInfo("PowerVR B-Series BXM-8-256", "Imagination Technologies", kind="gpu")
    assert (kind_of(info), model_of(info)) == ("", "")
    with pytest.raises(UsageError, match="no profile suits device 'PowerVR"):
        profile_for(info)
