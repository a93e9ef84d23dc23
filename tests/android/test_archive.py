"""Android archives: what is in them, that they are the same bytes each time, and that damaged ones are refused."""

from __future__ import annotations

import io
import json
import re
import zipfile
from xml.etree import ElementTree

import pytest

from codegen import build
from codegen.building.android_archive import (
    ABI,
    HOST,
    LIBRARY,
    ArchiveError,
    archive_bytes,
    check_archive,
    opencl_libraries,
)
from codegen.building.shared_library import make_library
from fleetpose import cli
from runtime import INCLUDE, SOURCES

NATIVE, LINKED = f"jni/{ABI}/{LIBRARY}", f"prefab/modules/pose/libs/android.{ABI}/{LIBRARY}"
ENTRIES = [
    "AndroidManifest.xml",
    "R.txt",
    "classes.jar",
    NATIVE,
    "prefab/modules/pose/include/fleetpose.h",
    f"prefab/modules/pose/libs/android.{ABI}/abi.json",
    LINKED,
    "prefab/modules/pose/module.json",
    "prefab/prefab.json",
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C runtime for Android's arm64. What it has inside is no package: nothing here opens it."""
    path = tmp_path_factory.mktemp("library") / LIBRARY
    make_library(b"not a package", path, LIBRARY, HOST)
    return path.read_bytes()


@pytest.fixture(scope="module")
def archive(library):
    return archive_bytes(library)


def read_entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_entries(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return written.getvalue()


def refusal(tmp_path, content: bytes) -> str:
    """What the check says of an archive."""
    path = tmp_path / "pose.aar"
    path.write_bytes(content)
    with pytest.raises(ArchiveError) as refused:
        check_archive(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_archive_has_the_layout_that_gradle_takes(archive, tmp_path):
    (tmp_path / "pose.aar").write_bytes(archive)
    report = check_archive(tmp_path / "pose.aar")
    assert (report.machine, report.page) == ("AArch64", 16384)
    assert set(report.needed) == {"libc.so", "libm.so", "libdl.so"}
    entries = read_entries(archive)
    assert list(entries) == ENTRIES
    assert entries[ENTRIES[4]] == (INCLUDE / "fleetpose.h").read_bytes()
    described = [json.loads(entries[name]) for name in (ENTRIES[8], ENTRIES[7], ENTRIES[5])]
    assert [described[0]["name"], described[1]["library_name"]] == ["pose", "libpose"]
    assert described[2] == {"abi": ABI, "api": 24, "ndk": 27, "stl": "none", "static": False}
    assert zipfile.ZipFile(io.BytesIO(entries["classes.jar"])).namelist() == ["META-INF/MANIFEST.MF"]


def test_manifest_names_every_library_that_the_runtime_looks_for(archive):
    searched = re.findall(r'/?([\w-]+\.so)"\)', (SOURCES / "opencl" / "library_paths.h").read_text(encoding="utf-8"))
    manifest = ElementTree.fromstring(read_entries(archive)["AndroidManifest.xml"])
    names = {
        library.get("{http://schemas.android.com/apk/res/android}name")
        for library in manifest.iter("uses-native-library")
    }
    assert names == set(searched) == set(opencl_libraries())


@pytest.mark.slow
def test_same_library_makes_the_same_bytes(library, archive, tmp_path):
    assert archive_bytes(library) == archive
    make_library(b"not a package", tmp_path / LIBRARY, LIBRARY, HOST)
    assert archive_bytes((tmp_path / LIBRARY).read_bytes()) == archive


@pytest.mark.parametrize("missing", ENTRIES)
def test_archive_without_an_entry_is_refused(archive, tmp_path, missing):
    entries = read_entries(archive)
    del entries[missing]
    assert f"it has no {missing}" in refusal(tmp_path, write_entries(entries))


@pytest.mark.parametrize("at", [0.001, 0.2, 0.5, 0.8, 0.999])
def test_archive_with_a_changed_byte_or_cut_short_is_refused(archive, tmp_path, at):
    changed = bytearray(archive)
    changed[int(at * len(archive))] ^= 1
    refusal(tmp_path, bytes(changed))
    refusal(tmp_path, archive[: int(at * len(archive))])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AndroidManifest.xml": ("libPVROCL.so", "libOther.so")}, "does not name libPVROCL.so"),
        ({"AndroidManifest.xml": ('required="false"', 'required="true"')}, "requires libOpenCL.so"),
        ({"AndroidManifest.xml": ('minSdkVersion="24"', 'minSdkVersion="14"')}, "not for Android's API 24"),
        ({"AndroidManifest.xml": ("</manifest>", "")}, "is not XML"),
        ({"AndroidManifest.xml": ("<manifest ", "<!DOCTYPE manifest []><manifest ")}, "is no manifest"),
        ({ENTRIES[5]: ("arm64-v8a", "x86_64")}, "abi.json is not as it was written"),
        ({ENTRIES[4]: ("FP_VERSION 1", "FP_VERSION 2")}, "fleetpose.h is not as it was written"),
        ({ENTRIES[8]: ('"pose"', '"other"')}, "prefab.json is not as it was written"),
        ({"classes.jar": ("PK", "KP")}, "classes.jar is damaged"),
    ],
)
def test_archive_that_says_something_else_is_refused(archive, tmp_path, changes, said):
    entries = read_entries(archive)
    for name, (old, new) in changes.items():
        assert old.encode() in entries[name]
        entries[name] = entries[name].replace(old.encode(), new.encode())
    assert said in refusal(tmp_path, write_entries(entries))


def test_archive_with_more_than_it_should_have_is_refused(archive, tmp_path):
    entries = {**read_entries(archive), "jni/x86_64/libpose.so": b""}
    assert "nobody asks for jni/x86_64/libpose.so" in refusal(tmp_path, write_entries(entries))
    compressed = write_entries(read_entries(archive), zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(tmp_path, compressed)
    twice = io.BytesIO(archive)
    with zipfile.ZipFile(twice, "a") as again, pytest.warns(UserWarning, match="Duplicate name"):
        again.writestr("R.txt", b"")
    assert "twice" in refusal(tmp_path, twice.getvalue())


@pytest.mark.slow
def test_library_for_another_host_is_refused(archive, tmp_path):
    make_library(b"not a package", tmp_path / LIBRARY, LIBRARY, "linux-x64")
    other = (tmp_path / LIBRARY).read_bytes()
    entries = read_entries(archive)
    for_another = write_entries({**entries, NATIVE: other, LINKED: other})
    assert "it is for x86-64, not AArch64" in refusal(tmp_path, for_another)
    differing = write_entries({**entries, LINKED: other})
    assert "not the one that is shipped" in refusal(tmp_path, differing)
    cut = entries[NATIVE][:4000]
    assert "pose.aar: jni/arm64-v8a/libpose.so" in refusal(
        tmp_path, write_entries({**entries, NATIVE: cut, LINKED: cut})
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--target-host linux-x64 -o {}/pose.aar", "an Android archive is for android-arm64, not linux-x64"),
        ("--weights-file -o {}/pose.aar", "--weights-file and --dump are of artifacts"),
        ("-o {}/libpose.so", "an Android archive must be named *.aar, not libpose.so"),
    ],
)
def test_build_refuses_in_a_line_what_no_archive_is(tmp_path, capsys, flags, said):
    given = f"--model lwop --profile host --format aar {flags.format(tmp_path)}".split()
    assert cli.run(build.main, build.make_parser(), given) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())
