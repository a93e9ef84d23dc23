"""The code that phones are to run, generated without one: every layer of every network, fp32 and fp16.

The networks' layers are sampled; FLEETPOSE_SWEEP=all takes every layer of every registered network (minutes).
"""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import tvm

from codegen.kernels.activations import FUNCTION_STEPS
from codegen.kernels.workload import Weights, Workload
from codegen.layout.assign import assign_layout
from codegen.linking.link import opencl_source
from codegen.linking.programs import kernel_sections
from codegen.lowering.layer import compile_layer, random_operands, standalone_planes
from codegen.lowering.network import Options, lower_network
from codegen.lowering.sizes import trace_sizes
from codegen.lowering.target import make_target
from codegen.schedules import RULES, candidates
from devices.profile import load_profile
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.layer import Layer, Step
from models.plans.sparsity import Sparsity
from models.prune.masks.build import mask
from models.resolve import model_spec
from models.zoo.registry import model_names
from tests import sweep
from tests.host.kernel_cases import ACTIVATIONS, BINARY_CASES, CONVOLUTIONS, GATED, MOVES, POOLS, window
from tests.small_network import SqueezeExcited
from tests.tvm import opencl_text
from tests.tvm.test_network import small_graph

PHONES = ("mali-g76", "mali-g78", "adreno-640", "adreno-730")
DTYPES = ("float32", "float16")
COMBINATIONS = [*product(PHONES, DTYPES)]
#: of the sampled networks' workloads, each combination takes every so many-th, beginning with its own number
SAMPLED_NETWORKS, SAMPLE = ("lwop", "efficientnet_b0"), 12
SPARSITIES = ("block_punched:0.75:8x4", "columns:0.5:8x1", "connectivity:0.5:8x4", "pattern:0.75")


@pytest.fixture(scope="module")
def graphs():
    names = model_names() if sweep.EVERYTHING else SAMPLED_NETWORKS
    return [trace_sizes(name, None, 0, [model_spec(name).size])[0] for name in names]


def has_functions(layer: Layer) -> bool:
    """Whether a layer's sums go through a function that GPUs compute in float32, such as an exponential."""
    return any(step.kind in FUNCTION_STEPS for step in layer.epilogue)


def unique_workloads(graphs, profile, dtype: str) -> dict[Workload, tuple[str, Weights]]:
    """The distinct workloads of the networks in their planes, with a layer's name and weights."""
    found: dict[Workload, tuple[str, Weights]] = {}
    for graph in graphs:
        layout = assign_layout(graph, profile.lanes_of(dtype), np.dtype(dtype).itemsize)
        for layer in graph.layers:
            weights = Weights(graph.weights.get(f"{layer.name}.weight"), graph.weights.get(f"{layer.name}.bias"))
            if layer.op != "concat":
                workload = Workload.of(layer, layout.planes, dtype)
                found.setdefault(workload, (f"{graph.name} {layer.name}", weights))
    return found


def generate(workload: Workload, weights: Weights, profile, choice=None) -> dict[str, str]:
    """Compile one workload; the text of its kernels, each of them checked."""
    compiled = compile_layer(workload, weights, profile, choice=choice)
    kernel = compiled.kernel
    groups = opencl_text.work_groups(kernel.func)
    assert len(groups) == kernel.grids
    assert max(groups) <= profile.max_threads_per_block
    texts = kernel_sections(opencl_source(compiled.module))
    assert len(texts) == kernel.grids
    what = f"{workload.label} {kernel.schedule} {kernel.note}"
    for name, text in texts.items():
        knows_float32 = kernel.schedule in FLOAT_SUMS or has_functions(workload.layer)
        opencl_text.assert_suits(f"{what} {name}", text, profile, workload.dtype, knows_float32)
    return {f"{what} {name}": text for name, text in texts.items()}


def check_syntax(texts: dict[str, str], folder) -> None:
    if opencl_text.clang() is None:
        pytest.skip("generated and looked through; its syntax was not checked: apt-get install clang")
    opencl_text.assert_compiles(texts, folder)


@pytest.mark.parametrize(("name", "dtype"), COMBINATIONS)
def test_phone_code_of_networks_layers_compiles(name, dtype, graphs, tmp_path):
    profile, texts = load_profile(name), {}
    workloads = [*unique_workloads(graphs, profile, dtype).items()]
    assert len(workloads) > 60
    first, step = (0, 1) if sweep.EVERYTHING else (COMBINATIONS.index((name, dtype)) % SAMPLE, SAMPLE)
    for workload, (layer, weights) in workloads[first::step]:
        for key, text in generate(workload, weights, profile).items():
            texts[f"{layer}: {key}"] = text
    check_syntax(texts, tmp_path)


