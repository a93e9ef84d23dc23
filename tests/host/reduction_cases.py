"""Normalisation, softmax and reductions that kernels must get right: every kind, every set of axes, odd extents."""

from models.graph.layer import Layer, Step
from models.graph.reduction import Reduction

RELU, ADD = Step("relu"), Step("add")


def reduced(
    op: str,
    kind: str,
    axes: str,
    shape: tuple[int, int, int] = (6, 5, 19),
    groups: int = 1,
    epilogue: tuple[Step, ...] = (),
    **others,
) -> Layer:
    """A layer that combines elements of a map of `shape`."""
    reduction = Reduction(kind, axes, groups, **others)
    out = reduction.reduced(shape) if op == "reduce" else shape
    addends = sum(step.kind == "add" for step in epilogue)
    inputs = ("x", *(f"addend{number}" for number in range(addends)))
    shapes = (shape, *[out] * addends)
    return Layer("layer", op, inputs, shapes, out, epilogue=epilogue, reduction=reduction)


ALL_AXES = ("C", "H", "W", "CH", "CW", "HW", "CHW")
NORMS = {
    **{f"variance {axes}": reduced("normalise", "variance", axes, eps=1e-5) for axes in ALL_AXES},
    "layer norm of tokens": reduced("normalise", "variance", "C", (70, 1, 197), affine="C", eps=1e-6),
    "layer norm of a map": reduced("normalise", "variance", "CHW", (70, 23, 31), affine="CHW", eps=1e-5),
    "layer norm of rows": reduced("normalise", "variance", "W", (3, 5, 37), affine="W", eps=1e-5),
    "layer norm of planes": reduced("normalise", "variance", "HW", (3, 5, 37), affine="HW", eps=1e-5),
    "group norm": reduced("normalise", "variance", "CHW", (12, 7, 33), 3, (RELU,), affine="C", eps=1e-5),
    "group norm, add": reduced("normalise", "variance", "CHW", (12, 7, 16), 4, (ADD, RELU), affine="C", eps=1e-5),
    "instance norm": reduced("normalise", "variance", "HW", (5, 46, 47), affine="C", eps=1e-5),
    "instance norm of a pixel": reduced("normalise", "variance", "HW", (5, 1, 1), eps=1e-5),
    "l2 of channels": reduced("normalise", "l2", "C", (33, 4, 17), eps=1e-12),
    "l2 of space": reduced("normalise", "l2", "HW", eps=1e-12),
    "l1 of channels": reduced("normalise", "l1", "C", eps=1e-12),
    "rms of tokens": reduced("normalise", "rms", "C", (48, 1, 50), affine="C", eps=1e-6),
}
SOFTMAXES = {
    **{f"softmax {axes}": reduced("softmax", "softmax", axes) for axes in ALL_AXES},
    "softmax of heatmaps": reduced("softmax", "softmax", "HW", (17, 64, 48)),
    "softmax of keys": reduced("softmax", "softmax", "C", (4 * 50, 1, 50), 4),
    "log softmax": reduced("softmax", "log_softmax", "C", (19, 3, 20)),
}
SUMS = {
    **{f"mean {axes}": reduced("reduce", "mean", axes) for axes in ALL_AXES},
    **{f"max {axes}": reduced("reduce", "max", axes) for axes in ALL_AXES},
    "min": reduced("reduce", "min", "CHW", epilogue=(RELU,)),
    "l1": reduced("reduce", "l1", "HW"),
    "l2": reduced("reduce", "l2", "C"),
    "variance": reduced("reduce", "variance", "HW", correction=1.0),
    "deviation": reduced("reduce", "deviation", "C"),
    "mean of blocks of channels": reduced("reduce", "mean", "C", (12, 5, 19), 4),
    "sum, add": reduced("reduce", "sum", "W", epilogue=(ADD,)),
    "mean of a large map": reduced("reduce", "mean", "CHW", (64, 40, 50)),
}
