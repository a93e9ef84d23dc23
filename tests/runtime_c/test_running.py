"""Tiny packages on this machine's OpenCL: results, times, recorded commands, caches, threads, memory, refusals."""

from __future__ import annotations

import struct

import pytest

from tests.runtime_c.running import (
    ANY_DEVICE,
    EVENTS,
    NO_OPENCL,
    NO_SELF_CHECK,
    RECORD,
    WRONG_DEVICE,
    Runner,
    expected_values,
    is_pocl,
)
from tests.runtime_c.tiny_package import (
    BUFFER,
    CONSTANT,
    PREAMBLE,
    TinyPackage,
    checking_input,
    doubling_package,
    function_package,
)

BAD_PACKAGE = 2
#: launches of `doubling_package` in an inference, and of its self-check
LAUNCHES = 2


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("flags", [0, EVENTS, NO_SELF_CHECK, RECORD, EVENTS | RECORD])
def test_outputs_are_right(runner, flags):
    answer = runner.run(doubling_package(), flags=flags, runs=3)
    assert answer["values"] == [expected_values()]
    assert answer["size"] == ["1 4 8"]
    assert answer["output"] == ["map 1 4 8"]
    assert answer["manifest"] == ['{"network": "doubling"}']
    assert "replaced" not in answer
    times = dict(line.split() for line in answer.get("time", []))
    assert list(times) == (["doubled", "biased"] if flags & EVENTS else [])
    assert all(0 < float(secs) < 1 for secs in times.values())


def test_commands_are_recorded_where_the_driver_can(runner):
    """The driver sees no launches of kernels from the inferences then, but those of the self-check."""
    if not is_pocl(runner):
        pytest.skip("the driver has no cl_khr_command_buffer")
    for flags, launches in ((0, 6 * LAUNCHES), (RECORD, LAUNCHES), (RECORD | NO_SELF_CHECK, 0)):
        answer = runner.run(doubling_package(), flags=flags, runs=5, faults="none")
        assert answer["values"] == [expected_values()]
        assert answer["launches"] == launches


def test_recordings_of_qualcomm_are_played(runner):
    """The extension's calls as its header has them, by a layer; where either fails, launches are enqueued."""
    answer = runner.run(
        doubling_package(), flags=RECORD, runs=5, faults="none", FLEETPOSE_LIBOPENCL=str(runner.recording_layer)
    )
    assert answer["values"] == [expected_values()]
    assert (answer["launches"], answer["compilations"]) == (5, 5 * LAUNCHES)  # recordings, and commands in them
    for refusal, recordings in (("NO_END", 0), ("NO_PLAY", 1)):  # the second recording of five is not run any more
        refused = runner.run(
            doubling_package(), flags=RECORD, runs=5, faults="none",
            FLEETPOSE_LIBOPENCL=str(runner.recording_layer), **{refusal: "1"},
        )  # fmt: skip
        assert (refused["values"], refused["launches"]) == ([expected_values()], recordings)


def test_threads_do_not_race(runner):
    """ThreadSanitizer ends the program with an error if they do. It knows how PoCL locks, and not how others do."""
    if not is_pocl(runner):
        pytest.skip("the driver itself seems to race")
    for flags in (0, EVENTS):
        answer = runner.run(doubling_package(), flags=flags, runs=50, threads=4, program=runner.racing)
        assert answer["values"] == [expected_values()]


def test_threads_share_a_handle(runner):
    assert runner.run(doubling_package(), runs=200, threads=4)["values"] == [expected_values()]


def test_sizes_have_kernels_in_common(runner):
    answer = runner.run(doubling_package(sizes=((4, 8), (8, 8), (2, 4))), faults="none")
    assert answer["size"] == ["1 4 8", "1 8 8", "1 2 4"]
    assert answer["output"] == ["map 1 4 8", "map 1 8 8", "map 1 2 4"]
    assert answer["values"] == [expected_values()]
    assert answer["compilations"] == 2


def test_times_that_run_backwards_are_none(runner):
    answer = runner.run(doubling_package(), flags=EVENTS, faults="backwards")
    assert answer["values"] == [expected_values()]
    assert [float(line.split()[1]) for line in answer["time"]] == [0, 0]


