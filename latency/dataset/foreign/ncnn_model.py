"""ncnn's .param files: a network's layers, and their sizes as far as they follow from those of its inputs.

The format is that of ncnn's documents "param and model file structure" and "operators": 7767517, the numbers of layers
and tensors, then a line for each layer: type, name, how many tensors it reads and makes, their names, and parameters
as number=value, arrays as -23300-number=count,values. Sizes are (columns, rows, channels). Behind a layer whose result
is not known here sizes are not known either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from fleetpose.errors import DataError, UsageError
from latency.dataset.content import text_of
from latency.dataset.foreign.shapes import convolution, out_extent
from latency.dataset.rows import LARGEST_NUMBER
from models.graph.layer import Layer

#: what a .param file begins with
MAGIC = "7767517"
#: numbers that arrays of parameters begin at, and the one that stands for "as the others" or "keep the size"
ARRAYS, SAME_UPPER, SAME_LOWER = -23300, -233, -234
#: types whose result has the size of what they read
KEEPING = (
    *("AbsVal", "BatchNorm", "Bias", "BNLL", "Cast", "Clip", "Dropout", "ELU", "Eltwise", "GELU", "HardSigmoid"),
    *("HardSwish", "InstanceNorm", "LRN", "Mish", "Noop", "Normalize", "Packing", "Power", "PReLU", "ReLU", "Scale"),
    *("SELU", "ShuffleChannel", "Sigmoid", "Softmax", "Split", "Swish", "TanH", "UnaryOp"),
)

Size = tuple[int, int, int]
Parameters = dict[int, list[float]]


@dataclass(frozen=True)
class NcnnLayer:
    """A layer of a network: what it is, where it is a convolution of known size, and how many elements it writes."""

    layer: Layer | None
    written: float


def read_network(content: bytes, path: str) -> dict[str, NcnnLayer]:
    """The layers of a .param file by name. Raises UsageError for a file that is damaged."""
    sizes: dict[str, Size | None] = {}
    layers: dict[str, NcnnLayer] = {}
    for number, line in enumerate(text_of(content, path).splitlines(), 1):
        words = line.split()
        if number < 3 or not words:
            continue
        try:
            kind, name, sources, results, parameters = _parse(words)
            known = [sizes.get(source) for source in sources]
            result_sizes, layer = _apply(kind, known, parameters, len(results))
        except (DataError, ValueError, OverflowError) as error:
            raise UsageError(f"{path}, line {number}: {error}") from error
        sizes.update(zip(results, result_sizes, strict=True))
        layers[name] = NcnnLayer(layer, float(sum(prod(size) for size in result_sizes if size)))
    return layers


def _parse(words: Sequence[str]) -> tuple[str, str, Sequence[str], Sequence[str], Parameters]:
    if len(words) < 4 or not (words[2].isdecimal() and words[3].isdecimal()) or len(words[2] + words[3]) > 8:
        raise DataError("no layer of a .param file: TYPE NAME INPUTS OUTPUTS ...")
    inputs, outputs = int(words[2]), int(words[3])
    names, settings = words[4 : 4 + inputs + outputs], words[4 + inputs + outputs :]
    if len(names) != inputs + outputs:
        raise DataError(f"it names {len(names)} tensors, and should {inputs + outputs}")
    parameters: Parameters = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            number = int(key[:12])
            values = [float(part[:40]) for part in value.split(",") if part and not part.startswith('"')]
        except ValueError as error:
            raise DataError(f"{setting!r:.80} is not NUMBER=VALUE") from error
        parameters[ARRAYS - number if number <= ARRAYS else number] = values[1:] if number <= ARRAYS else values
    return words[0], words[1], names[:inputs], names[inputs:], parameters


def _number(parameters: Parameters, key: int, default: int = 0) -> int:
    values = parameters.get(key)
    number = int(values[0]) if values else default
    if abs(number) > LARGEST_NUMBER:
        raise DataError(f"parameter {key} is {number}, more than {LARGEST_NUMBER}")
    return number


def _apply(
    kind: str, known: Sequence[Size | None], parameters: Parameters, count: int
) -> tuple[list[Size | None], Layer | None]:
    """The sizes of `count` results, None where not known, and the layer where it is a convolution of known size."""
    first = known[0] if known else None
    if kind in ("Input", "MemoryData"):
        size = tuple(_number(parameters, key) for key in range(3))
        return [size if min(size) > 0 else None] * count, None  # type: ignore[list-item]
    if first is None:
        return [None] * count, None
    if kind in ("Convolution", "ConvolutionDepthWise", "InnerProduct"):
        layer = _product(first, parameters) if kind == "InnerProduct" else _convolution(first, parameters)
        filters, rows, columns = layer.out_shape
        return [(columns, rows, filters)] * count, layer
    if kind in KEEPING:
        return [first] * count, None
    if kind == "Slice":
        return _slices(first, parameters, count), None
    return [_moved(kind, first, known, parameters)] * count, None


def _convolution(size: Size, parameters: Parameters) -> Layer:
    """Parameters 0 to 7 and 11 to 16: filters, kernel, dilation, stride, padding, bias, weights, groups."""
    columns, rows, channels = size
    kernel, dilation, stride = (
        (_number(parameters, 10 + key, _number(parameters, key, 1)), _number(parameters, key, 1)) for key in (1, 2, 3)
    )
    left = _number(parameters, 4)
    top = _number(parameters, 14, left)
    pads = (top, _number(parameters, 16, top)), (left, _number(parameters, 15, left))
    out = [
        _extent(extent, reach, step, apart, around)
        for extent, reach, step, apart, around in zip((rows, columns), kernel, stride, dilation, pads, strict=True)
    ]
    filters, groups = _number(parameters, 0), _number(parameters, 7, 1)
    return convolution(channels, (rows, columns), filters, (out[0], out[1]), kernel, stride, dilation, groups)


def _extent(size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]) -> int:
    """Positions of the output along an axis."""
    if stride < 1:
        raise DataError(f"a stride of {stride}")
    if pads[0] in (SAME_UPPER, SAME_LOWER):
        return ceil(size / stride)
    return out_extent(size, kernel, stride, dilation, pads)


def _product(size: Size, parameters: Parameters) -> Layer:
    """A fully connected layer of all that it reads, as a 1x1 convolution of one pixel."""
    return convolution(prod(size), (1, 1), _number(parameters, 0), (1, 1), (1, 1))


def _slices(size: Size, parameters: Parameters, count: int) -> list[Size | None]:
    """Parts along channels; None where they are along another axis."""
    parts = [int(part) for part in parameters.get(0, [])]
    if _number(parameters, 1) or len(parts) != count:
        return [None] * count
    sizes, left = [], size[2]
    for place, part in enumerate(parts):
        channels = left // (count - place) if part == SAME_UPPER else part
        if not 0 < channels <= left:
            return [None] * count
        sizes.append((size[0], size[1], channels))
        left -= channels
    return [*sizes]


def _moved(kind: str, size: Size, known: Sequence[Size | None], parameters: Parameters) -> Size | None:
    """The size that other layers make of theirs; None where it is not known here."""
    columns, rows, channels = size
    if any(other is None for other in known):
        return None
    sizes = [other for other in known if other is not None]
    if kind == "BinaryOp":
        return max(sizes, key=prod)
    if kind == "Concat" and not _number(parameters, 0):
        return columns, rows, sum(other[2] for other in sizes)
    if kind == "Padding":
        top, bottom, left, right = (_number(parameters, key) for key in range(4))
        return columns + left + right, rows + top + bottom, channels
    if kind == "Interp":
        down, across = (parameters.get(key, [1.0])[0] for key in (1, 2))
        high, wide = _number(parameters, 3), _number(parameters, 4)
        return (wide, high, channels) if high and wide else (int(columns * across), int(rows * down), channels)
    return _pooled(size, parameters) if kind == "Pooling" and not _number(parameters, 7) else None


def _pooled(size: Size, parameters: Parameters) -> Size:
    """Parameters 1 to 5 and 11 to 15: kernel, stride, padding, whether it is global, and how its edges count."""
    columns, rows, channels = size
    if _number(parameters, 4):
        return 1, 1, channels
    kernel = (_number(parameters, 1), _number(parameters, 11, _number(parameters, 1)))
    stride = (_number(parameters, 2, 1), _number(parameters, 12, _number(parameters, 2, 1)))
    left = _number(parameters, 3)
    top = _number(parameters, 13, left)
    pads = (left, _number(parameters, 14, left)), (top, _number(parameters, 15, top))
    mode, sides = _number(parameters, 5), []
    for extent, reach, step, around in zip((columns, rows), kernel, stride, pads, strict=True):
        whole = _extent(extent, reach, step, 1, around)
        room = extent + sum(around) - reach
        sides.append(ceil(extent / step) if mode in (2, 3) else whole + (mode == 0 and room % step > 0))
    return sides[0], sides[1], channels
