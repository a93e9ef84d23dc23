"""Packages on this machine's OpenCL through the C runtime: they compute what artifacts compute, to the bit."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.package import build_package
from codegen.building.shared_library import make_library
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from devices.profile import load_profile
from fleetpose.errors import UsageError
from runtime import package_format as records
from runtime.interface import load_library
from runtime.package import Package, PackageOptions, opencl_libraries
from tests.small_network import register_small

SIZES = [(64, 96), (64, 64)]


@pytest.fixture(scope="module")
def target(host):
    return BuildTarget.of(host)


@pytest.fixture(scope="module")
def small(target):
    """The package of a network that has one of everything, and what it was built from."""
    network = trace_network(register_small(), sizes=SIZES)
    return build_package(network, target), network


@pytest.fixture
def package(small, tmp_path):
    built, _ = small
    built.write(tmp_path / "small.fpk")
    with Package(tmp_path / "small.fpk", PackageOptions(cache=str(tmp_path / "cache"))) as opened:
        yield opened


def soname_of(library):
    """What a shared object calls itself."""
    with library.open("rb") as file:
        tags = ELFFile(file).get_section_by_name(".dynamic").iter_tags("DT_SONAME")
        return next(tag.soname for tag in tags)


def random_input(size, seed=3):
    return np.random.default_rng(seed).standard_normal((1, 3, *size)).astype(np.float32)


def test_maps_are_the_artifacts_to_the_bit(host, target, small, package, tmp_path):
    _, network = small
    build(network, target).write(tmp_path / "small.so")
    artifact = Artifact(tmp_path / "small.so", host)
    assert package.sizes == tuple(SIZES)
    for size in SIZES:
        for seed in (1, 2):
            tensor = random_input(size, seed)
            wanted, given = artifact.run(tensor), package.run(tensor)
            assert given.keys() == wanted.keys()
            for name, array in wanted.items():
                assert np.array_equal(given[name], array)


def test_a_package_is_judged_by_float64_before_it_is_written(small):
    built, _ = small
    built.check()


def test_a_package_for_another_gpu_is_judged_here(small):
    """With --profile a device runs what was shaped for another."""
    _, network = small
    build_package(network, BuildTarget(load_profile("mali-g76"))).check()


def test_the_self_check_finds_nothing_wrong_where_nothing_is(package):
    assert package.replaced == []


def test_another_start_takes_compiled_kernels_from_the_cache(small, package, tmp_path):
    first = package.run(random_input(SIZES[0]))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert files
    with Package(tmp_path / "small.fpk", PackageOptions(cache=str(tmp_path / "cache"))) as again:
        second = again.run(random_input(SIZES[0]))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == files
    for name, array in first.items():
        assert np.array_equal(second[name], array)


@pytest.mark.parametrize("options", [PackageOptions(record=True), PackageOptions(events=True)])
def test_recorded_and_timed_runs_compute_the_same(small, package, tmp_path, options):
    wanted = package.run(random_input(SIZES[1]))
    with Package(tmp_path / "small.fpk", options) as other:
        for _ in range(3):
            given = other.run(random_input(SIZES[1]))
            for name, array in wanted.items():
                assert np.array_equal(given[name], array)
        times = other.times
    assert bool(times) == options.events
    if options.events:
        built, _ = small
        layers = {code.layer for code in built.manifest.entries[0].layers}
        assert {name for joined in times for name in joined.split(" + ")} == layers
        assert all(secs >= 0 for secs in times.values())
        assert sum(times.values()) > 0


def test_threads_share_a_network(package):
    wanted = {seed: package.run(random_input(SIZES[0], seed)) for seed in range(4)}
    wrong: list[int] = []

    def run(seed):
        for _ in range(10):
            given = package.run(random_input(SIZES[0], seed))
            wrong.extend(seed for name in given if not np.array_equal(given[name], wanted[seed][name]))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_another_shape_is_refused_with_those_there_are(package):
    with pytest.raises(UsageError, match=r"takes \(1, 3, 64, 96\), \(1, 3, 64, 64\), not \(1, 3, 32, 32\)"):
        package.run(random_input((32, 32)))


def test_a_closed_package_says_that_it_is(package):
    sizes = package.sizes
    package.close()
    package.close()
    uses = (
        lambda: package.run(random_input(sizes[0])), lambda: package.people(np.zeros((40, 50, 3), np.uint8)),
        lambda: package.device, lambda: package.manifest, lambda: package.times, lambda: package.replaced,
        package.restart,
    )  # fmt: skip
    for use in uses:
        with pytest.raises(UsageError, match="the package is closed"):
            use()


def test_empty_options_are_the_defaults(package, tmp_path):
    library = opencl_libraries(None)[0] or ""
    options = PackageOptions(library=library, device="", cache="")
    with Package(tmp_path / "small.fpk", options) as other:
        assert other.device == package.device


def test_paths_that_c_would_cut_are_refused(package, tmp_path):
    with pytest.raises(UsageError, match="holds no zero"):
        Package(f"{tmp_path / 'small.fpk'}\0.other")


def test_outputs_of_one_name_have_room_each(small, tmp_path):
    """No file may lead the runtime to write where nothing was made for it."""
    built, _ = small
    sections = records.read_sections(built.content)
    outputs = np.frombuffer(sections[records.OUTPUTS], records.OUTPUT).copy()
    first, second = outputs["name"][:2].tolist()
    outputs["name"][outputs["name"] == second] = first
    path = tmp_path / "alike.fpk"
    path.write_bytes(records.write_package({**sections, records.OUTPUTS: outputs.tobytes()}))
    with Package(path, PackageOptions(cache="")) as package:
        assert len(package.run(random_input(SIZES[0]))) == 1


def test_a_network_without_people_says_so(package):
    with pytest.raises(UsageError, match=r"decoder|pose"):
        package.people(np.zeros((40, 50, 3), np.uint8))


@pytest.mark.parametrize("kept", [0, 1, 7, 40, 4000, -1])
def test_a_damaged_package_is_refused_in_a_line(small, tmp_path, kept):
    built, _ = small
    path = tmp_path / "cut.fpk"
    path.write_bytes(built.content[:kept])
    with pytest.raises(UsageError) as refused:
        Package(path)
    assert "\n" not in str(refused.value)


def test_a_missing_package_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.fpk"):
        Package(tmp_path / "nowhere.fpk")


def test_the_binding_loads_neither_tvm_nor_torch(small, tmp_path):
    built, _ = small
    built.write(tmp_path / "small.fpk")
    program = (
        "import sys, fleetpose, numpy as np\n"
        f"package = fleetpose.Package({str(tmp_path / 'small.fpk')!r})\n"
        "package.run(np.zeros((1, 3, 64, 64), np.float32))\n"
        "print(sorted({'torch', 'tvm', 'tvm_ffi', 'cv2', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_apps_library_opens_the_package_inside(small, tmp_path, package, monkeypatch):
    built, _ = small
    monkeypatch.chdir(tmp_path)
    name = "lib of, Zoë.so"
    report = make_library(built.content, Path(name), name, "native")
    assert soname_of(tmp_path / name) == name
    assert "libc.so.6" in report.needed
    library = load_library(tmp_path / name)
    handle = ctypes.c_void_p()
    options = PackageOptions(cache="", library=opencl_libraries(None)[0]).pack()
    assert library.fp_open_own(ctypes.byref(options), ctypes.byref(handle), None) == 0
    assert library.fp_size_count(handle) == len(SIZES)
    library.fp_close(handle)
