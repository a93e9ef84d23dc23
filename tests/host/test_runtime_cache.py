"""The program cache on disk: hits, and entries that must not be trusted."""

from __future__ import annotations

import hashlib
import struct
import uuid
from pathlib import Path

import numpy as np
import pytest
import tvm
from handwritten import HANDLE, backend, load, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def build_and_run(tag: str, addend: int = 1) -> dict[str, int]:
    """Launch a kernel whose source is unique to `tag` in a fresh module; what the cache did for it."""
    code = f"// Function: add\n// {tag}\n__kernel void add(__global float* x) {{ x[get_global_id(0)] += {addend}; }}\n"
    x = tvm.runtime.tensor(np.zeros(8, "float32"), tvm.opencl(0))
    backend("reset_cache_stats")
    load(code, ("add", [HANDLE], ["blockIdx.x"]))["add"](x, 8)
    np.testing.assert_array_equal(x.numpy(), np.full(8, addend))
    stats = backend("cache_stats")
    return {name: stats[name] for name in ("hits", "misses", "rejected", "stored", "not_stored") if stats[name]}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("FLEETPOSE_CACHE", raising=False)
    return tmp_path / "cache"


#: builds of a program before its binary is kept, where a binary is dear (see program.cc)
BUILDS = 6


def stored(tag: str, cache: Path) -> Path:
    """The file of `tag`'s entry, once the binary is in it."""
    results = [build_and_run(tag)]
    while "stored" not in results[-1] and len(results) < BUILDS:
        results.append(build_and_run(tag))
    assert results == [{"misses": 1}] * (len(results) - 1) + [{"misses": 1, "stored": 1}]
    return max(cache.glob("opencl-*.bin"), key=lambda file: file.stat().st_mtime_ns)


@pytest.fixture
def tag() -> str:
    return uuid.uuid4().hex


def test_cache_is_hit_by_the_next_process(cache, tag):
    stored(tag, cache)
    assert build_and_run(tag) == {"hits": 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: b"XPCL" + data[4:],
        lambda data: data[:8] + bytes(32) + data[40:],
        lambda data: b"not an entry at all",
    ],
    ids=["empty", "header cut", "cut", "longer", "payload bit", "magic", "key", "text"],
)
def test_cache_rebuilds_and_replaces_damaged_entries(cache, tag, damage):
    file = stored(tag, cache)
    good = file.read_bytes()
    file.write_bytes(damage(good))
    assert build_and_run(tag) == {"rejected": 1, "stored": 1}
    assert build_and_run(tag) == {"hits": 1}


def test_an_entry_of_another_kernel_is_not_used(cache, tag):
    ours, other = stored(tag, cache), stored("other " + tag, cache)
    ours.write_bytes(other.read_bytes())
    assert build_and_run(tag) == {"rejected": 1, "stored": 1}


def test_a_well_formed_entry_the_driver_refuses_is_rebuilt(cache, tag):
    """Right key and checksum, but a payload that is no binary of this driver."""
    file = stored(tag, cache)
    payload = b"no program of any driver"
    head = file.read_bytes()[:40]
    file.write_bytes(head + hashlib.sha256(payload).digest() + struct.pack("<Q", len(payload)) + payload)
    assert build_and_run(tag) == {"rejected": 1, "stored": 1}
    assert build_and_run(tag) == {"hits": 1}


def test_source_and_options_are_in_the_key(cache, tag, monkeypatch):
    stored(tag, cache)
    assert "hits" not in build_and_run(tag, addend=2)
    monkeypatch.setenv("FLEETPOSE_OPENCL_OPTIONS", "-cl-fast-relaxed-math")
    assert "hits" not in build_and_run(tag)


def test_a_folder_that_cannot_be_written_is_no_error(tag, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("FLEETPOSE_CACHE", raising=False)
    for _ in range(BUILDS):
        result = build_and_run(tag)
        assert result["misses"] == 1
        assert "stored" not in result


def test_cache_can_be_switched_off(cache, tag, monkeypatch):
    monkeypatch.setenv("FLEETPOSE_CACHE", "0")
    assert build_and_run(tag) == {}
    assert backend("cache_stats")["directory"] == ""
    assert not cache.exists()


def test_cache_leaves_no_temporary_files(cache, tag):
    stored(tag, cache)
    assert all(file.suffix == ".bin" for file in cache.iterdir())
