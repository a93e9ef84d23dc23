"""The torch operators that are activations, each turned into an "elementwise" Draft of one step."""

from __future__ import annotations

from collections.abc import Callable

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.graph.layer import Step

FLOAT32_MAX = 3.4028234663852886e38


def _step(call: Call, step: Step) -> Draft:
    return call.draft("elementwise", [call.tensor("self")], step.kind, epilogue=[step])


def _plain(kind: str) -> Callable[[Call], Draft]:
    return lambda call: _step(call, Step(kind))


def _clamp(call: Call) -> Draft:
    """hardtanh, clamp, clamp_min, clamp_max, relu6, under whichever names their bounds go."""
    low, high = call.get("min", call.get("min_val")), call.get("max", call.get("max_val"))
    for bound in (low, high):
        if not isinstance(bound, int | float | None):
            raise call.refusal("its bounds must be numbers")
    if low == 0 and high is None:
        return _step(call, Step("relu"))
    if low == 0 and high == 6:
        return _step(call, Step("relu6"))
    # A bound that is absent or infinite becomes float32's own, so that a Step stays finite (and JSON).
    lower = -FLOAT32_MAX if low is None else max(float(low), -FLOAT32_MAX)
    upper = FLOAT32_MAX if high is None else min(float(high), FLOAT32_MAX)
    return _step(call, Step("hardtanh", (lower, upper)))


def _elu(call: Call) -> Draft:
    if call["scale"] != 1 or call["input_scale"] != 1:
        raise call.refusal("a scaled ELU (SELU, CELU) is not supported")
    return _step(call, Step("elu", (float(call["alpha"]),)))


def _leaky_relu(call: Call) -> Draft:
    return _step(call, Step("leaky_relu", (float(call["negative_slope"]),)))


def _gelu(call: Call) -> Draft:
    if call["approximate"] != "none":
        raise call.refusal(f"approximate={call['approximate']!r} is not supported; only the exact GELU is")
    return _step(call, Step("gelu"))


def _mul(call: Call) -> Draft:
    """Only x * sigmoid(x) and x * hardsigmoid(x), which are activations."""
    gates = {"sigmoid": "silu", "hardsigmoid": "hardswish"}
    for x, gate in ((call["self"], call["other"]), (call["other"], call["self"])):
        maker = call.made_by.get(gate) if isinstance(gate, str) else None
        if maker is not None and maker.op in gates and maker["self"] == x:
            step = Step(gates[maker.op])
            return call.draft("elementwise", [x], step.kind, epilogue=[step])
    raise call.refusal("products are not supported, but for x * sigmoid(x) and x * hardsigmoid(x)")


#: operator name -> the function that turns its call into a draft
ACTIVATIONS: dict[str, Callable[[Call], Draft]] = {
    "relu": _plain("relu"),
    "relu6": _plain("relu6"),
    "hardtanh": _clamp,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "elu": _elu,
    "leaky_relu": _leaky_relu,
    "silu": _plain("silu"),
    "hardswish": _plain("hardswish"),
    "hardsigmoid": _plain("hardsigmoid"),
    "sigmoid": _plain("sigmoid"),
    "gelu": _gelu,
    "mul": _mul,
}