@pytest.mark.slow
def test_memory_stays_flat(runner):
    """Between run 400 and run 4,000; drivers take some megabytes now and then, so one flat process of three will do.

    An event that is never released would take a few hundred bytes a launch. Intel's OpenCL keeps 2 KB of each recorded
    command that it runs.
    """
    for flags in (0, EVENTS, RECORD) if is_pocl(runner) else (0, EVENTS):
        grown = (
            int(runner.run(doubling_package(), flags=flags, runs=4000, program=runner.plain)["memory"][0])
            for _ in range(3)
        )
        assert any(grown_bytes < 1 << 20 for grown_bytes in grown), flags


def test_runs_allocate_nothing_on_the_host(runner):
    """Calls of the runtime's own, which the linker leads through a counter."""
    for flags in (0, EVENTS, RECORD):
        assert runner.run(doubling_package(), flags=flags, runs=20, program=runner.counting)["allocations"] == ["0"]


def test_weights_in_images_are_read(runner):
    package = TinyPackage()
    body = """(__read_only image2d_array_t weights, __global const float* x, __global float* y) {
      const sampler_t nearest = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP | CLK_FILTER_NEAREST;
      const float4 texel = read_imagef(weights, nearest, (int4)(INDEX % 3, INDEX / 3, 0, 0));
      y[INDEX] = x[INDEX] + texel.x + 10 * texel.y + 100 * texel.z + 1000 * texel.w;
    }"""
    kernel = package.kernel("texels", f"__kernel void texels{body}\n", 3, PREAMBLE)
    weights = [float(value % 10) for value in range(24)]
    image = package.constant(struct.pack("<24f", *weights), image=(3, 2))
    add_one_layer(package, kernel, [(CONSTANT, image), (BUFFER, 0), (BUFFER, 1)], 6)
    answer = runner.run(package)
    expected = [i / 8 + sum(10**place * weights[4 * i + place] for place in range(4)) for i in range(6)]
    assert answer["values"] == [expected]


def test_checks_in_half_precision_are_compared(runner):
    """Writing a half by vstore_half needs no half precision of the device's."""
    body = "(__global const float* x, __global half* h, __global float* y)"
    text = f"__kernel void halve{body} {{ vstore_half(x[INDEX], INDEX, h); y[INDEX] = vload_half(INDEX, h); }}\n"
    inputs = checking_input(8)
    for offset, status in ((0.0, None), (0.01, 9)):
        package = TinyPackage()
        kernel = package.kernel("halve", text, 3, PREAMBLE)
        add_one_layer(package, kernel, [(BUFFER, 0), (BUFFER, 2), (BUFFER, 1)], 8)
        package.add("buffers", offset=8192, bytes=16)
        package.records["entries"][0].update(buffer_count=3, arena_bytes=3 * 4096)
        for element, value in enumerate(inputs):
            package.add("checks", buffer=2, dtype=1, element=element, value=value + offset, tolerance=4e-4)
        package.records["steps"][0].update(check_count=8)
        assert runner.run(package).get("status") == status


def add_one_layer(package: TinyPackage, kernel: int, arguments: list[tuple[int, int]], size: int) -> None:
    """An entry of one launch, from buffer 0 to buffer 1, of `size` elements."""
    for number in range(2):
        package.add("buffers", offset=4096 * number, bytes=4 * size)
    launch = package.launch(kernel, arguments, size)
    package.add("outputs", name=package.string("out"), buffer=1, channels=1, height=1, width=size)
    package.add("steps", name=package.string("layer"), kind=0, first_launch=launch, launch_count=1)
    package.add(
        "entries", channels=1, height=1, width=size, output_count=1, buffer_count=2, step_count=1, arena_bytes=8192
    )


def test_cache_saves_compilations(runner, tmp_path):
    counts = [runner.run(doubling_package(), cache=tmp_path / "cache", faults="none") for _ in range(2)]
    assert [answer["compilations"] for answer in counts] == [2, 0]
    assert [answer["launches"] for answer in counts] == [2 * LAUNCHES, LAUNCHES]  # the check is remembered
    assert [answer["values"] for answer in counts] == [[expected_values()]] * 2
    other = doubling_package(
        bodies={"twice": "(__global const float* x, __global float* y) { y[INDEX] = x[INDEX] * 2; }"}
    )
    assert runner.run(other, cache=tmp_path / "cache", faults="none")["compilations"] == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.slow
