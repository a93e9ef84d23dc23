"""What of a network's layers is float32 though it is built in half precision, and why.

On disk it is `widening.json`:

    {"format": "fleetpose.widening/1", "model": "openpose", "photographs": 8,
     "layers": {"stage1.heatmaps.0": {"widened": "sums", "products": 9065, "largest": 31.2, "error": 0.021}, ...}}

`codegen.widen` writes these; what builds by one reads "widened" only, so that a file may be written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError, one_line, unknown_name
from fleetpose.files import read_json, write_json
from fleetpose.json_fields import NotNegative, NotNegativeInt, in_json
from models.graph.network import Graph, Widened

FORMAT = "fleetpose.widening/1"
#: half sums may err by so much of the largest value of their layer. 2,048 products of random signs err by as much;
#: 4,608 in one sum by 1.9 %, most of the 2 % that kernels in half precision keep to
MOST_ERROR = 0.015
#: half sums are no larger on the photographs: an eighth of half's range, which leaves a factor of four for what
#: Winograd's transforms make of a sum, and two for other photographs
MOST_SUM = 65504 / 8
#: in place of a file: what of every convolution is float32
OF_ALL: dict[str, Widened] = {"nothing": "", "sums": "sums", "products": "products"}
WIDEN_HELP = (
    "what of convolutions is float32 in half precision: a file of codegen.widen, or nothing, sums, or products (and "
    "sums) of all (default: the sums that have 2,048 products or more)"
)


@dataclass(frozen=True)
class LayerPrecision:
    """What is float32 of a convolution.

    Attributes:
        widened: "" (nothing), "sums", or "products" and sums.
        products: of a sum.
        largest: that no partial sum exceeded on the photographs, whatever its order; None: not measured.
        error: how far half sums were from exact ones, over the largest value of the layer; None: not measured, or one
            of them overflowed.
    """

    widened: Widened
    products: NotNegativeInt = field(default=0, metadata=in_json(omit=True))
    largest: NotNegative | None = field(default=None, metadata=in_json(omit=True))
    error: NotNegative | None = field(default=None, metadata=in_json(omit=True))

    @classmethod
    def of(cls, products: int, largest: float, error: float) -> LayerPrecision:
        """The choice that follows from what was measured; `error` is infinite where a half sum overflowed."""
        known = error if error < float("inf") else None
        if known is None or largest > MOST_SUM:
            return cls("products", products, largest, known)
        return cls("sums" if error > MOST_ERROR else "", products, largest, known)


@dataclass(frozen=True)
class Widening:
    """The choice for a network.

    Attributes:
        model: the network's name.
        layers: by layer name; convolutions that are not there compute in half precision.
        photographs: how many were looked at.
    """

    model: str
    layers: Mapping[str, LayerPrecision]
    photographs: NotNegativeInt = 0

    @property
    def widened(self) -> dict[str, Widened]:
        """Of the layers of which anything is float32, what."""
        return {name: layer.widened for name, layer in self.layers.items() if layer.widened}

    def on(self, graph: Graph) -> Graph:
        """A graph by this choice; as it is, so that length decides, where no photographs were looked at."""
        return replace(graph, widened=self.widened) if self.photographs else graph

    def check(self, graph: Graph) -> None:
        """Raise UsageError for a layer that is no convolution of the graph."""
        known = convolutions(graph)
        for name in self.layers:
            if name not in known:
                raise unknown_name(f"convolution of {one_line(graph.name)}", name, known)

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the choice. Raises UsageError where the file exists and `force` is false, or cannot be written."""
        write_json(path, {"format": FORMAT, **encode(self)}, force=force, indent=2)

    @staticmethod
    def load(path: Path | str, model: str) -> Widening:
        """Read a choice. Raises UsageError, with the path, where there is none, or one of another network."""
        values: dict[str, Any] = dict(read_json(path, "widening", FORMAT))
        values.pop("format")
        choice = decode(Widening, values, str(path))
        if choice.model != model:
            raise UsageError(f"{path} is of {one_line(choice.model)}, not of {model}")
        return choice


def convolutions(graph: Graph) -> list[str]:
    """Names of the layers that may be widened: convolutions that are not transposed."""
    return [layer.name for layer in graph.layers if layer.convolves]


def widening_file(text: str | None) -> Path | None:
    """The file that a --widen flag names, if it names one."""
    return None if text is None or text in OF_ALL else Path(text)


def widen(graph: Graph, text: str) -> Graph:
    """The graph by a --widen flag. Raises UsageError as `Widening.load` and `Widening.check`."""
    if (file := widening_file(text)) is None:
        return replace(graph, widened=dict.fromkeys(convolutions(graph), OF_ALL[text]))
    choice = Widening.load(file, graph.name)
    choice.check(graph)
    return replace(graph, widened=choice.widened)
