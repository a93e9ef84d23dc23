"""The convolutions of a .tflite file, by their numbers: what LiteRT's profiles are of, and do not say.

A .tflite file is a FlatBuffer (tensorflow/compiler/mlir/lite/schema/schema.fbs): tables whose fields are found by
offsets. Fields are read here one by one, each offset checked; weights are not looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fleetpose.errors import DataError
from latency.dataset.foreign.shapes import convolution, out_extent
from models.graph.layer import Layer

#: what stands behind the first four bytes of a .tflite file
IDENTIFIER = b"TFL3"
#: operators of the schema that multiply weights
CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV = 3, 4, 9, 67
NAMES = {
    CONV_2D: "CONV_2D",
    DEPTHWISE_CONV_2D: "DEPTHWISE_CONV_2D",
    FULLY_CONNECTED: "FULLY_CONNECTED",
    TRANSPOSE_CONV: "TRANSPOSE_CONV",
}
#: types of tensors in the schema that are real numbers
FLOATS = {0: "float32", 1: "float16"}
#: operators and axes that a model may have
MOST_OPERATORS, MOST_AXES = 100_000, 8
#: the padding that keeps sizes
SAME = 0
#: steps that the schema fuses into a convolution
ACTIVATIONS = {1: "relu", 3: "relu6"}


@dataclass(frozen=True)
class ModelOperator:
    """An operator with weights.

    Attributes:
        name: the schema's, "CONV_2D".
        layer: None where it is no layer of one picture in real numbers.
        steps: what is fused into it.
    """

    name: str
    layer: Layer | None
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Table:
    """A table of a FlatBuffer, at a place of its bytes."""

    content: bytes
    place: int

    def _field(self, number: int) -> int:
        """Where a field lies; 0 where it has its default."""
        vtable = self.place - _read(self.content, self.place, "<i")
        size = _read(self.content, vtable, "<H")
        offset = _read(self.content, vtable + 4 + 2 * number, "<H") if 4 + 2 * number < size else 0
        return self.place + offset if offset else 0

    def scalar(self, number: int, form: str, default: int) -> int:
        place = self._field(number)
        return _read(self.content, place, form) if place else default

    def table(self, number: int) -> _Table | None:
        place = self._field(number)
        return _Table(self.content, place + _read(self.content, place, "<I")) if place else None

    def tables(self, number: int, most: int = MOST_OPERATORS) -> list[_Table]:
        places = self._vector(number, most)
        return [_Table(self.content, place + _read(self.content, place, "<I")) for place in places]

    def integers(self, number: int, most: int = MOST_AXES) -> list[int]:
        return [_read(self.content, place, "<i") for place in self._vector(number, most)]

    def _vector(self, number: int, most: int) -> range:
        """Where the entries of a vector lie, four bytes each."""
        field = self._field(number)
        if not field:
            return range(0)
        start = field + _read(self.content, field, "<I")
        count = _read(self.content, start, "<I")
        if count > most:
            raise DataError(f"a list of {count} entries, more than {most}")
        return range(start + 4, start + 4 + 4 * count, 4)


def _read(content: bytes, place: int, form: str) -> int:
    if not 0 <= place <= len(content) - struct.calcsize(form):
        raise DataError("an offset leads out of the file; is it whole?")
    return int(struct.unpack_from(form, content, place)[0])


def read_operators(content: bytes) -> dict[int, ModelOperator]:
    """The operators with weights of a model's first graph, by their number. Raises DataError for no whole model."""
    model = _Table(content, _read(content, 0, "<I"))
    graphs = model.tables(2)
    if not graphs:
        raise DataError("it has no graph")
    codes = [max(code.scalar(0, "<b", 0), code.scalar(3, "<i", 0)) for code in model.tables(1)]
    tensors = graphs[0].tables(0)
    operators = {}
    for number, operator in enumerate(graphs[0].tables(3)):
        index = operator.scalar(0, "<I", 0)
        if index >= len(codes):
            raise DataError(f"operator {number} is of kind {index}, and there are {len(codes)}")
        if codes[index] in NAMES:
            operators[number] = _operator(codes[index], operator, tensors)
    return operators


def _operator(code: int, operator: _Table, tensors: list[_Table]) -> ModelOperator:
    named = (*operator.integers(1)[:2], *operator.integers(2)[:1])
    if len(named) != 3 or not all(0 <= place < len(tensors) for place in named) or code == TRANSPOSE_CONV:
        return ModelOperator(NAMES[code], None)
    data, weights, result = (tensors[place] for place in named)
    shapes = [tensor.integers(0) for tensor in (data, weights, result)]
    options = operator.table(4)
    if data.scalar(1, "<b", 0) not in FLOATS:
        return ModelOperator(NAMES[code], None)
    if code == FULLY_CONNECTED:
        return ModelOperator(NAMES[code], _product(shapes))
    activation = options.scalar(3 if code == CONV_2D else 4, "<b", 0) if options else 0
    layer = _convolution(code, shapes, options) if options and all(len(shape) == 4 for shape in shapes) else None
    return ModelOperator(NAMES[code], layer, (ACTIVATIONS[activation],) if activation in ACTIVATIONS else ())


def _product(shapes: list[list[int]]) -> Layer | None:
    """A product of a matrix and a vector, as a 1x1 convolution of one pixel; None of several vectors."""
    _, weights, result = shapes
    if len(weights) != 2 or not result or any(extent != 1 for extent in result[:-1]):
        return None
    return convolution(weights[1], (1, 1), weights[0], (1, 1), (1, 1))


def _convolution(code: int, shapes: list[list[int]], options: _Table) -> Layer | None:
    """Data and result are NHWC, weights OHWI, those of a depthwise convolution 1HWC. None of several pictures."""
    (batch, rows, columns, channels), weights, (_, out_rows, out_columns, filters) = shapes
    depthwise = code == DEPTHWISE_CONV_2D
    stride = (options.scalar(2, "<i", 0), options.scalar(1, "<i", 0))
    first = 6 if depthwise else 5
    dilation = (options.scalar(first, "<i", 1), options.scalar(first - 1, "<i", 1))
    kernel = (weights[1], weights[2])
    if batch != 1 or channels < 1 or weights[3] < 1:
        return None
    if options.scalar(0, "<b", SAME) != SAME:
        pairs = zip((rows, columns), kernel, stride, dilation, strict=True)
        if [out_extent(*values, (0, 0)) for values in pairs] != [out_rows, out_columns]:
            raise DataError("a convolution without padding whose output has another size")
    groups = channels if depthwise else channels // weights[3]
    return convolution(channels, (rows, columns), filters, (out_rows, out_columns), kernel, stride, dilation, groups)


def numbered(operators: dict[int, ModelOperator]) -> Iterator[tuple[int, ModelOperator]]:
    """The operators in their order."""
    return iter(sorted(operators.items()))