#: schedules that sum half precision in fp32
FLOAT_SUMS = ("global_pool", "regions", "reduce")
BY_ACTIVATION = {str(step): window("conv", (8, 9), (5, 19), epilogue=(step,)) for step in ACTIVATIONS} | BINARY_CASES
#: one of each kind of layer, small
KINDS = {
    **{name: layer for name, layer in CONVOLUTIONS.items() if name in ("1x1 odd channels", "3x3 groups 4", "5x5")},
    "1x1": window("conv", (32, 24), (20, 40), epilogue=(Step("add"), Step("relu"))),
    "1x1 stride 2": window("conv", (16, 24), (23, 39), stride=(2, 2)),
    "3x3": window("conv", (16, 24), (23, 40), (3, 3), epilogue=(Step("relu6"),)),
    "3x3 stride 2": window("conv", (16, 24), (23, 40), (3, 3), stride=(2, 2)),
    "7x7 stride 2": window("conv", (3, 16), (46, 80), (7, 7), stride=(2, 2)),
    "depthwise": window("conv", (16, 16), (23, 40), (5, 5), groups=16),
    "depthwise stride 2": window("conv", (16, 16), (23, 40), (3, 3), stride=(2, 2), groups=16),
    **POOLS,
    **MOVES,
    **{f"gated {name}": GATED[name] for name in ("3x3", "depthwise add", "outer product")},
    **BY_ACTIVATION,
}


def few_candidates(workload: Workload, profile) -> list:
    """The first and the last configuration of each rule that answers."""
    choices = [*candidates(workload, profile)]
    by_rule = [[choice for choice in choices if choice.schedule == rule.name] for rule in RULES]
    return [choice for own in by_rule if own for choice in dict.fromkeys((own[0], own[-1]))]


#: each takes its share of the kinds, in `make test-all` all
SCHEDULED = [("mali-g76", "float16"), ("adreno-730", "float16"), ("mali-g78", "float32")]


@pytest.mark.parametrize(("name", "dtype"), SCHEDULED)
def test_phone_code_of_every_schedule_compiles(name, dtype, tmp_path):
    profile, texts = load_profile(name), {}
    mine = (
        [*KINDS.items()] if sweep.EVERYTHING else [*KINDS.items()][SCHEDULED.index((name, dtype)) :: 2 * len(SCHEDULED)]
    )
    for kind, layer in mine:
        for text in ("", *(SPARSITIES if kind in ("1x1", "3x3") else ())):
            sparsity = Sparsity.parse(text) if text else None
            if sparsity and sparsity.applies_to(layer):
                continue
            _, weights = random_operands(layer, 0)
            if sparsity:
                weights = replace(weights, weight=weights.weight * mask(weights.weight, sparsity))
            workload = standalone_planes(layer, profile.lanes_of(dtype), (1, 1), dtype, sparsity)
            for choice in few_candidates(workload, profile) if kind not in BY_ACTIVATION else (None,):
                texts.update(generate(workload, weights, profile, choice))
    check_syntax(texts, tmp_path)


@pytest.mark.parametrize("widened", ["sums", "products"])
@pytest.mark.parametrize("name", ["mali-g76", "adreno-730"])
def test_widened_phone_code_is_float32_in_registers_alone(name, widened):
    profile = load_profile(name)
    for kind in ("1x1", "3x3", "7x7 stride 2"):
        layer = KINDS[kind]
        for text in ("", *(SPARSITIES if kind == "3x3" else ())):
            sparsity = Sparsity.parse(text) if text else None
            weights = random_operands(layer, 0)[1].pruned(sparsity)
            lanes = profile.lanes_of("float16")
            workload = standalone_planes(layer, lanes, (1, 1), "float16", sparsity, widened)
            compiled = compile_layer(workload, weights, profile)
            sections = kernel_sections(opencl_source(compiled.module))
            assert any("float" in opencl_text.body(code) for code in sections.values())
            for kernel, code in sections.items():
                opencl_text.assert_suits(f"{kind} {text} {kernel}", code, profile, "float16", knows_float32=True)
                assert not re.search(r"\bfloat\d*\s*\*", code), "nothing of float32 is stored"
                assert opencl_text.accumulators(code) <= profile.accumulators // 2


def gated_graph(height: int, width: int):
    torch.manual_seed(0)
    return trace(SqueezeExcited().eval(), (3, height, width), "gated")


@pytest.mark.parametrize("create", [small_graph, gated_graph])
@pytest.mark.parametrize("name", PHONES)
def test_only_copies_at_a_networks_ends_and_functions_know_float32(name, create, tmp_path):
    profile = load_profile(name)
    graph = create(20, 34)
    lowered = lower_network([graph], profile, Options(dtype="float16"))
    texts = kernel_sections(opencl_source(tvm.compile(lowered.module, make_target(profile)).mod))
    codes = {kernel: code for code in lowered.entries[0].layers for kernel in code.kernels}
    functions = {layer.name for layer in graph.layers if has_functions(layer)}
    assert texts.keys() == codes.keys()
    for kernel, text in texts.items():
        if kernel.startswith(("import", "export")):
            assert "float" in opencl_text.body(text)
        else:
            knows_float32 = codes[kernel].schedule in FLOAT_SUMS or codes[kernel].layer in functions
            opencl_text.assert_suits(kernel, text, profile, "float16", knows_float32)
    check_syntax(texts, tmp_path)


def test_vectors_of_half_are_as_wide_as_those_of_float():
    assert {load_profile(name).lanes_of("float16") for name in PHONES} == {8}
    assert {load_profile(name).lanes_of("float32") for name in PHONES} == {4}


def test_half_precision_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match="host does not compute in float16"):
        lower_network([small_graph(20, 34)], replace(load_profile("host"), fp16=False), Options(dtype="float16"))
    with pytest.raises(UsageError, match=r"'float61'.*did you mean 'float16'"):
        load_profile("mali-g76").lanes_of("float61")
