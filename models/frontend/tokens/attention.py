"""The torch operators that multiply tensors: matmul, bmm, addmm, baddbmm, einsum, scaled_dot_product_attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod, sqrt
from typing import Any

import numpy as np

from models.frontend.call import Call
from models.frontend.tokens.joining import place_array
from models.frontend.tokens.linear import apply_linear, conv1d, linear
from models.frontend.tokens.products import multiply
from models.frontend.tokens.reader import TensorReader, as_view
from models.frontend.views.view import TensorView

#: what stands for minus infinity in a mask: the exponential of it is zero, and zero times it is no NaN
MASKED = -1e30

Operator = Callable[[Call, TensorReader], Any]


def _matmul(call: Call, reader: TensorReader, first: str = "self", second: str = "other") -> Any:
    """torch.matmul; a constant matrix on either side is a linear layer's weight."""
    left, right = call[first], call[second]
    if isinstance(right, np.ndarray) and right.ndim <= 2:
        view = as_view(call, reader, first)
        weight = right.reshape(right.shape[0], -1).T
        result = apply_linear(call, reader, view, weight, None)
        return result if right.ndim == 2 else result.select(result.rank - 1, 0)
    if isinstance(left, np.ndarray) and left.ndim == 2:
        view = as_view(call, reader, second)
        if view.rank == 1:
            return apply_linear(call, reader, view, left, None)
        return _turn(apply_linear(call, reader, _turn(view), left, None))
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        raise call.refusal("a product with a constant of more than two axes is not supported")
    views = [as_view(call, reader, name) for name in (first, second)]
    vectors = [view.rank == 1 for view in views]
    a, b = (views[0].insert(0) if vectors[0] else views[0]), (views[1].insert(1) if vectors[1] else views[1])
    result = multiply(call, reader, a, b)
    if vectors[1]:
        result = result.select(result.rank - 1, 0)
    return result.select(result.rank - (1 if vectors[1] else 2), 0) if vectors[0] else result


def _turn(view: TensorView) -> TensorView:
    """The last two axes exchanged."""
    order = list(range(view.rank))
    return view.permute([*order[:-2], order[-1], order[-2]])


def _bmm(call: Call, reader: TensorReader) -> Any:
    return _matmul(call, reader, "self", "mat2")


def _added(call: Call, reader: TensorReader, first: str, second: str) -> Any:
    """beta x self + alpha x first @ second."""
    addend = _times(call, reader, call["self"], float(call.get("beta", 1)))
    product = multiply(
        replace(call, name=f"{call.name}.product", op="matmul"),
        reader,
        as_view(call, reader, first),
        as_view(call, reader, second),
        float(call.get("alpha", 1)),
    )
    if addend is None:
        return product
    return reader.read(_named(call, call.name, "add", self=product, other=addend, alpha=1))


def _times(call: Call, reader: TensorReader, value: Any, factor: float) -> Any:
    """A tensor times a number; None for no tensor, where the number is zero."""
    if factor in (0, 1):
        return value if factor else None
    if isinstance(value, np.ndarray):
        return value * factor
    scaled = _named(call, f"{call.name}.scaled", "mul", self=value, other=factor)
    return reader.read(replace(scaled, sizes=_viewed(value, reader).sizes))


def _addmm(call: Call, reader: TensorReader) -> Any:
    weight, bias = call["mat2"], call["self"]
    plain = call.get("beta", 1) == 1 and call.get("alpha", 1) == 1
    if isinstance(weight, np.ndarray) and isinstance(bias, np.ndarray) and plain and bias.size == weight.shape[1]:
        return apply_linear(call, reader, as_view(call, reader, "mat1"), weight.T, bias)
    return _added(call, reader, "mat1", "mat2")


def _baddbmm(call: Call, reader: TensorReader) -> Any:
    return _added(call, reader, "batch1", "batch2")


def _named(call: Call, name: str, op: str, **arguments: Any) -> Call:
    """A call of another operator that is part of one."""
    return replace(call, name=name, op=op, arguments=arguments)


def _attention(call: Call, reader: TensorReader) -> Any:
    """softmax(query @ key^T x scale + mask) @ value."""
    if call.get("dropout_p"):
        raise call.refusal("dropout in training mode is not supported", "call eval()")
    query, key, value = (_attended(call, reader, number) for number in range(3))
    if call.get("enable_gqa"):
        repeats = query.sizes[-3] // key.sizes[-3]
        key, value = (view.take(view.rank - 3, np.repeat(np.arange(view.sizes[-3]), repeats)) for view in (key, value))
    scale = call.get("scale")
    scale = 1 / sqrt(query.sizes[-1]) if scale is None else float(scale)
    scores: Any = multiply(_named(call, f"{call.name}.scores", "matmul"), reader, query, _turn(key), scale)
    sizes = scores.sizes
    mask = _mask(call, query.sizes[-2], key.sizes[-2])
    if mask is not None:
        masked = _named(call, f"{call.name}.masked", "add", self=scores, other=mask, alpha=1)
        scores = reader.read(replace(masked, sizes=sizes))
    weights = _named(call, f"{call.name}.weights", "softmax", self=scores, dim=-1)
    attention = reader.read(replace(weights, sizes=sizes))
    return multiply(_named(call, call.name, "matmul"), reader, _viewed(attention, reader), value)


