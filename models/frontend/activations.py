"""The torch operators that are activations, each turned into "elementwise" Drafts of one step or several."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from models.frontend.arithmetic import clamp_step, constant_operand
from models.frontend.call import Answer, Call
from models.frontend.draft import Draft
from models.graph.layer import Step

#: of softplus: from here on log(1 + exp(x)) is x to 3e-7
LEAST_THRESHOLD = 15
#: Klambauer et al. 2017, "Self-normalizing neural networks"
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _steps(call: Call, *steps: Step) -> Draft:
    kind = next((step.kind for step in steps if step.kind != "affine"), "scale")
    return call.draft("elementwise", [call.tensor("self")], kind, epilogue=list(steps))


def _plain(kind: str) -> Callable[[Call], Draft]:
    return lambda call: _steps(call, Step(kind))


def _clamp(call: Call) -> Draft:
    """hardtanh, clamp, clamp_min, clamp_max, relu6, under whichever names their bounds go."""
    low, high = call.get("min", call.get("min_val")), call.get("max", call.get("max_val"))
    for bound in (low, high):
        if not isinstance(bound, int | float | None):
            raise call.refusal("its bounds must be numbers")
    return _steps(call, clamp_step(-math.inf if low is None else float(low), math.inf if high is None else float(high)))


def _elu(call: Call) -> Draft:
    """scale x above zero, scale alpha (exp(input_scale x) - 1) below: ELU, SELU and CELU."""
    scale, inner = float(call["scale"]), float(call["input_scale"])
    before = [] if inner == 1 else [Step("affine", (inner, 0.0))]
    after = [] if scale == inner else [Step("affine", (scale / inner, 0.0))]
    return _steps(call, *before, Step("elu", (float(call["alpha"]) * inner,)), *after)


def _selu(call: Call) -> Draft:
    return _steps(call, Step("elu", (SELU_ALPHA,)), Step("affine", (SELU_SCALE, 0.0)))


def _celu(call: Call) -> Draft:
    alpha = float(call["alpha"])
    around = [] if alpha == 1 else [Step("affine", (1 / alpha, 0.0)), Step("affine", (alpha, 0.0))]
    return _steps(call, *around[:1], Step("elu", (1.0,)), *around[1:])


def _leaky_relu(call: Call) -> Draft:
    return _steps(call, Step("leaky_relu", (float(call["negative_slope"]),)))


def _gelu(call: Call) -> Draft:
    return _steps(call, Step("gelu" if call["approximate"] == "none" else "gelu_tanh"))


def _softplus(call: Call) -> Answer:
    """log(1 + exp(beta x)) / beta; torch takes x itself from the threshold on, where the difference is rounding."""
    beta = float(call["beta"])
    if call["threshold"] < LEAST_THRESHOLD:
        raise call.refusal(f"threshold={call['threshold']} bends the curve; {LEAST_THRESHOLD} and more are supported")
    scaled = [] if beta == 1 else [Step("affine", (beta, 0.0)), Step("affine", (1 / beta, 0.0))]
    return _steps(call, *scaled[:1], Step("softplus"), *scaled[1:])


def _logsigmoid(call: Call) -> Answer:
    minus = Step("affine", (-1.0, 0.0))
    return _steps(call, minus, Step("softplus"), minus)


def _threshold(call: Call) -> Answer:
    return _steps(call, Step("threshold", (float(call["threshold"]), float(call["value"]))))


def _tanhshrink(call: Call) -> Answer:
    x = call.tensor("self")
    tanh = call.draft("elementwise", [x], "tanh", epilogue=[Step("tanh")])
    tanh.name, tanh.leaf = f"{call.name}.tanh", False
    return [tanh, call.draft("elementwise", [x, tanh.name], "sub", epilogue=[Step("sub")])]


def _rrelu(call: Call) -> Answer:
    """In eval mode a leaky ReLU of the mean slope."""
    if call.get("training"):
        raise call.refusal("random slopes are not supported", "call eval()")
    return _steps(call, Step("leaky_relu", ((float(call["lower"]) + float(call["upper"])) / 2,)))


def _prelu(call: Call) -> Answer:
    """One slope for all channels is a leaky ReLU; one for each is read from a tensor."""
    slope = call["weight"]
    if not isinstance(slope, np.ndarray):
        raise call.refusal("slopes that depend on the input are not supported")
    if (slope == slope.flat[0]).all():
        return _steps(call, Step("leaky_relu", (float(slope.flat[0]),)))
    return constant_operand("prelu", call, call.tensor("self"), slope.reshape(-1, 1, 1))


def _round(call: Call) -> Answer:
    if call.get("decimals"):
        raise call.refusal("decimals are not supported", "multiply, round, divide")
    return _steps(call, Step("round"))


#: operator name -> the function that turns its call into a draft
ACTIVATIONS: dict[str, Callable[[Call], Answer]] = {
    "relu": _plain("relu"),
    "relu6": _plain("relu6"),
    "hardtanh": _clamp,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "elu": _elu,
    "leaky_relu": _leaky_relu,
    "silu": _plain("silu"),
    "hardswish": _plain("hardswish"),
    "hardsigmoid": _plain("hardsigmoid"),
    "sigmoid": _plain("sigmoid"),
    "gelu": _gelu,
    "selu": _selu,
    "celu": _celu,
    "mish": _plain("mish"),
    "tanh": _plain("tanh"),
    "softplus": _softplus,
    "log_sigmoid": _logsigmoid,
    "softsign": _plain("softsign"),
    "threshold": _threshold,
    "tanhshrink": _tanhshrink,
    "rrelu": _rrelu,
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    **{name: _plain(name) for name in ("abs", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p")},
    **{name: _plain(name) for name in ("sin", "cos", "atan", "erf", "floor", "ceil", "trunc", "sign")},
    "round": _round,
}
