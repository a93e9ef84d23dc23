"""What LiteRT does with a layer, restated: classes, tiles and work-groups worked out by hand from its rules."""

import pytest

from latency.dataset.runtimes import WorkGroups, kernel_class, tile, work_groups
from models.graph.layer import Layer

MALI, ADRENO, POWERVR = "Mali-G76 MP12", "Adreno 616", "PowerVR GE8320"


def conv(cin: int, cout: int, out: int, kernel: int = 1, groups: int = 1, stride: int = 1) -> Layer:
    half = kernel // 2
    return Layer(
        "", "conv", ("",), ((cin, out * stride, out * stride),), (cout, out, out), (kernel, kernel), (stride, stride),
        padding=(half, half), groups=groups, bias=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "gpu", "expected"),
    [
        (conv(64, 64, 28), MALI, "pointwise"),
        (conv(64, 64, 1), MALI, "vector"),
        (conv(64, 64, 28, 3), MALI, "winograd4"),
        (conv(32, 64, 28, 3), MALI, "direct"),
        (conv(128, 128, 56, 3), ADRENO, "winograd4"),
        (conv(64, 64, 56, 3), ADRENO, "direct"),
        (conv(16, 16, 56), ADRENO, "constants"),
        (conv(64, 64, 28, 3, 64, 2), MALI, "depthwise"),
        (conv(64, 64, 28, 3, 64), MALI, "depthwise3x3"),
        (conv(64, 64, 28, 3, 8), MALI, "grouped"),
        (conv(64, 64, 28, 1, 1, 2), MALI, "strided"),
    ],
)
def test_runtime_kernel_classes_follow_the_layer(layer, gpu, expected):
    assert kernel_class(layer, "tflite", gpu) == expected


def test_runtime_tiles_grow_with_the_work_of_a_core():
    # 16 slices of 4 channels x pixels / 12 cores: 65, 1045 and 4181 vectors a core
    assert [tile(conv(64, 64, side), "tflite", MALI) for side in (7, 28, 56)] == [(1, 1, 1), (2, 1, 1), (2, 2, 2)]
    # 2 slices for each of 8 groups: 2 at a time; 1 slice: one
    assert tile(conv(64, 64, 112, 3, 8), "tflite", MALI) == (2, 1, 2)
    assert tile(conv(64, 64, 112, 3, 16), "tflite", MALI) == (2, 1, 1)


def test_runtime_work_groups_are_the_runtimes_own():
    # 14 x 14 x 16: 16 blocks divide, 256 / 16 = 16 items: 14 x 1
    assert work_groups(conv(64, 64, 14), "tflite", MALI, (14, 14, 16)) == WorkGroups(14 * 16, 16, 14)
    # 6 rows fit whole and are even, so they are halved
    assert work_groups(conv(64, 12, 6), "tflite", MALI, (6, 6, 3)) == WorkGroups(6 * 3 * 3, 3, 2)
    # half a row, at most 384 items, 8 blocks: 14 x 3 x 8
    assert work_groups(conv(64, 64, 28, 3, 64, 2), "tflite", MALI, (28, 28, 16)) == WorkGroups(
        14 * 3 * 8, 8, 2 * 10 * 2
    )
    # pixels in a row, 32 at a time
    assert work_groups(conv(64, 64, 14), "tflite", POWERVR, (7, 14, 4)) == WorkGroups(32, 1, 4 * 4)
    # 16 outputs of 4 channels in a group, each summed by four work-items
    assert work_groups(conv(64, 200, 1), "tflite", MALI, (1, 1, 50)) == WorkGroups(64, 16, 4)
    assert work_groups(conv(64, 64, 14), "pytorch_vulkan", MALI, (14, 14, 16)) == WorkGroups(1, 1, 14 * 14 * 16)
