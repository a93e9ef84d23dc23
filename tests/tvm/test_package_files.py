"""Packages hold what artifacts hold: the same kernels, launches and weights, read back from the file's own records."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from codegen.building.build import choices_for, make_manifest
from codegen.building.element_checks import SAMPLES, checking_input, make_checks
from codegen.building.package import build_package
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.linking.link import opencl_source
from codegen.linking.programs import kernel_sections
from codegen.lowering.compile import compile_network
from codegen.lowering.network import Options, lower_network
from codegen.lowering.packages import call_lists, compile_package, package_bytes
from codegen.packaging.settings import settings_of
from devices.profile import load_profile
from runtime import package_format as records
from tests.package_reader import ReadPackage
from tests.small_network import register_small
from tests.tiny_pose import register_tiny

SIZES = [(32, 32), (24, 40)]
#: what a kernel's text says of its parameters
HEAD = re.compile(r"__kernel void (\w+)\(([^)]*)\)")


@pytest.fixture(scope="module", params=[("adreno-730", "float16"), ("mali-g76", "float32"), ("host", "float32")])
def built(request):
    """A network of everything, lowered and packaged for a device: (lowered, kernels, package)."""
    profile, dtype = request.param
    network = trace_network(register_small(), None, 0, SIZES)
    target = BuildTarget(load_profile(profile), dtype=dtype)
    options = Options(dtype, {}, choices_for(target, None), False, images_beside=True)
    lowered = lower_network(network.graphs, target.profile, options, network.spec.outputs)
    kernels, lists = compile_package(lowered, target.profile), call_lists(lowered)
    checks = make_checks(network.graphs, lowered, kernels, lists, target.profile)
    manifest = make_manifest(network, target, lowered)
    content = package_bytes(lowered, kernels, manifest, lists, [reference.checks for reference in checks])
    return network, target, lowered, ReadPackage(content)


def test_kernels_are_those_of_the_artifact(built):
    network, target, _, package = built
    options = Options(target.dtype, {}, choices_for(target, None))
    compiled = compile_network(network.graphs, target.profile, options)
    wanted = kernel_sections(opencl_source(compiled.executable.mod))
    assert package.programs.keys() == wanted.keys()
    for name, program in package.programs.items():
        without_declarations = re.sub(r"__kernel void [^{;]*;\n", "", wanted[name])
        assert program == without_declarations


def test_programs_are_stored_without_the_other_kernels_declarations(built):
    *_, package = built
    for name, program in package.programs.items():
        assert [head[0] for head in HEAD.findall(program)] == [name]
    preambles = {(row["preamble"], row["preamble_bytes"]) for row in package.rows(records.KERNELS)}
    assert len(preambles) == 1


def test_every_launch_gives_its_kernel_what_the_kernel_declares(built):
    *_, package = built
    declared = {name: HEAD.search(program)[2].count(",") + 1 for name, program in package.programs.items()}
    names = [package.text(row["name"]) for row in package.rows(records.KERNELS)]
    assert [declared[name] for name in names] == [row["arguments"] for row in package.rows(records.KERNELS)]
    arguments = sum(
        int(package.rows(records.KERNELS)[row["kernel"]]["arguments"]) for row in package.rows(records.LAUNCHES)
    )
    assert arguments == len(package.rows(records.ARGUMENTS))


def test_launches_are_as_many_as_the_manifest_says(built):
    *_, lowered, package = built
    steps = package.rows(records.STEPS)
    for row, entry in zip(package.rows(records.ENTRIES), lowered.entries, strict=True):
        own = steps[row["first_step"] :][: row["step_count"]]
        assert own["launch_count"].sum() == entry.launches
        assert (row["height"], row["width"]) == entry.size


def test_work_groups_divide_what_is_launched(built):
    *_, package = built
    for row in package.rows(records.LAUNCHES):
        for axis in "xyz":
            assert row[f"global_{axis}"] % row[f"local_{axis}"] == 0


def test_weights_are_those_of_the_network_each_once(built):
    *_, lowered, package = built
    weights = package.sections[records.WEIGHTS]
    for row, (name, array) in zip(package.rows(records.CONSTANTS), lowered.parameters.items(), strict=True):
        assert package.text(row["name"]) == name
        assert weights[row["offset"] :][: row["bytes"]] == array.tobytes()
        assert row["offset"] % records.ALIGNMENT == 0
        assert (row["image_width"] > 0) == (name in lowered.textures)
    spans = {(int(row["offset"]), int(row["bytes"])) for row in package.rows(records.CONSTANTS)}
    assert len(weights) < sum(size for _, size in spans) + records.ALIGNMENT * len(spans)


@pytest.mark.parametrize(
    ("profile", "dtype"), [("adreno-730", "float16"), ("mali-g76", "float32"), ("host", "float32")]
)
def test_second_kernels_share_the_weights_that_they_can_read(profile, dtype):
    """A constant is memory on the device: none is there twice, and each is called by its layer."""
    network = trace_network(register_small(), None, 0, SIZES)
    target = BuildTarget(load_profile(profile), dtype=dtype)
    package = ReadPackage(build_package(network, target).content)
    rows = package.rows(records.CONSTANTS)
    assert np.count_nonzero(package.rows(records.STEPS)["spare_count"]) >= 4
    assert len({tuple(row)[:5] for row in rows}) == len(rows)
    layers = tuple(f"{layer.name}." for layer in network.graphs[0].layers)
    assert all(package.text(row["name"]).startswith(layers) for row in rows)


def test_sections_are_aligned_and_have_their_checksums(built):
    *_, package = built
    header = np.frombuffer(package.content, records.HEADER, 1)[0]
    table = np.frombuffer(package.content, records.SECTION, int(header["section_count"]), records.HEADER.itemsize)
    assert header["bytes"] == len(package.content)
    assert header["table_crc"] == zlib.crc32(table.tobytes())
    for row in table:
        content = package.content[row["offset"] :][: row["bytes"]]
        assert row["crc"] == zlib.crc32(content)
        assert row["offset"] % (records.WEIGHTS_ALIGNMENT if row["kind"] == records.WEIGHTS else records.ALIGNMENT) == 0


def test_checks_are_elements_of_the_layers_buffers(built):
    *_, lowered, package = built
    entries, buffers = package.rows(records.ENTRIES), package.rows(records.BUFFERS)
    checks = package.rows(records.CHECKS)
    assert np.isfinite(checks["value"]).all()
    assert (checks["tolerance"] > 0).all()
    item_bytes = np.dtype(lowered.dtype).itemsize
    for entry in entries:
        steps = package.rows(records.STEPS)[entry["first_step"] :][: entry["step_count"]]
        own = buffers[entry["first_buffer"] :][: entry["buffer_count"]]
        assert np.count_nonzero(steps["check_count"]) >= 4  # all convolutions at least
        for step in steps:
            assert step["check_count"] <= SAMPLES * 4
            for check in checks[step["first_check"] :][: step["check_count"]]:
                assert (check["element"] + 1) * item_bytes <= own[check["buffer"]]["bytes"]


def test_values_that_a_device_may_take_for_zero_are_not_called_wrong(built):
    """GPUs may flush numbers below the smallest normal one: here all tensors but the first are made of such."""
    network, target, lowered, _ = built
    smallest = float(np.finfo(target.dtype).tiny)
    factor = smallest / 10
    graphs = [
        replace(graph, weights={name: array * np.float32(factor) for name, array in graph.weights.items()})
        for graph in network.graphs
    ]
    checks = make_checks(graphs, lowered, compile_package(lowered, target.profile), call_lists(lowered), target.profile)
    flushed = [
        check for size in checks for own in size.checks.values() for check in own if 0 < abs(check.value) < smallest
    ]
    assert flushed
    assert all(check.tolerance >= abs(check.value) for check in flushed)


def test_strings_are_what_readers_take():
    """Names of files may hold anything but a zero; the C runtime refuses strings that are not one line."""
    strings = records.Strings()
    offset = strings.add("Zoë\t\udcff.py\n\x7f")
    assert bytes(strings.content)[offset:] == "Zoë??.py??".encode() + b"\0"
    assert strings.add("Zoë??.py??") == offset


def test_the_checking_input_is_the_formulas():
    def element(index):
        value = index * 2654435761 % 2**32
        value ^= value >> 16
        value = value * 2246822519 % 2**32
        value ^= value >> 13
        return (value & 0xFFFF) / 65536 - 0.5

    tensor = checking_input((1, 3, 7, 5))
    assert tensor.dtype == np.float32
    assert tensor.ravel().tolist() == [element(index) for index in range(105)]
    assert tensor.min() < -0.4
    assert tensor.max() > 0.4


def test_the_manifest_and_the_settings_say_what_it_is(built):
    network, target, _, package = built
    manifest = json.loads(package.sections[records.MANIFEST][:-1])
    assert manifest["model"] == network.graphs[0].name
    assert manifest["profile"] == target.profile.name
    assert package.settings["built.dtype"] == target.dtype
    assert package.settings["built.gpu"] == target.profile.gpu
    assert package.settings["decoder"] == ""


def test_settings_have_every_constant_from_a_picture_to_people():
    network = trace_network(register_tiny(), None, 0, [(64, 64)])
    target = BuildTarget(load_profile("adreno-730"))
    lowered = lower_network(network.graphs, target.profile, Options(weights_inside=False), network.spec.outputs)
    settings = settings_of(make_manifest(network, target, lowered))
    assert settings["decoder"] == "paf"
    assert settings["preprocessing.channels"] == "BGR"
    assert [settings[f"preprocessing.mean.{at}"] for at in range(3)] == [128.0] * 3
    assert settings["preprocessing.scale"] == 1 / 256
    assert settings["decoding.peak_threshold"] == 0.1
    assert settings["tracking.max_missing"] == 15
    assert settings["smoothing.beta"] == 0.05