def _attended(call: Call, reader: TensorReader, number: int) -> TensorView:
    """Query, key or value, also one that is learned, as of a decoder's first layer: its features in channels."""
    name = ("query", "key", "value")[number]
    array = call[name]
    if not isinstance(array, np.ndarray):
        return as_view(call, reader, name)
    *front, tokens, features = range(array.ndim)
    return place_array(call, reader, array, number, ((*front, features), (), (tokens,)))


def _viewed(value: Any, reader: TensorReader) -> TensorView:
    return TensorView.of(value, reader.placing.shapes[value]) if isinstance(value, str) else value


def _mask(call: Call, queries: int, keys: int) -> Any:
    """What is added to the scores, a constant or a tensor of the network; None where nothing is."""
    mask = call.get("attn_mask")
    if call.get("is_causal"):
        mask = np.tril(np.ones((queries, keys), bool))
    if not isinstance(mask, np.ndarray):
        return mask
    return np.where(mask, 0.0, MASKED) if mask.dtype == bool else np.maximum(mask, MASKED)


def _einsum(call: Call, reader: TensorReader) -> Any:
    """Of two tensors each of whose letters is in the result or is summed over in both; of one, a permutation."""
    equation = call["equation"].replace(" ", "")
    operands, target = call["tensors"], equation.partition("->")[2]
    letters = equation.partition("->")[0].split(",")
    if "->" not in equation or "." in equation or any(len(set(word)) < len(word) for word in letters):
        raise call.refusal(f"the equation {call['equation']!r} is not supported", "write it with matmul")
    views = {str(i): value for i, value in enumerate(operands)}
    named = replace(call, arguments={**call.arguments, **views})
    if len(operands) == 1 and sorted(letters[0]) == sorted(target):
        return as_view(named, reader, "0").permute([letters[0].index(letter) for letter in target])
    if len(operands) != 2 or not (set(letters[0]) ^ set(letters[1])) <= set(target):
        raise call.refusal(f"the equation {call['equation']!r} is not supported", "write it with matmul")
    first, second = letters
    batch = [letter for letter in target if letter in first and letter in second]
    rows = [letter for letter in target if letter in first and letter not in second]
    columns = [letter for letter in target if letter not in first]
    depth = [letter for letter in first if letter in second and letter not in target]
    a, b = (
        _laid_out(named, reader, "0", first, batch, rows, depth),
        _laid_out(named, reader, "1", second, batch, depth, columns),
    )
    extents = {
        letter: size
        for word, value in zip(letters, operands, strict=True)
        for letter, size in _sizes(word, value, reader)
    }
    result = _product_of(named, reader, a, b)
    sizes = [extents[letter] for letter in (*batch, *rows, *columns)]
    view = reader.placing.reshape(result, sizes, call)
    order = [*batch, *rows, *columns]
    return view.permute([order.index(letter) for letter in target])


def _sizes(word: str, value: Any, reader: TensorReader) -> list[tuple[str, int]]:
    sizes = value.shape if isinstance(value, np.ndarray) else _viewed(value, reader).sizes
    return list(zip(word, sizes, strict=True))


def _laid_out(
    call: Call, reader: TensorReader, argument: str, word: str, batch: list[str], rows: list[str], columns: list[str]
) -> Any:
    """An operand as (batch..., rows joined, columns joined)."""
    value, order = call[argument], [word.index(letter) for letter in (*batch, *rows, *columns)]
    sizes = dict(_sizes(word, value, reader))
    joined = [*(sizes[letter] for letter in batch), prod(sizes[r] for r in rows), prod(sizes[c] for c in columns)]
    if isinstance(value, np.ndarray):
        return value.transpose(order).reshape(joined)
    return reader.placing.reshape(_viewed(value, reader).permute(order), joined, call)


def _product_of(call: Call, reader: TensorReader, a: Any, b: Any) -> Any:
    return _viewed(_matmul(_named(call, call.name, "einsum", self=a, other=b), reader), reader)


#: operator name -> the function that reads its call
PRODUCTS: dict[str, Operator] = {
    "linear": linear,
    "conv1d": conv1d,
    "matmul": _matmul,
    "mm": _bmm,
    "bmm": _bmm,
    "addmm": _addmm,
    "baddbmm": _baddbmm,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
}
