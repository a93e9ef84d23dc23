"""The agent for phones, as it is linked: what it asks of the system, its pages, its size. It is run in tests/arm64."""

from __future__ import annotations

import re

import pytest
from elftools.elf.elffile import ELFFile

from fleetpose.errors import UsageError
from runtime import SOURCES
from runtime.agent import build_agent
from runtime.agent.building import HERE

MOST_BYTES = 400_000
PAGE_BYTES = 16_384
#: what starts a program, by the name in bionic and in glibc
STARTS = {"__libc_init", "__libc_start_main"}


@pytest.fixture(scope="module", params=["android-arm64", "linux-arm64", "linux-x64"])
def built(request, tmp_path_factory):
    """(the host it is for, the executable)."""
    return request.param, build_agent(request.param, tmp_path_factory.mktemp("agent"))


def declared_functions() -> set[str]:
    """Those of libc whose arguments are numbers, pointers and structures of the kernel's."""
    names = set()
    for header in (*SOURCES.rglob("libc.h"), *HERE.rglob("libc.h")):
        names |= set(re.findall(r"^[a-z][\w *]*[ *](\w+)\(.*\);$", header.read_text(encoding="utf-8"), re.MULTILINE))
    return names


def test_agent_is_small_and_for_its_processor(built):
    host, path = built
    assert path.stat().st_size < MOST_BYTES
    with path.open("rb") as file:
        assert ELFFile(file).get_machine_arch() == ("x64" if host == "linux-x64" else "AArch64")


def test_agent_for_android_needs_bionics_libraries_alone(built):
    host, path = built
    with path.open("rb") as file:
        elf = ELFFile(file)
        dynamic = elf.get_section_by_name(".dynamic")
        needed = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
        segments = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
        interpreter = [s.get_interp_name() for s in elf.iter_segments() if s["p_type"] == "PT_INTERP"]
    if host != "android-arm64":
        assert all(re.match(r"(libc|libm|libdl|ld-linux)[.-]", name) for name in needed)
        return
    assert needed == {"libc.so", "libm.so", "libdl.so"}
    assert interpreter == ["/system/bin/linker64"]
    assert all(segment["p_align"] == PAGE_BYTES for segment in segments)


def test_agent_asks_for_declared_functions_alone(built):
    host, path = built
    with path.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
        asked = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name}
    assert {"dlopen", "fork", "accept4"} <= asked
    if host == "android-arm64":  # elsewhere a C library's own start asks for more
        assert asked <= declared_functions() | STARTS | {"memmove"}, asked - declared_functions()


def test_unknown_hosts_are_refused(tmp_path):
    with pytest.raises(UsageError, match="unknown host 'android'"):
        build_agent("android", tmp_path)
