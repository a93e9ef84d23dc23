"""Layers for every schedule, each with the sparsities that have schedules of their own, and profiles of their kinds."""

from dataclasses import replace

from devices.profile import Profile
from models.graph.layer import Layer, Step
from models.plans.sparsity import Sparsity
from tests.host import rearrange_cases, reduction_cases
from tests.host.kernel_cases import ADD, CONVOLUTIONS, GATED, MOVES, POOLS, RELU, window
from tests.host.test_fallback import CALLS
from tests.host.test_matmul import PRODUCTS
from tests.host.test_transposed import CASES as TRANSPOSED

WIDE = window("conv", (64, 64), (14, 19), (3, 3), epilogue=(RELU,))
POINTS = window("conv", (96, 64), (14, 19), epilogue=(ADD, RELU))
ACTIVATIONS = ("silu", "hardswish", "gelu", "sigmoid", "mish", "softplus", "exp", "tanh", "elu")


def activated(kind: str) -> Layer:
    return window("conv", (19, 24), (9, 13), epilogue=(Step(kind, (1.3,) if kind == "elu" else ()),))


#: by name, a layer and its sparsity
HALF_CASES: dict[str, tuple[Layer, Sparsity | None]] = {
    "3x3": (WIDE, None),
    "1x1": (POINTS, None),
    **{
        name: (CONVOLUTIONS[name], None)
        for name in (
            *("3x3 145 to 88", "3x3 stride 2", "3x3 groups 4", "3x3 dilation 2", "1x1 stride 2", "5x5", "one filter"),
            *("1x1 185 to 38", "depthwise 3x3", "depthwise 3x3 stride 2", "depthwise add", "add relu add"),
        )
    },
    **{f"3x3 gate {name}": (GATED[name], None) for name in ("3x3", "depthwise")},
    **{name: (POOLS[name], None) for name in POOLS},
    **{name: (MOVES[name], None) for name in MOVES},
    **{f"moves {name}": (rearrange_cases.MOVES[name], None) for name in list(rearrange_cases.MOVES)[::4]},
    **{name: (layer, None) for name, layer in list(reduction_cases.NORMS.items())[::4]},
    **{name: (layer, None) for name, layer in list(reduction_cases.SOFTMAXES.items())[::3]},
    **{name: (layer, None) for name, layer in list(reduction_cases.SUMS.items())[::4]},
    **{f"transposed {name}": (layer, None) for name, layer in list(TRANSPOSED.items())[::2]},
    **{f"product {name}": (layer, None) for name, layer in list(PRODUCTS.items())[::2]},
    **{f"fallback {name}": (layer, None) for name, layer in list(CALLS.items())[::2]},
    **{f"then {kind}": (activated(kind), None) for kind in ACTIVATIONS},
    **{
        f"{kind} {text}": (layer, Sparsity.parse(text))
        for kind, layer, texts in (
            ("3x3", WIDE, ("columns:0.5:4x1", "block_punched:0.75:8x4", "pattern:0.75", "connectivity:0.75:4x4")),
            ("1x1", POINTS, ("columns:0.75:8x1", "block_punched:0.5:8x4")),
        )
        for text in texts
    },
}


def profiles(own: Profile) -> dict[str, Profile]:
    """This machine's profile, and what kernels for phones are shaped by: narrow vectors, work-groups, images."""
    return {
        "cpu": own,
        "mali": replace(own, gpu="mali", lanes=4, accumulators=16, work_group=5, image2d=False),
        "adreno": replace(own, gpu="adreno", lanes=4, accumulators=24, work_group=64),
    }
