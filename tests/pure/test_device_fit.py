"""Whether an artifact is for a device: another chip or processor is refused, another driver or version is said."""

from dataclasses import replace

import pytest

from codegen.artifact import device_fit
from codegen.artifact.device_fit import check_device
from codegen.artifact.manifest import Manifest
from codegen.linking.elf import native_machine
from devices.info import DeviceInfo, kind_of, profile_for, same_chip
from devices.null import NullSession
from devices.profile import load_profile
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from tests.sample_manifest import sample_manifest

EPYC = DeviceInfo("AMD EPYC 7763 64-Core Processor", platform="Intel(R) OpenCL", driver="2025.20", kind="cpu")
POCL = replace(
    EPYC, name="pthread-AMD EPYC 7763  64-Core Processor", platform="Portable Computing Language", driver="3.1"
)
G76 = DeviceInfo("Mali-G76", "ARM", "ARM Platform", driver="2.1", kind="gpu", fp16=True)
ADRENO = DeviceInfo("QUALCOMM Adreno(TM)", "QUALCOMM", driver="1", version="OpenCL 2.0 Adreno(TM) 640", kind="gpu")
POWERVR = DeviceInfo("PowerVR B-Series", kind="gpu")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (EPYC, POCL, True),
        (EPYC, replace(EPYC, name="cpu-znver3-AMD EPYC 7763 64-Core Processor"), True),
        (EPYC, replace(EPYC, name="Intel(R) Xeon(R) CPU @ 2.20GHz"), False),
        (G76, replace(G76, name="Mali-G76 r0p0", driver="3.0"), True),
        (G76, replace(G76, name="Mali-G78"), False),
        (G76, replace(G76, name="Mali-G710 r1p0"), False),
        (ADRENO, replace(ADRENO, driver="2"), True),
        (ADRENO, replace(ADRENO, version="OpenCL 3.0 Adreno(TM) 730"), False),
        (EPYC, G76, False),
        (EPYC, DeviceInfo(POCL.name), True),
    ],
)
def test_chips_are_told_apart_whatever_the_runtime(one, other, same):
    assert same_chip(one, other) == same_chip(other, one) == same


def test_kind_of_a_device_is_that_of_its_profile():
    assert [kind_of(info) for info in (EPYC, G76, ADRENO, POWERVR)] == ["cpu", "mali", "adreno", ""]
    assert [profile_for(info).gpu for info in (EPYC, G76, ADRENO)] == ["cpu", "mali", "adreno"]


def at(info: DeviceInfo, here: bool = False) -> NullSession:
    """A session that only says what it is of; nothing is run here."""
    session = NullSession(load_profile("host"))
    session.info, session.on_this_machine = info, here
    return session


def built(info: DeviceInfo | None = G76, **fields) -> Manifest:
    versions = {name: device_fit._version(name) for name in device_fit.DISTRIBUTIONS}
    manifest = replace(sample_manifest(), dtype="float32", textures=(), versions=versions)
    return replace(manifest, device=encode(info) if info else {}, **fields)


def said(tmp_path, caplog, manifest, session, force=False) -> list[str]:
    """What is said when an artifact that lies nowhere else is loaded."""
    caplog.clear()
    check_device(tmp_path / "pose.so", manifest, session, force)
    return [record.getMessage() for record in caplog.records]


def test_same_device_is_taken_without_a_word(tmp_path, caplog):
    assert said(tmp_path, caplog, built(), at(G76)) == []
    assert said(tmp_path, caplog, built(None), at(replace(G76, name="Mali-G31"))) == []


@pytest.mark.parametrize(
    ("manifest", "session", "wrong"),
    [
        (built(), at(replace(G76, name="Mali-G78")), "it was built for 'Mali-G76', and this device is 'Mali-G78'"),
        (built(), at(EPYC), "this device is 'AMD EPYC 7763 64-Core Processor'"),
        (built(None), at(EPYC), "it was built by profile mali-g76, of kind mali, and 'AMD EPYC .*' is of kind cpu"),
        (built(None), at(ADRENO), "is of kind adreno"),
        (built(None, gpu="cpu", profile="host"), at(POWERVR), "of kind cpu, and 'PowerVR B-Series' is of kind gpu"),
        (built(dtype="float16"), at(replace(G76, fp16=False)), "it computes in float16, and 'Mali-G76' does not"),
        (built(textures=("t",)), at(replace(G76, image2d=False)), "it reads images, and 'Mali-G76' does not"),
        (
            built(EPYC, elf={**sample_manifest().elf, "machine": "RISC-V"}),
            at(EPYC, here=True),
            f"it was built for host android-arm64, RISC-V, and this machine is {native_machine()}",
        ),
    ],
)
def test_another_device_is_refused_unless_forced(tmp_path, caplog, manifest, session, wrong):
    with pytest.raises(UsageError, match=rf"pose.so: .*{wrong}.*; build it for this one .*, or give --force-device"):
        check_device(tmp_path / "pose.so", manifest, session)
    (text,) = said(tmp_path, caplog, manifest, session, force=True)
    assert text.endswith("it is loaded because of --force-device")


def test_kinds_that_cannot_be_told_are_taken(tmp_path, caplog):
    assert said(tmp_path, caplog, built(None), at(POWERVR)) == []
    assert said(tmp_path, caplog, built(dtype="float16", textures=("t",)), at(replace(G76, fp16=None))) == []


def test_another_driver_is_said_once(tmp_path, caplog):
    newer = at(replace(G76, name="Mali-G76 r0p0", driver="3.0"))
    (text,) = said(tmp_path, caplog, built(), newer)
    assert "the driver was ARM Platform 2.1, is ARM Platform 3.0 since it was built; codegen.verify" in text
    assert said(tmp_path, caplog, built(), newer) == []


def test_other_versions_and_runtimes_are_one_line(tmp_path, caplog):
    manifest = built(EPYC, versions={**built().versions, "apache-tvm": "0.1"})
    (text,) = said(tmp_path, caplog, manifest, at(POCL))
    assert "the driver was Intel(R) OpenCL 2025.20, is Portable Computing Language 3.1; apache-tvm was 0.1, is " in text
    assert "\n" not in text
