"""The JSON of an exported program, looked through: every text in it is one that torch can only compute a network by.

torch looks names of operators up in its modules, writes names of values into Python code that it runs, evaluates shapes
and imports types of containers. So each kind of text has a form here, and what has another form is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from fleetpose.codec import decode, parse_json
from fleetpose.codec.text import TextLimits
from fleetpose.errors import quoted
from models.zoo.stored.expressions import check_expression
from models.zoo.stored.pickles import MayRunCode

PROGRAM = TextLimits(size=256 << 20, depth=96)
#: containers that inputs and outputs may be in
CONTAINERS = (
    *("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"),
    *("torch.fx.immutable_collections.immutable_list", "torch.fx.immutable_collections.immutable_dict"),
)
#: functions of Python and torch on sides; powers and shifts, whose results may be endless, are not among them
SIDES = frozenset(
    (
        *(f"_operator.{name}" for name in ("eq", "ne", "le", "ge", "lt", "gt", "neg", "pos", "mul", "add", "sub")),
        *(f"_operator.{name}" for name in ("floordiv", "mod", "truediv", "and_", "or_", "getitem")),
        *(f"math.{name}" for name in ("trunc", "ceil", "floor")),
        *(f"torch.sym_{name}" for name in ("not", "int", "float", "ite", "max", "min")),
    )
)
HIGHER_ORDER = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
#: operators of torch that read or write files, or change what memory a tensor has
REFUSED = frozenset(
    ("from_file", "save", "load", "set", "set_", "set_data", "data", "resize", "resize_", "resize_as", "resize_as_",
     "manual_seed", "record_stream", "set_grad_enabled")
)  # fmt: skip
#: those of its internal operators that exported networks have
INTERNAL = re.compile(
    r"_(to_copy|unsafe_view|reshape_alias|softmax|log_softmax|safe_softmax|native_batch_norm_legit\w*|native_multi_head_"
    r"attention|adaptive_avg_pool[23]d|scaled_dot_product_\w+|transformer_encoder_layer_fwd|upsample_\w+|weight_norm\w*"
    r"|prelu_kernel|assert_\w+|local_scalar_dense|shape_as_tensor|fft_\w+|linalg_\w+|trilinear|convolution\w*|unsafe_index"
    r"|conj|neg_view|fused_moving_avg_obs_fq_helper|euclidean_dist|cdist_forward|stack|cat|pad_circular|pad_enum)"
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.([a-z_][a-z0-9_]{0,80})\.[A-Za-z0-9_]{1,80}")
_NAME, _PATH = re.compile(r"\w{0,400}", re.ASCII), re.compile(r"[\w.+<>=:\[\]-]{0,400}", re.ASCII)
#: "key,path,type;...", where paths may be "L['self']._modules['0']"
_STACK = re.compile(r"[\w.,;@\[\]'()<>:/ -]{0,20000}", re.ASCII)


def checked_program(content: bytes, where: str) -> bytes:
    """The JSON of a program, or of its tensors, with what torch needs of it.

    Raises DataError, which begins with a verb or with `where` the JSON is, for what is, or may be, code.
    """
    program = decode(dict[str, Any], parse_json(content, PROGRAM, f"has JSON {where} that"), where)
    return json.dumps(_entries(program), allow_nan=False).encode()


def _value(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return _metadata(value) if key == "metadata" else _entries(value, key)
    if isinstance(value, list):
        return [] if key == "guards_code" else [_value(entry, key) for entry in value]
    if isinstance(value, str):
        _CHECKS.get(key, _check_path)(value)
    return value


def _entries(values: dict[str, Any], of: str = "") -> dict[str, Any]:
    check = check_expression if of == "range_constraints" else _check_path
    for key in values:
        check(key)
    return {key: _value(value, key) for key, value in values.items()}


def _metadata(values: dict[str, Any]) -> dict[str, Any]:
    """Of what was noted beside an operator, the modules that it was called in and the lines of source."""
    kept: dict[str, Any] = {name: values[name] for name in ("nn_module_stack", "stack_trace") if name in values}
    decode(dict[str, str], kept, "metadata")
    if not _STACK.fullmatch(kept.get("nn_module_stack", "")):
        raise MayRunCode(f"has modules called {quoted(kept['nn_module_stack'])}")
    return kept


def _check_path(text: str) -> None:
    if not _PATH.fullmatch(text):
        raise MayRunCode(f"has a name {quoted(text)}, which no exported network has")


def _check_name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise MayRunCode(f"has a value called {quoted(text)}, which no exported network has")


def _check_operator(text: str) -> None:
    if text in SIDES or text.removeprefix("torch.ops.higher_order.") in HIGHER_ORDER:
        return
    named = _OPERATOR.fullmatch(text)
    name = named[1] if named else ""
    if not name or name in REFUSED or (name.startswith("_") and not INTERNAL.fullmatch(name)):
        raise MayRunCode(f"calls {quoted(text)}, which is none of torch's operators on tensors")


def _check_argument(text: str) -> None:
    if len(text) > 400 or not text.isprintable():
        raise MayRunCode(f"has an argument {quoted(text)}")


def _check_containers(text: str) -> None:
    """How inputs or outputs lie in containers: [1, {"type", "context", "children_spec"}], as JSON in JSON."""
    if not text:
        return
    version, spec = decode(tuple[int, dict[str, Any]], parse_json(text, PROGRAM, "a container"), "a container")
    waiting = [spec] if version == 1 else []
    if not waiting:
        raise MayRunCode(f"has containers of version {version}")
    while waiting:
        spec = waiting.pop()
        waiting += decode(list[dict[str, Any]], spec.get("children_spec"), "children_spec")
        kind, context = spec.get("type"), spec.get("context")
        if kind not in (None, *CONTAINERS):
            raise MayRunCode(f"takes or gives a {quoted(kind)}, not tuples, lists and dicts")
        if context is not None:
            _check_context(parse_json(decode(str, context, "context"), PROGRAM, "a container's context"))


def _check_context(context: Any) -> None:
    """The keys of a dict; nothing of other containers."""
    if context is not None and not (isinstance(context, list) and all(type(key) in (str, int) for key in context)):
        raise MayRunCode(f"has a container with {quoted(context)}, which are no keys")


_CHECKS: dict[str, Callable[[str], None]] = {
    **dict.fromkeys(("name", "as_name", "forward_arg_names", "user_input_name"), _check_name),
    **dict.fromkeys(("target", "as_operator"), _check_operator),
    **dict.fromkeys(("as_string", "as_strings"), _check_argument),
    **dict.fromkeys(("in_spec", "out_spec"), _check_containers),
    "expr_str": check_expression,
}
