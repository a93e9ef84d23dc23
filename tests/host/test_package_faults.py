"""Drivers that compute wrongly, refuse or hang: there a package runs its second kernels, and says for which layers.

A faulty OpenCL of the tests (tests/runtime_c/faulty_opencl.c) stands between the C runtime and this machine's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from codegen.building.package import build_package
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from runtime import package_format as records
from runtime.package import Package, PackageOptions
from tests import sweep
from tests.package_reader import ReadPackage
from tests.runtime_c.running import Runner
from tests.small_network import register_small
from tests.tiny_pose import register_tiny

KINDS = ["corrupt", "refuse", "fail", pytest.param("stall", marks=pytest.mark.long)]
#: what runs where a layer's first kernel is faulty: prints the layers replaced and the maps
PROGRAM = """
import json, sys
import numpy as np
from runtime.package import Package, PackageOptions
with Package(sys.argv[1], PackageOptions(cache=sys.argv[2])) as package:
    maps = package.run(np.load(sys.argv[3]))
    np.savez(sys.argv[4], **maps)
    print(json.dumps(list(package.replaced)))
"""


@dataclass(frozen=True)
class Packaged:
    """A package, an input, what it computes, and by kernel the layers that run it and have another."""

    path: Path
    tensor: Path
    maps: dict[str, np.ndarray]
    layers: dict[str, list[str]]


def package_of(model, size, folder, host, weights=None):
    network = trace_network(model, weights, sizes=[size])
    built = build_package(network, BuildTarget.of(host))
    path, tensor = folder / f"{model}.fpk", folder / f"{model}.npy"
    built.write(path)
    np.save(tensor, np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3, *size)).astype(np.float32))
    with Package(path, PackageOptions(cache="")) as package:
        maps = package.run(np.load(tensor))
    return Packaged(path, tensor, maps, layers_by_kernel(built.content))


def layers_by_kernel(content):
    """Of each kernel that is the first of layers with a second one, these layers."""
    package = ReadPackage(content)
    layers: dict[str, list[str]] = {}
    for step in package.rows(records.STEPS):
        if step["spare_count"] and step["check_count"]:
            launches = package.rows(records.LAUNCHES)[step["first_launch"] :][: step["launch_count"]]
            for kernel in {int(launch["kernel"]) for launch in launches}:
                name = package.text(package.rows(records.KERNELS)[kernel]["name"])
                layers.setdefault(name, []).append(package.text(step["name"]))
    return layers


@pytest.fixture(scope="module")
def layer(library, tmp_path_factory):
    """The faulty OpenCL; skipped where it cannot be compiled."""
    return Runner(tmp_path_factory.mktemp("layer")).layer


@pytest.fixture(scope="module")
def small(host, tmp_path_factory):
    return package_of(register_small(), (64, 64), tmp_path_factory.mktemp("small"), host)


@pytest.fixture(scope="module")
def tiny(host, tmp_path_factory):
    return package_of(register_tiny(), (64, 64), tmp_path_factory.mktemp("tiny"), host)


def run_faulty(packaged, layer, faults, folder):
    """What a process prints and computes whose OpenCL has faults."""
    environment = {**os.environ, "FLEETPOSE_LIBOPENCL": str(layer), "FAULTS": faults}
    command = [sys.executable, "-c", PROGRAM, packaged.path, folder / "cache", packaged.tensor, folder / "maps.npz"]
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "maps.npz") as maps:
        return json.loads(done.stdout), {name: maps[name] for name in maps}


def check_replaced(packaged, layer, kind, kernel, folder):
    replaced, maps = run_faulty(packaged, layer, f"{kind}:{kernel}", folder)
    assert replaced == packaged.layers[kernel]
    for name, array in packaged.maps.items():
        np.testing.assert_allclose(maps[name], array, atol=2e-4 * np.abs(array).max(), err_msg=name)


def test_without_faults_nothing_is_replaced(small, layer, tmp_path):
    replaced, maps = run_faulty(small, layer, "", tmp_path)
    assert replaced == []
    for name, array in small.maps.items():
        assert np.array_equal(maps[name], array)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_of_a_small_network_can_be_replaced(small, layer, kind, tmp_path):
    kernels = sorted(small.layers)
    assert kernels
    for number, kernel in enumerate(sweep.sample(kernels) if kind == "corrupt" else kernels[:1]):
        folder = tmp_path / str(number)
        folder.mkdir()
        check_replaced(small, layer, kind, kernel, folder)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_several_kernels_at_once_can_be_replaced(tiny, layer, kind, tmp_path):
    kernels = sorted(tiny.layers)
    replaced, maps = run_faulty(tiny, layer, " ".join(f"{kind}:{kernel}" for kernel in kernels), tmp_path)
    assert sorted(replaced) == sorted({name for kernel in kernels for name in tiny.layers[kernel]})
    for name, array in tiny.maps.items():
        np.testing.assert_allclose(maps[name], array, atol=2e-4 * np.abs(array).max(), err_msg=name)


@pytest.fixture(scope="module")
def lwop(host, tmp_path_factory):
    return package_of("lwop", (64, 64), tmp_path_factory.mktemp("lwop"), host)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["corrupt", "refuse", "stall"])
def test_twenty_kernels_of_lwop_can_be_replaced(lwop, layer, kind, tmp_path):
    kernels = sorted(lwop.layers)[:20]
    assert len(kernels) == 20
    for number, kernel in enumerate(kernels):
        folder = tmp_path / str(number)
        folder.mkdir()
        check_replaced(lwop, layer, kind, kernel, folder)