def test_cache_that_is_damaged_is_made_again(runner, tmp_path):
    runner.run(doubling_package(), cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    damaged = [whole[:-1], whole[:50], b"", whole + b"x", b"x" + whole[1:]]
    damaged += [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in (10, 45, 80, len(whole) - 1)]
    for contents in damaged:
        file.write_bytes(contents)
        answer = runner.run(doubling_package(), cache=tmp_path, faults="none")
        assert (answer["values"], answer["compilations"]) == ([expected_values()], 2)
        assert file.read_bytes() != contents
    assert runner.run(doubling_package(), cache=tmp_path, faults="none")["compilations"] == 0
    assert runner.run(doubling_package(), cache=tmp_path, faults="binaries")["compilations"] == 2


def test_cache_that_cannot_be_written_is_none(runner, tmp_path):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for folder in (tmp_path / "file", tmp_path / "a" / "b", tmp_path / ("x" * 2000)):
        assert runner.run(doubling_package(), cache=folder)["values"] == [expected_values()]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_package_for_another_device_is_refused(runner):
    def built(**settings: str) -> TinyPackage:
        package = doubling_package()
        for name, text in settings.items():
            package.add("settings", name=package.string(f"built.{name}"), text=package.string(text), is_text=1)
        return package

    refused = runner.run(built(gpu="adreno"))
    assert refused["status"] == WRONG_DEVICE
    assert "built for adreno, this is" in refused["error"]
    assert "FP_FLAG_ANY_DEVICE" in refused["error"]
    assert runner.run(built(gpu="adreno"), flags=ANY_DEVICE)["values"] == [expected_values()]
    assert runner.run(built(gpu="cpu", dtype="float32"))["values"] == [expected_values()]
    if is_pocl(runner):
        halves = runner.run(built(dtype="float16"), flags=ANY_DEVICE)
        assert halves["status"] == WRONG_DEVICE
        assert "has no half precision (cl_khr_fp16): build the package with float32" in halves["error"]


def test_device_is_chosen_by_name(runner):
    (line,) = runner.run(doubling_package())["device"]
    assert runner.run(doubling_package(), FLEETPOSE_OPENCL_DEVICE="0:0")["device"] == [line]
    assert runner.run(doubling_package(), FLEETPOSE_OPENCL_DEVICE=":" + line[:5].upper())["device"] == [line]
    answer = runner.run(doubling_package(), FLEETPOSE_OPENCL_DEVICE="nobody's")
    assert answer["status"] == NO_OPENCL
    assert "device nobody's (PLATFORM[:DEVICE], each an index or part of a name) is none of: 0:0 " in answer["error"]


def test_library_without_opencl_is_refused(runner, tmp_path):
    answer = runner.run(doubling_package(), FLEETPOSE_LIBOPENCL=str(tmp_path / "none.so"))
    assert (answer["status"], "none.so" in answer["error"]) == (NO_OPENCL, True)
    answer = runner.run(doubling_package(), FLEETPOSE_LIBOPENCL="libm.so.6")
    assert (answer["status"], answer["error"]) == (
        NO_OPENCL, "no usable OpenCL: libm.so.6: has no entry point clGetPlatformIDs"
    )  # fmt: skip


def test_apps_open_networks_alone(runner):
    """Functions are the agent's; a package may have both."""
    answer = runner.run(function_package())
    assert (answer["status"], answer["error"]) == (BAD_PACKAGE, "the package has single functions, and no network")
    both = doubling_package()
    both.add("buffers", bytes=32)
    launch = both.launch(0, [(BUFFER, 0), (BUFFER, 0)], 8)
    both.add(
        "functions", name=both.string("twice"), parameter_count=1, first_buffer=3, buffer_count=1, first_launch=launch,
        launch_count=1,
    )  # fmt: skip
    assert runner.run(both)["values"] == [expected_values()]
