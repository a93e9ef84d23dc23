"""Layers that kernels must get right: odd channels, sizes, kernels, strides, dilations, groups, epilogues, pools."""

from models.graph.layer import BINARY, FLOAT32_MAX, STEPS, Layer, Step


def out_extent(extent: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def window(
    op: str,
    channels: tuple[int, int],
    size: tuple[int, int],
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] | None = None,
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    epilogue: tuple[Step, ...] = (),
    bias: bool = True,
    addends: tuple[tuple[int, int, int], ...] = (),
    **others,
) -> Layer:
    """A convolution or pooling layer; padding keeps the size at stride 1 unless given.

    `addends` are the shapes of what the epilogue reads, of the output's shape unless given.
    """
    if padding is None:
        padding = (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2)
    height, width = (out_extent(size[a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    shape = (channels[1], height, width)
    others_read = addends or (shape,) * sum(step.reads for step in epilogue)
    return Layer(
        "layer",
        op,
        ("x", *(f"addend{number}" for number in range(len(others_read)))),
        ((channels[0], *size), *others_read),
        shape,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        bias and op == "conv",
        epilogue,
        **others,
    )


RELU, ADD = Step("relu"), Step("add")

CONVOLUTIONS = {
    "1x1 odd channels": window("conv", (19, 57), (9, 13)),
    "1x1 185 to 38": window("conv", (185, 38), (7, 46)),
    "1x1 stride 2": window("conv", (16, 24), (11, 15), stride=(2, 2)),
    "3x3 145 to 88": window("conv", (145, 88), (6, 23), (3, 3), epilogue=(RELU,)),
    "3x3 one pixel": window("conv", (5, 3), (1, 1), (3, 3)),
    "3x3 no padding": window("conv", (8, 8), (10, 20), (3, 3), padding=(0, 0)),
    "3x3 wide padding": window("conv", (4, 6), (5, 17), (3, 3), padding=(4, 5)),
    "3x3 stride 2": window("conv", (3, 32), (37, 41), (3, 3), stride=(2, 2), epilogue=(RELU,)),
    "3x3 stride 3x1": window("conv", (6, 7), (20, 18), (3, 3), stride=(3, 1)),
    "3x3 dilation 2": window("conv", (38, 19), (12, 46), (3, 3), dilation=(2, 2)),
    "3x3 dilation 3 stride 2": window("conv", (6, 5), (21, 33), (3, 3), stride=(2, 2), dilation=(3, 3)),
    "3x3 groups 4": window("conv", (20, 28), (9, 31), (3, 3), groups=4),
    "3x3 two filters a channel": window("conv", (10, 20), (9, 12), (3, 3), groups=10),
    "5x5": window("conv", (7, 9), (14, 29), (5, 5)),
    "7x7 stride 2": window("conv", (3, 13), (30, 34), (7, 7), stride=(2, 2)),
    "1x7": window("conv", (6, 6), (5, 40), (1, 7)),
    "7x1": window("conv", (6, 6), (40, 5), (7, 1)),
    "4x4 even kernel": window("conv", (6, 6), (9, 9), (4, 4), padding=(1, 2)),
    "32x32 stride 32": window("conv", (3, 8), (64, 64), (32, 32), (32, 32), (0, 0)),
    "no bias": window("conv", (8, 11), (8, 8), (3, 3), bias=False),
    "width 97": window("conv", (4, 4), (3, 97), (3, 3)),
    "one filter": window("conv", (33, 1), (8, 8)),
    "depthwise 3x3": window("conv", (19, 19), (46, 46), (3, 3), groups=19, epilogue=(RELU,)),
    "depthwise 3x3 stride 2": window("conv", (24, 24), (46, 45), (3, 3), stride=(2, 2), groups=24),
    "depthwise 3x3 dilation 2": window("conv", (8, 8), (23, 46), (3, 3), dilation=(2, 2), groups=8),
    "depthwise 5x5": window("conv", (6, 6), (17, 20), (5, 5), groups=6),
    "depthwise add": window("conv", (5, 5), (9, 21), (3, 3), groups=5, epilogue=(ADD, RELU)),
    "depthwise 9x9": window("conv", (3, 3), (12, 15), (9, 9), groups=3),
    "add then relu": window("conv", (16, 19), (11, 18), (3, 3), epilogue=(ADD, RELU)),
    "relu then add": window("conv", (16, 21), (11, 18), (3, 3), epilogue=(RELU, ADD)),
    "add relu add": window("conv", (8, 9), (6, 7), epilogue=(ADD, RELU, ADD)),
}

ACTIVATIONS = (
    RELU,
    Step("relu6"),
    Step("leaky_relu", (0.1,)),
    Step("hardtanh", (-0.4, 0.7)),
    Step("hardtanh", (0.1, FLOAT32_MAX)),
    Step("elu", (1.3,)),
    Step("silu"),
    Step("hardswish"),
    Step("hardsigmoid"),
    Step("sigmoid"),
    Step("gelu"),
    Step("affine", (1.7, -0.3)),
    Step("affine", (-1.0, 1.0)),
    Step("gelu_tanh"),
    Step("mish"),
    Step("tanh"),
    Step("softplus"),
    Step("softsign"),
    Step("threshold", (0.2, -3.0)),
    Step("pow", (2.0,)),
    Step("pow", (3.0,)),
    *(Step(kind) for kind in ("abs", "exp", "exp2", "expm1", "sin", "cos", "atan", "erf", "sign")),
)

#: ways in which what a step reads may be smaller than the value: extents that are 1
BROADCASTS = ((), (1, 2), (0,), (0, 1, 2), (2,), (1,), (0, 2))


def smaller(shape: tuple[int, int, int], axes: tuple[int, ...]) -> tuple[int, int, int]:
    channels, height, width = (1 if axis in axes else extent for axis, extent in enumerate(shape))
    return (channels, height, width)


BINARY_CASES = {
    f"{kind} {axes}": window(
        "conv",
        (5, 11),
        (6, 19),
        epilogue=(Step("sigmoid"), Step(kind, (-3.0,) if STEPS[kind] else ())),
        addends=(smaller((11, 6, 19), axes),),
    )
    for kind in BINARY
    for axes in (BROADCASTS if kind in ("add", "mul") else BROADCASTS[1:2])
}
GATE = Step("mul")
GATED = {
    "1x1 gate first": window("conv", (19, 38), (9, 23), epilogue=(GATE,), addends=((38, 1, 1),)),
    "1x1 add of a vector": window("conv", (19, 38), (9, 23), epilogue=(ADD, RELU), addends=((38, 1, 1),)),
    "3x3": window("conv", (32, 19), (9, 46), (3, 3), epilogue=(RELU, GATE, ADD), addends=((19, 1, 1), (19, 9, 46))),
    "3x3 stride 2": window("conv", (6, 9), (21, 33), (3, 3), (2, 2), epilogue=(GATE,), addends=((1, 11, 17),)),
    "depthwise": window(
        "conv", (9, 9), (13, 40), (3, 3), groups=9, epilogue=(Step("silu"), GATE), addends=((9, 1, 1),)
    ),
    "depthwise add": window("conv", (9, 9), (13, 40), (3, 3), groups=9, epilogue=(ADD,), addends=((1, 13, 40),)),
    "pool": window("avg_pool", (5, 5), (9, 20), (3, 3), epilogue=(GATE,), addends=((5, 1, 1),)),
    "resize": Layer(
        "layer", "resize", ("x", "y"), ((3, 5, 9), (3, 1, 1)), (3, 10, 18), epilogue=(GATE,), mode="bilinear"
    ),
    "alone": Layer("layer", "elementwise", ("x", "y"), ((7, 5, 33), (7, 1, 1)), (7, 5, 33), epilogue=(GATE,)),
    "outer product": Layer("layer", "elementwise", ("x", "y"), ((7, 1, 1), (1, 5, 33)), (7, 5, 33), epilogue=(GATE,)),
    "main of one plane": Layer(
        "layer", "elementwise", ("x", "y"), ((1, 5, 33), (7, 5, 1)), (7, 5, 33), epilogue=(ADD,)
    ),
}

POOLS = {
    "max 3x3 stride 2": window("max_pool", (5, 5), (13, 22), (3, 3), stride=(2, 2)),
    "max 2x2": window("max_pool", (3, 3), (10, 34), (2, 2), stride=(2, 2), padding=(0, 0)),
    "max 3x3 dilation 2": window("max_pool", (3, 3), (11, 12), (3, 3), padding=(1, 1), dilation=(2, 2)),
    "max then relu": window("max_pool", (3, 3), (9, 9), (3, 3), epilogue=(RELU,)),
    "avg 3x3": window("avg_pool", (5, 5), (9, 20), (3, 3)),
    "avg without padding": window("avg_pool", (5, 5), (9, 20), (3, 3), count_include_pad=False),
    "avg 2x2 stride 2": window("avg_pool", (3, 3), (8, 18), (2, 2), stride=(2, 2), padding=(0, 0)),
    "avg global with an epilogue": window(
        "avg_pool", (5, 5), (17, 46), (17, 46), padding=(0, 0), epilogue=(Step("affine", (3.0, 1.0)), ADD)
    ),
    "avg global of one row": window("avg_pool", (5, 5), (1, 13), (1, 13), padding=(0, 0)),
    "max global": window("max_pool", (9, 9), (23, 35), (23, 35), padding=(0, 0)),
    "avg global": window("avg_pool", (7, 7), (12, 11), (12, 11), padding=(0, 0)),
    "avg global, beyond the slack": window("avg_pool", (3, 3), (46, 46), (46, 46), (46, 46), (0, 0)),
}


def resized(mode: str, size: tuple[int, int], target: tuple[int, int], corners: bool = False) -> Layer:
    return Layer("layer", "resize", ("x",), ((3, *size),), (3, *target), mode=mode, align_corners=corners)


MOVES = {
    "concat": Layer("layer", "concat", ("a", "b", "c"), ((4, 6, 9), (19, 6, 9), (2, 6, 9)), (25, 6, 9)),
    "add alone": Layer("layer", "elementwise", ("a", "b"), ((7, 5, 33),) * 2, (7, 5, 33), epilogue=(ADD, RELU)),
    "nearest x2": resized("nearest", (5, 9), (10, 18)),
    "nearest down": resized("nearest", (10, 19), (7, 5)),
    "bilinear x2": resized("bilinear", (5, 9), (10, 18)),
    "bilinear odd": resized("bilinear", (9, 7), (13, 20)),
    "bilinear corners": resized("bilinear", (5, 9), (11, 18), corners=True),
    "bilinear to one": resized("bilinear", (5, 9), (1, 1), corners=True),
}
