"""Convolution with its weights in an image2d, on this machine's OpenCL, against float64; in a whole network too."""

import dataclasses
import importlib.metadata

import numpy as np
import pytest
import tvm

from codegen.artifact.loaded import Artifact
from codegen.artifact.manifest import DISTRIBUTIONS, Manifest, manifest_path
from codegen.artifact.seal import seal
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Weights
from codegen.linking.elf import check_artifact
from codegen.linking.link import export_shared
from codegen.lowering.layer import standalone_planes
from codegen.lowering.network import Options, lower_network
from codegen.lowering.target import make_target
from codegen.schedules import candidates
from codegen.schedules.image import IMAGE, TEXEL, image_shape, pack
from codegen.schedules.products import FilterBlocks
from devices.profile import load_profile
from fleetpose.codec import encode
from models.graph.reference import run_graph
from tests import sweep
from tests.host.kernel_cases import CONVOLUTIONS, window
from tests.host.test_kernels import check
from tests.tvm.test_network import small_graph

ADRENOS = [load_profile(name) for name in ("adreno-640", "adreno-730")]
ANSWERED = [name for name, layer in CONVOLUTIONS.items() if layer.groups == 1 and max(layer.kernel) < 32]


def image_choices(workload, profile) -> list[ScheduleChoice]:
    return [choice for choice in candidates(workload, profile) if choice.schedule == "image"]


@sweep.part(7)
@pytest.mark.parametrize(("name", "number"), sweep.pairs(ANSWERED, range(len(ADRENOS))))
def test_image_kernels_equal_float64(host, name, number):
    profile = ADRENOS[number]
    choices = image_choices(standalone_planes(CONVOLUTIONS[name], profile.lanes), profile)
    assert choices
    check(host, CONVOLUTIONS[name], (2, 2), profile=profile, choice=choices[number % len(choices)])


def test_image_kernels_are_right_in_their_space(host):
    wide = dataclasses.replace(ADRENOS[0], lanes=16, accumulators=24)
    layer = window("conv", (19, 57), (7, 50), (3, 3))
    choices = image_choices(standalone_planes(layer, wide.lanes), wide)
    assert len({choice.config for choice in choices}) > 3
    for choice in sweep.sample(choices):
        check(host, layer, (1, 1), profile=wide, choice=choice)


def test_only_adrenos_read_images_and_only_where_told_to():
    layer = window("conv", (16, 16), (8, 8), (3, 3))
    for name in ("mali-g76", "host"):
        profile = load_profile(name)
        assert not image_choices(standalone_planes(layer, profile.lanes), profile)
    workload = standalone_planes(layer, ADRENOS[0].lanes)
    assert image_choices(workload, ADRENOS[0])
    assert not IMAGE.prefers(workload, ADRENOS[0])
    small = dataclasses.replace(ADRENOS[0], image2d_max=100)
    assert not image_choices(workload, small), "3 x 3 x 16 texels in a row"
    depthwise = window("conv", (16, 16), (8, 8), (3, 3), groups=16)
    assert not image_choices(standalone_planes(depthwise, ADRENOS[0].lanes), ADRENOS[0])


def test_a_texel_holds_four_filters():
    layer = window("conv", (3, 6), (8, 8), (3, 3))
    weight = np.random.default_rng(0).standard_normal(layer.weight_shape, np.float32)
    blocks = FilterBlocks.of(layer, 2 * TEXEL)
    image = pack(blocks, Weights(weight))["weight"]
    assert image.shape == image_shape(blocks) == (2, 27, 4)
    for f, channel, ky, kx in np.ndindex(weight.shape):
        assert image[f // 4, channel * 9 + ky * 3 + kx, f % 4] == weight[f, channel, ky, kx]
    assert not image[1, :, 2:].any(), "there are six filters"


def image_where_it_answers(workload, profile) -> ScheduleChoice | None:
    return next(iter(image_choices(workload, profile)), None)


def test_image_kernels_work_in_a_network(host, tmp_path):
    """Its images are made when the artifact is loaded, and other schedules run beside it."""
    graph, path = small_graph(20, 34), tmp_path / "small.so"
    lowered = lower_network([graph], ADRENOS[0], Options(choose=image_where_it_answers))
    assert [code.schedule for code in lowered.entries[0].layers].count("image") == len(lowered.textures) == 4
    export_shared(tvm.compile(lowered.module, make_target(ADRENOS[0])), path)
    versions = {name: importlib.metadata.version(name) for name in DISTRIBUTIONS}
    manifest = Manifest(
        "small", "", tuple(lowered.entries), weights={"seed": 0}, profile=ADRENOS[0].name, gpu="cpu",
        versions=versions, elf=encode(check_artifact(path)), textures=lowered.textures,
    )  # fmt: skip
    seal(path, manifest).write(manifest_path(path))
    artifact = Artifact(path, host)
    for seed in (0, 1):
        tensor = np.random.default_rng(seed).standard_normal(graph.input_shape, np.float32)
        expected = run_graph(graph, tensor[None])
        for (name, array), wanted in zip(artifact.run(tensor[None]).items(), expected, strict=True):
            np.testing.assert_allclose(array, wanted, atol=1e-4, err_msg=name)


def test_weights_beside_an_artifact_are_no_images(caplog):
    options = Options(choose=image_where_it_answers, weights_inside=False)
    lowered = lower_network([small_graph(20, 34)], ADRENOS[0], options)
    assert not lowered.textures
    assert "image" not in {code.schedule for code in lowered.entries[0].layers}
    assert "layer stem: " in caplog.text
