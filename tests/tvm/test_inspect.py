"""`codegen.inspect`: what it refuses, what it gathers, and, where they are set up, what the real compilers say."""

import json
import platform
from pathlib import Path

import pytest

from codegen import inspect
from codegen.inspection.chips import CHIPS
from codegen.inspection.compilers import load_compilers
from codegen.inspection.counting import alternatives, multiply_adds
from codegen.inspection.gathering import launches_of_layer, launches_of_network
from codegen.inspection.launches import ENDS
from codegen.inspection.machine_code.reading import read_said
from codegen.inspection.results import inspect_sources
from codegen.inspection.sources import KernelSource
from codegen.kernels.builder import grid_statements
from codegen.layer import ConvOptions, make_conv
from codegen.lowering.launches.merged_function import merge_functions
from codegen.lowering.layer import compile_layer, random_operands, standalone_planes
from codegen.lowering.network import Options
from codegen.schedules import candidates
from devices.profile import load_profile
from fleetpose import cli
from fleetpose.errors import UsageError
from models.plans.sparsity import Sparsity, parse_variant
from tests.tvm.opencl_text import work_groups
from tests.tvm.test_network import small_graph

CONV = ("--conv", "16", "16", "12", "12", "--kernel", "1")


def run(*words: object) -> int:
    return cli.run(inspect.main, inspect.make_parser(), [str(word) for word in words])


