"""What a linked artifact is and needs, read from the file: artifacts for three hosts, foreign and damaged files."""

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tvm_ffi

from codegen import build as command
from codegen.artifact.reading import read_manifest
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.linking.elf import ElfError, check_artifact
from codegen.linking.link import link_shared
from devices.profile import load_profile
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import FleetposeError, UsageError
from runtime.compiling import LinkError, check_ended
from tests.small_network import register_small

HERE = "AArch64" if platform.machine().lower() in ("aarch64", "arm64") else "x86-64"
only_x86 = pytest.mark.skipif(HERE != "x86-64", reason="a phone's processor is this machine's")
PROFILES = {"native": "host", "linux-arm64": "mali-g78", "android-arm64": "mali-g76"}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> dict[str, Path]:
    """The small network for each host."""
    folder = tmp_path_factory.mktemp("elf")
    network = trace_network(register_small(), sizes=[(32, 32)])
    paths = {host: folder / f"{host}.so" for host in PROFILES}
    for host, path in paths.items():
        build(network, BuildTarget(load_profile(PROFILES[host]), {}, host)).write(path)
    return paths


@pytest.mark.parametrize("host", PROFILES)
def test_elf_report_of_an_artifact(artifacts, host):
    report = check_artifact(artifacts[host], host)
    assert report.machine == (HERE if host == "native" else "AArch64")
    assert report.page == (4096 if report.machine == "x86-64" else 16384)
    assert report.needed == ()
    assert report.undefined == ("TVMFFIErrorSetRaisedFromCStrParts",)
    assert read_manifest(artifacts[host]).elf == encode(report)


@only_x86
def test_an_artifact_of_another_processor_is_refused(artifacts):
    with pytest.raises(ElfError, match="cannot run on android-arm64: it is for x86-64, not AArch64") as caught:
        check_artifact(artifacts["native"], "android-arm64")
    assert "aligned to 4096 bytes, not 16384" in str(caught.value)
    assert isinstance(caught.value, FleetposeError)
    assert caught.value.exit_status == 1


@only_x86
def test_a_phones_artifact_is_refused_here(artifacts):
    with pytest.raises(ElfError, match="cannot run on native: it is for AArch64, not x86-64"):
        check_artifact(artifacts["android-arm64"])


def test_a_library_with_needs_of_its_own_is_refused():
    library = Path(tvm_ffi.__file__).parent / "lib" / "libtvm_ffi.so"
    with pytest.raises(ElfError, match=r"it needs .*libstdc\+\+") as caught:
        check_artifact(library)
    assert "TVM's runtime does not provide" in str(caught.value)
    assert "it holds no device code" in str(caught.value)
    assert len(str(caught.value)) < 1000, "a few of many symbols stand for all"


def test_elf_check_names_a_symbol_nobody_provides(tmp_path):
    (tmp_path / "a.s").write_text(".data\n.globl entry\nentry:\n.xword somewhere\n")
    assembler = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu", "-c", "a.s", "-o", "a.o"]
    subprocess.run(assembler, cwd=tmp_path, check=True)
    link_shared([str(tmp_path / "a.o")], str(tmp_path / "a.so"), "linux-arm64")
    with pytest.raises(ElfError, match="TVM's runtime does not provide somewhere; it holds no device code"):
        check_artifact(tmp_path / "a.so", "linux-arm64")
    with pytest.raises(ElfError, match=r"is no shared object \(ET_REL\)"):
        check_artifact(tmp_path / "a.o", "linux-arm64")


@pytest.mark.parametrize(("sign", "kind", "words"), [
    ("BUS", UsageError, "cannot write a.so: No space left on device"),
    ("SEGV", LinkError, "linking was ended by SIGSEGV; is there space in"),
])  # fmt: skip
def test_a_linker_that_a_signal_ends_is_told_from_a_full_disk(sign, kind, words):
    done = subprocess.run(["sh", "-c", f"kill -{sign} $$"], capture_output=True, text=True, check=False)
    with pytest.raises(kind, match=words):
        check_ended(done, "a.so", "linking")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"not a shared object at all"])
def test_elf_check_refuses_other_files(tmp_path, content):
    path = tmp_path / "x.so"
    path.write_bytes(content)
    with pytest.raises(ElfError, match="is not an ELF file, or damaged"):
        check_artifact(path)


def test_elf_check_names_a_missing_file(tmp_path):
    with pytest.raises(ElfError, match=r"cannot read .*No such file"):
        check_artifact(tmp_path / "none.so")


def test_damage_is_an_error_of_one_line_or_harmless(artifacts, tmp_path):
    """Bytes of the headers overwritten, and files cut short: never anything but a report or an ElfError."""
    whole, damaged = artifacts["native"].read_bytes(), tmp_path / "damaged.so"
    chance = np.random.default_rng(0)
    for turn in range(120):
        content = bytearray(whole[: chance.integers(len(whole))] if turn % 2 else whole)
        for place in chance.integers(0, min(len(content), 4096) or 1, 0 if turn % 2 else 5):
            content[place] = chance.integers(256)
        damaged.write_bytes(content)
        try:
            check_artifact(damaged)
        except ElfError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most damage is an error, some is not
        else:
            assert turn % 2 == 0, "a file cut short passed"


def test_the_command_says_what_it_checked(capsys, tmp_path):
    argv = ["--model", register_small(), "--profile", "mali-g76", "--size", "32x32"]
    assert cli.run(command.main, command.make_parser(), [*argv, "-o", str(tmp_path / "pose.so")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == (
        "checked for android-arm64: AArch64 shared object, 16 KiB pages, "
        "needs no library and TVMFFIErrorSetRaisedFromCStrParts"
    )


def test_the_command_says_what_it_checked_of_an_apps_library(capsys, tmp_path):
    argv = ["--model", register_small(), "--profile", "mali-g76", "--size", "32x32", "--format", "library"]
    assert cli.run(command.main, command.make_parser(), [*argv, "-o", str(tmp_path / "libpose.so")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("checked for android-arm64: AArch64 shared object, 16 KiB pages, needs lib")


def test_an_artifact_that_fails_the_check_is_not_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("codegen.linking.elf.RUNTIME_SYMBOLS", ("TVMBackend",))
    built = build(trace_network(register_small(), sizes=[(32, 32)]), BuildTarget(load_profile("host")))
    with pytest.raises(ElfError, match="TVM's runtime does not provide TVMFFIErrorSetRaisedFromCStrParts"):
        built.write(tmp_path / "pose.so")
    assert not list(tmp_path.iterdir())
