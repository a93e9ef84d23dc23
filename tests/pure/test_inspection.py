"""Figures of kernels, read from what Mesa's compilers said of one kernel for three generations of GPUs.

tests/compiler_output has the kernel, a 1x1 convolution of 4 filters by 8 half-precision lanes that takes two input
channels a turn, and the machine code and statistics that Mesa 26.1.6 printed of it, as they were.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from codegen.inspection.building import CompilerError, Said, read_parts
from codegen.inspection.chips import CHIPS, chip_for, chips_for
from codegen.inspection.compilers import Compilers
from codegen.inspection.inspection import InspectedKernel, InspectedLayer, Inspection, KindSummary, launch_cycles
from codegen.inspection.launches import Launch, kept_macs, kind_of
from codegen.inspection.limits import faults_of
from codegen.inspection.machine_code import ir3, valhall
from codegen.inspection.machine_code.bifrost import read_figures as read_bifrost
from codegen.inspection.machine_code.figures import CodeCount, KernelFigures, Span, hot_code, innermost_loops
from codegen.inspection.machine_code.reading import read_said
from codegen.inspection.results import ResultCache
from codegen.inspection.sources import KERNEL_NAME, KernelSource, split_kernels
from devices.profile import load_profile, profile_names
from fleetpose.errors import UsageError
from models.graph.layer import Layer

RECORDED = Path(__file__).parents[1] / "compiler_output"
SOURCE = (RECORDED / "kernel.cl").read_text()
#: what a turn of the kernel's loop multiplies: 2 channels, 4 filters, 8 lanes
MACS = 2 * 4 * 8


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.txt").read_text()


def figures_of(name: str) -> KernelFigures:
    figures = read_said(Said(recorded(name)), CHIPS[name])
    assert isinstance(figures, KernelFigures)
    return figures


@pytest.mark.parametrize("name", ["adreno-730", "mali-g76", "mali-g57"])
def test_hot_loop_has_the_multiply_adds_of_the_kernels_text(name):
    products = re.findall(r"sums_ptr\[\d\] = \(sums_ptr\[\d\] \+ \(loaded_ptr\[0\] \* factor_ptr\[0\]\)\);", SOURCE)
    assert 8 * len(products) == MACS
    figures = figures_of(name)
    assert figures.hot.macs == MACS
    assert figures.hot.is_loop
    assert figures.loops == 1


@pytest.mark.parametrize(
    ("name", "registers", "occupancy", "wave", "group"),
    [("adreno-730", 8, 12, 128, 1536), ("mali-g76", 29, 2, 8, 256), ("mali-g57", 36, 1, 16, 128)],
)
def test_figures_are_what_the_compilers_statistics_say(name, registers, occupancy, wave, group):
    figures = figures_of(name)
    assert (figures.registers, figures.occupancy, figures.wave) == (registers, occupancy, wave)
    assert (figures.largest_group, figures.local_bytes, figures.does_spill) == (group, 0, False)


def test_adreno_instructions_add_up_to_the_compilers_own_count():
    text = re.sub(r"^MESA: info: ?", "", recorded("adreno-730"), flags=re.MULTILINE)
    code = [line.strip() for line in text.splitlines()]
    own = re.search(r"(\d+) instr, \d+ nops, (\d+) non-nops", text)
    assert own is not None
    assert figures_of("adreno-730").instructions == int(own[1])
    after_preamble = next(number for number, line in enumerate(code) if "shpe" in line)
    assert ir3.count_code(code, Span(after_preamble + 1, len(code))).instructions == int(own[2])


def test_adreno_utilisation_is_multiply_adds_over_issue_slots():
    hot = figures_of("adreno-730").hot
    assert hot.busy_cycles == hot.instructions
    assert hot.utilisation == pytest.approx(MACS / hot.instructions)
    assert hot.accesses == 4 + 8, "each half8 as two loads of 64 bits, each weight by itself"


def test_bifrost_utilisation_is_multiply_adds_over_tuples():
    """32 instructions of two halves each; the loop's tuples are counted between its clauses' braces."""
    text = recorded("mali-g76")
    jump = text.index("JUMP t1, clause_41")
    tuples = text[text.index("clause_41:") : text.index("}", jump)].count("\n    *")
    hot = figures_of("mali-g76").hot
    assert hot.busy_cycles == pytest.approx(tuples / 3)
    assert hot.utilisation == pytest.approx(MACS / 2 / tuples)
    assert hot.bound == "arithmetic"


def test_bifrost_with_more_messages_than_arithmetic_is_bound_by_memory():
    text = recorded("mali-g76")
    slow = re.sub(r"^    \+NOP t1$", "    +LOAD.i32 t1, r0, r1, @r2", text, flags=re.MULTILINE)
    figures = read_bifrost(slow, CHIPS["mali-g76"], 256, 0)
    assert figures is not None
    assert figures.hot.bound == "memory"
    assert figures.hot.busy_cycles == figures.hot.accesses


def test_valhall_units_have_the_cycles_that_the_compiler_says():
    """Mesa divides by the lanes of a core: 32 for multiply-adds and conversions, 8 for functions, 1 for messages."""
    text = recorded("mali-g57")
    code = valhall.read_code(text[: text.index("MESA_SHADER_KERNEL")])
    cycles = valhall.unit_cycles(code, Span(0, len(code)))
    own = re.search(r"(\S+) fma, (\S+) cvt, (\S+) sfu, .* (\S+) ls,", text)
    assert own is not None
    by_lanes = [cycles["fma"] / 32, cycles["cvt"] / 32, cycles["sfu"] / 8, cycles["memory"]]
    assert by_lanes == list(map(float, own.groups()))
    assert len(code) == figures_of("mali-g57").instructions


def test_valhall_is_bound_by_its_busiest_unit():
    hot = figures_of("mali-g57").hot
    assert hot.bound == "sfu"
    assert hot.ideal_cycles == MACS / 2 / 2
    assert hot.accesses == 2 + 8


@pytest.mark.parametrize(("numbers", "spills"), [("79:108", True), ("0:0", False)])
def test_mali_spills_are_read(numbers, spills):
    figures = read_bifrost(recorded("mali-g76").replace("0:0 spills", f"{numbers} spills"), CHIPS["mali-g76"], 128, 0)
    assert figures is not None
    assert f"{figures.spills}:{figures.fills}" == numbers
    assert figures.does_spill is spills


def test_adreno_spills_are_accesses_of_scratch_memory():
    lines = "MESA: info: stp.f32 p[r48.x], r1.x, 4\nMESA: info: (rpt1)ldp.f32 r1.x, p[r48.x], 2\nMESA: info: end\n"
    figures = read_said(Said(recorded("adreno-730").replace("MESA: info: end\n", lines, 1)), CHIPS["adreno-730"])
    assert isinstance(figures, KernelFigures)
    assert figures.spills == 3


def test_failure_to_build_is_told_by_the_first_error():
    log = "@failed -11\nkernel.cl:1:1: warning: x\nkernel.cl:3:9: error: no member named 'y'\n"
    assert read_said(Said(log), CHIPS["mali-g76"]) == "does not build: kernel.cl:3:9: error: no member named 'y'"


def test_crash_of_a_compiler_is_told():
    assert read_said(Said("some assembly\n", whole=False), CHIPS["adreno-730"]) == "the compiler crashed"


def test_parts_of_a_stream_end_where_the_compiler_ended():
    lines = [b"noise\n", b"@device G\n", b"@begin 0\n", b"a\n", b"@end 0\n", b"between\n", b"@begin 1\n", b"b\n"]
    assert [*read_parts(lines)] == [Said("a\n"), Said("b\n", whole=False)]


def test_compiler_without_a_device_is_refused_with_what_it_said():
    with pytest.raises(CompilerError, match="@no OpenCL device"):
        [*read_parts([b"@no OpenCL device\n"])]


def test_innermost_loops_are_told_from_outer_ones_and_jumps_ahead():
    assert innermost_loops([(9, 1), (5, 3), (6, 3), (7, 20), (12, 11)]) == [Span(3, 6), Span(11, 12)]


def test_hot_code_is_the_loop_with_most_multiply_adds_else_all():
    counts = {Span(0, 1): 4, Span(2, 3): 9, Span(4, 5): 0}
    whole = CodeCount(20, 20, 0, 20.0, 20.0, "arithmetic")

    def count(span: Span) -> CodeCount:
        return replace(whole, macs=counts[span])

    assert hot_code(counts, count, whole) == replace(whole, macs=9, is_loop=True)
    assert hot_code([Span(4, 5)], count, whole) == whole


def test_kernels_of_a_program_are_split_and_equal_ones_are_equal():
    program = "// Function: a_kernel\n__kernel void a_kernel();\n// Function: a_kernel_1\n__kernel void a_kernel_1();\n"
    kernels = split_kernels(program)
    assert list(kernels) == ["a_kernel", "a_kernel_1"]
    assert kernels["a_kernel"] == kernels["a_kernel_1"] == KernelSource(f"__kernel void {KERNEL_NAME}();\n")
    assert "#define vload8 whole_load8" in kernels["a_kernel"].program


@pytest.mark.parametrize("name", [name for name in profile_names() if not name.startswith("host")])
def test_every_phone_profile_has_a_chip_of_its_kind(name):
    profile = load_profile(name)
    assert chips_for(profile)
    assert {chip.is_mali for chip in chips_for(profile)} == {profile.gpu == "mali"}


def test_chip_of_another_kind_is_refused():
    assert chip_for(load_profile("generic_mali"), "mali-g57").name == "mali-g57"
    with pytest.raises(UsageError, match="adreno-730 is not of mali-g76's kind"):
        chip_for(load_profile("mali-g76"), "adreno-730")
    with pytest.raises(UsageError, match="host is no profile of a GPU"):
        chip_for(load_profile("host"))


HOT = CodeCount(64, 128, 8, 128.0, 64.0, "arithmetic", is_loop=True)
FIGURES = KernelFigures(100, 16, 6, 64, 0, 0, 1, 256, 0, HOT, replace(HOT, busy_cycles=200.0, is_loop=False))
LAUNCH = Launch("k", KernelSource(""), 64, 10)


@pytest.mark.parametrize(
    ("launch", "figures", "says"),
    [
        ({}, {}, None),
        ({}, {"spills": 3, "fills": 5}, "spills 3 times, reads 5 times"),
        ({"group": 99}, {"largest_group": 64}, "work-groups of 99 work-items; with its registers the driver allows 64"),
        ({"group": 512}, {}, "work-groups of 512 work-items; adreno-730 allows 256"),
        ({}, {"local_bytes": 65536}, "65536 bytes of local memory; adreno-730 has 32768"),
        ({"images": ((16384, 4), (4, 16385))}, {}, "an image of 4x16385 texels; adreno-730 allows 16384"),
    ],
)
def test_limits_that_a_kernel_exceeds_are_named(launch, figures, says):
    faults = faults_of(replace(LAUNCH, **launch), replace(FIGURES, **figures), load_profile("adreno-730"))
    assert [fault.startswith(says or "") for fault in faults] == ([] if says is None else [True])


def test_kernel_that_does_not_build_is_a_fault_in_the_compilers_words():
    assert faults_of(LAUNCH, "does not build: x", load_profile("mali-g76")) == ("does not build: x",)


@pytest.mark.parametrize(("group", "filled"), [(64, 1), (3, 3 / 64), (65, 65 / 128)])
def test_filled_is_the_part_of_the_lanes_that_a_group_uses(group, filled):
    assert FIGURES.filled(group) == filled


def test_cycles_of_a_work_item_count_the_hot_loops_turns():
    assert FIGURES.item_cycles(3 * 64) == 200 + 2 * 128
    assert FIGURES.item_cycles(10) == 200, "a loop's text is there once, however few its turns"
    straight = replace(FIGURES, hot=FIGURES.whole)
    assert straight.item_cycles(3 * 64) == 200
    assert straight.item_cycles(3 * 64, alternatives=2) == 100


@pytest.mark.parametrize(
    ("macs", "cycles"), [(3 * 64, 10 * 2 * (200 + 2 * 128)), (None, 10 * 2 * (200 + 6 * 128))], ids=["known", "shared"]
)
def test_cycles_of_a_launch_are_those_of_all_its_waves(macs, cycles):
    launch = replace(LAUNCH, group=65, macs=macs)
    assert launch_cycles(launch, FIGURES, all_macs=7 * 64 * 65 * 10) == cycles


def test_cycles_of_a_kind_are_not_known_where_a_kernels_are_not():
    kernel = inspected(1, [0.5]).kernels[0]
    known, unknown = (replace(inspected(1, [0.5]), kernels=(replace(kernel, cycles=c),)) for c in (3.0, None))
    assert KindSummary.of("kind", [known, known]).cycles == 6
    assert KindSummary.of("kind", [known, unknown]).cycles is None


def inspected(macs: int, utilisations: list[float], group: int = 64, faults: tuple[str, ...] = ()) -> InspectedLayer:
    """A layer whose first kernel has most multiply-adds."""
    codes = [replace(FIGURES.hot, ideal_cycles=128 * u, macs=64 - n) for n, u in enumerate(utilisations)]
    kernels = (
        InspectedKernel(f"k{number}", f"digest{number}", group, 1, replace(FIGURES, hot=code), faults)
        for number, code in enumerate(codes)
    )
    return InspectedLayer("layer", "kind", "rule", "tile", "dense", macs, tuple(kernels))


def test_utilisation_of_a_kind_is_weighted_by_multiply_adds():
    layers = [inspected(300, [0.4, 0.9]), inspected(100, [0.8], group=32), inspected(0, [1.0])]
    summary = KindSummary.of("kind", layers)
    assert summary.utilisation == pytest.approx((300 * 0.4 + 100 * 0.8) / 400)
    assert summary.filled_utilisation == pytest.approx((300 * 0.4 + 100 * 0.8 / 2) / 400)
    assert (summary.layers, summary.launches, summary.kernels, summary.macs) == (3, 4, 2, 400)


def test_straight_code_does_not_stand_for_a_layer_that_has_a_loop():
    products, transform = inspected(1, [0.3]).kernels[0], inspected(1, [0.9]).kernels[0]
    straight = replace(FIGURES, hot=replace(FIGURES.hot, is_loop=False, macs=1000))
    layer = replace(inspected(1, [0.3]), kernels=(replace(transform, figures=straight), products))
    assert layer.utilisation == pytest.approx(0.3)


def test_faults_of_a_kernel_are_said_once():
    layer = inspected(1, [0.5], faults=("spills 3 times",))
    inspection = Inspection("p", "mali-g76", "Mesa", "float32", (layer, layer))
    assert inspection.faults == ["layer: k0 spills 3 times"]


def test_kind_names_the_window_of_a_convolution():
    shape = (8, 4, 4)
    conv = Layer("c", "conv", ("x",), (shape,), shape, (3, 3), (1, 1), (1, 1), (1, 1), 1, True, ())
    assert kind_of(conv, "direct") == "direct 3x3"
    assert kind_of(conv, "depthwise") == "depthwise"
    assert kind_of(None, "export") == "export"
    assert kept_macs(conv, conv.macs, "columns:0.5:8x1") == conv.macs // 2
    assert kept_macs(conv, conv.macs, "dense") == conv.macs


def test_cache_gives_back_what_was_said_and_nothing_of_what_is_damaged(tmp_path):
    compilers = Compilers(tmp_path, {"arm64/mesa-opencl-icd": "26.1.6-1"})
    cache, source = ResultCache(compilers, CHIPS["mali-g76"], tmp_path), KernelSource(SOURCE)
    assert cache.read(source) is None
    cache.write(source, Said("a crash", whole=False))
    assert cache.read(source) is None
    cache.write(source, Said(recorded("mali-g76")))
    assert cache.read(source) == Said(recorded("mali-g76"))
    assert ResultCache(compilers, CHIPS["mali-g57"], tmp_path).read(source) is None
    (path,) = tmp_path.rglob("*.gz")
    path.write_bytes(path.read_bytes()[1:])
    assert cache.read(source) is None


def test_a_shared_launch_counts_once():
    layer = inspected(100, [0.5, 0.9])
    summary = KindSummary.of("kind", [layer, replace(layer, with_previous=True)])
    assert (summary.layers, summary.launches, summary.kernels, summary.macs) == (2, 2, 2, 200)