@pytest.fixture(scope="module")
def compilers():
    try:
        return load_compilers()
    except UsageError as error:
        pytest.skip(f"{error}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give --model NAME or --conv"),
        (CONV, "--profile is missing"),
        ((*CONV, "--profile", "host"), "host is no profile of a GPU"),
        ((*CONV, "--profile", "mali-g76", "--gpu", "adreno-730"), "is not of mali-g76's kind"),
        ((*CONV, "--profile", "mali-g76", "--layer", "x"), "--layer needs --model"),
        ((*CONV, "--profile", "mali-g76", "--plan", "p.json"), "--plan is of a whole network"),
        ((*CONV, "--profile", "mali-g76", "--compilers", "nowhere"), "python -m codegen.inspect --setup gets them"),
    ],
)
def test_wrong_use_is_refused_in_a_line(words, says, capsys):
    assert run(*words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the compilers run on x86-64 alone")
def test_setup_without_its_programs_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("--setup", tmp_path / "compilers") == 2
    assert "apt-get is missing, with which the GPU compilers are fetched: install apt" in capsys.readouterr().err
    assert not (tmp_path / "compilers").exists()


@pytest.mark.parametrize(("name", "dtype"), [("mali-g76", "float16"), ("adreno-730", "float32")])
def test_every_launch_of_a_network_has_its_source_and_its_grid(name, dtype):
    profile = load_profile(name)
    layers = launches_of_network(small_graph(20, 34), profile, Options(dtype=dtype))
    launches = [launch for layer in layers for launch in layer.launches]
    assert {layer.kind for layer in layers} >= set(ENDS)
    assert all("__kernel void inspected(" in launch.source.text for launch in launches)
    assert all(0 < launch.group <= profile.max_threads_per_block for launch in launches)
    assert len({launch.source for launch in launches}) <= len(launches)


def test_grids_of_a_layer_are_those_of_its_function():
    profile, layer = load_profile("mali-g76"), make_conv((16, 24), (20, 40), ConvOptions())
    workload = standalone_planes(layer, profile.lanes)
    choices = [choice for choice in candidates(workload, profile) if choice.schedule in ("winograd", "direct")]
    for choice in (choices[0], choices[-1]):
        func = compile_layer(workload, random_operands(layer, 0)[1], profile, choice=choice).kernel.func
        launches = launches_of_layer(workload, profile, choice).launches
        assert [launch.group for launch in launches] == work_groups(func)


@pytest.mark.parametrize("name", ["direct", "winograd", "columns"])
def test_multiply_adds_of_work_items_are_those_of_the_layer(name):
    """24 filters of 16 channels on 20 x 40 pixels, which every tile divides; F(2 x 2) multiplies 16 times for 4 pixels,
    and its transforms never."""
    profile, layer = load_profile("mali-g76"), make_conv((16, 24), (20, 40), ConvOptions())
    sparsity = Sparsity.parse("columns:0.5:4x1") if name == "columns" else None
    workload = standalone_planes(layer, profile.lanes, sparsity=sparsity)
    choice = next(
        choice
        for choice in candidates(workload, profile)
        if choice.schedule == name and not str(choice.config).startswith("m4")
    )
    launches = launches_of_layer(workload, profile, choice).launches
    done = [launch.macs * launch.group * launch.groups for launch in launches if launch.macs]
    wanted = {"direct": layer.macs, "winograd": layer.macs * 16 // 36, "columns": layer.macs // 2}[name]
    assert done
    assert wanted <= sum(done) < 1.3 * wanted


def test_work_item_of_a_shared_launch_runs_one_layer():
    profile = load_profile("adreno-730")
    functions = []
    for filters in (8, 24):
        layer = make_conv((16, filters), (12, 16), ConvOptions())
        workload, (_, weights) = standalone_planes(layer, profile.lanes), random_operands(layer, 0)
        direct = next(choice for choice in candidates(workload, profile) if choice.schedule == "direct")
        functions.append(compile_layer(workload, weights, profile, choice=direct).kernel.func)
    (merged,) = grid_statements(merge_functions(functions, 1, [0, 1]))
    own = [multiply_adds(*grid_statements(function)) for function in functions]
    assert multiply_adds(merged) == max(own)
    assert [alternatives(grid) for grid in (merged, *grid_statements(functions[0]))] == [2, 1]


def test_images_of_a_layer_are_told():
    profile, layer = load_profile("adreno-730"), make_conv((16, 16), (20, 40), ConvOptions())
    workload = standalone_planes(layer, profile.lanes)
    choice = next(choice for choice in candidates(workload, profile) if choice.schedule == "image")
    (launch,) = launches_of_layer(workload, profile, choice).launches
    assert launch.images == ((16 * 9, 16 // 4),)


def test_sparse_layer_counts_what_its_zeros_leave():
    profile, layer = load_profile("mali-g76"), make_conv((16, 16), (20, 40), ConvOptions())
    workload = standalone_planes(layer, profile.lanes, sparsity=Sparsity.parse("columns:0.5:8x1"))
    inspected = launches_of_layer(workload, profile)
    assert (inspected.kind, inspected.macs) == ("columns 3x3", layer.macs // 2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lanes"), [("adreno-730", 4), pytest.param("mali-g76", 4, marks=pytest.mark.long)])
def test_real_compiler_counts_the_multiply_adds_of_a_tile(name, lanes, compilers, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(tmp_path))
    words = (*CONV, "--profile", name, "--tuned", "none", "--compilers", compilers.folder, "--json")
    assert run(*words) == 0
    first = json.loads(capsys.readouterr().out)
    (layer,) = first["layers"]
    (kernel,) = layer["kernels"]
    filters, vectors = map(int, layer["tile"].split()[0].removeprefix("F").split("V"))
    hot = kernel["figures"]["hot"]
    assert hot["macs"] % (filters * vectors * lanes) == 0
    assert 0 < hot["utilisation"] < 1
    assert first["compiler"] == f"Mesa {compilers.version(CHIPS[name])}"
    (entry,) = tmp_path.rglob("*.gz")
    written = entry.stat().st_mtime_ns
    assert run(*words) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert entry.stat().st_mtime_ns == written, "it was built again"


POINTWISE = {"kernel": 1, "epilogue": ["elu"]}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "channels", "size", "options", "sparsity"), [
    ("adreno-730", (3, 128), 96, {"stride": 2, "padding": 1, "epilogue": ["relu"]}, None),
    ("adreno-730", (128, 128), 46, POINTWISE, None),
    ("adreno-730", (128, 128), 46, {"kernel": 1, "epilogue": ["silu", "add"]}, None),
    ("adreno-730", (128, 128), 46, POINTWISE, "columns:0.5:8x1"),
    ("adreno-730", (40, 256), 92, {"kernel": 1, "epilogue": ["add", "relu"]}, "columns:0.5:8x1"),
    ("mali-g76", (128, 128), 46, POINTWISE, "columns:0.5:8x1"),
    ("mali-g76", (3, 32), 184, {"stride": 2, "epilogue": ["relu"]}, "columns:0.5:8x1"),
    ("adreno-730", (192, 192), 92, {"kernel": 5, "stride": 2, "groups": 192, "epilogue": ["relu6"]}, None),
], ids=str)  # fmt: skip
def test_half_kernels_spill_nothing(compilers, monkeypatch, tmp_path, name, channels, size, options, sparsity):
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(tmp_path))
    profile, chip = load_profile(name), CHIPS[name]
    layer, variant = make_conv(channels, (size, size), ConvOptions(**options)), sparsity and parse_variant(sparsity)
    workload = standalone_planes(layer, profile.lanes_of("float16"), (1, 1), "float16", sparsity=variant)
    (launch,) = launches_of_layer(workload, profile).launches
    figures = read_said(inspect_sources(compilers, chip, [launch.source])[launch.source], chip)
    assert not figures.does_spill
    is_short = sparsity is not None and channels[0] == 3  # a stem's 13 columns are left no loop on a Mali
    assert figures.hot.is_loop != is_short


@pytest.mark.slow
def test_kernel_that_does_not_build_and_one_that_does_are_told_apart(compilers, monkeypatch, tmp_path):
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(tmp_path))
    chip = CHIPS["adreno-730"]
    good = KernelSource((Path(__file__).parents[1] / "compiler_output" / "kernel.cl").read_text())
    bad = KernelSource("__kernel void inspected(__global float* x) { x[0] = y; }\n")
    said = inspect_sources(compilers, chip, [bad, good, bad])
    assert "undeclared identifier 'y'" in str(read_said(said[bad], chip))
    assert read_said(said[good], chip).hot.macs == 64
