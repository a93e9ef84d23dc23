"""The groupings by name, behind one interface: a network's outputs by name -> people.

A grouping is imported when it first decodes, so that PAF grouping does not wait for SciPy.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fleetpose.errors import UsageError, unknown_name
from models.pose.person import Person
from models.preprocess import Placement, Size

Outputs = Mapping[str, np.ndarray]


class Decoder(Protocol):
    """What turns outputs into people.

    name: as given to `decoder`. outputs: names of the outputs it reads; optional: of those it reads if they are there.
    """

    @property
    def name(self) -> str: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def optional(self) -> tuple[str, ...]: ...

    def decode(self, outputs: Outputs, size: Size | Placement) -> list[Person]:
        """People, best first, each with the 18 keypoints of `skeleton.PARTS`.

        Args:
            outputs: (C, h, w) or (1, C, h, w) by name; others than this decoder's are not read.
            size: (height, width) of the network's input; people are then in its pixels. Or where a photograph lies in
                the input; people are then in the photograph's.

        Raises:
            UsageError: an output is missing, has another shape, or holds values that are not finite or beyond 1e6.
        """
        ...


@dataclass(frozen=True)
class _Grouping:
    """A Decoder around the function `decode` of a module; it takes arrays in the order of `outputs`.

    Optional outputs are passed by their names, and the placement as `placement`.
    """

    name: str
    outputs: tuple[str, ...]
    module: str
    optional: tuple[str, ...] = ()

    def decode(self, outputs: Outputs, size: Size | Placement) -> list[Person]:
        missing = [name for name in self.outputs if name not in outputs]
        if missing:
            raise UsageError(
                f"{self.name} decoding needs the outputs {', '.join(self.outputs)}; "
                f"there are {', '.join(outputs) or 'none'}"
            )
        placement = size if isinstance(size, Placement) else _whole(size)
        more = {name: _unbatch(outputs[name]) for name in self.optional if name in outputs}
        function = importlib.import_module(self.module).decode
        return function(*(_unbatch(outputs[name]) for name in self.outputs), placement=placement, **more)


_DECODERS: dict[str, Decoder] = {
    decoder.name: decoder
    for decoder in (
        _Grouping("paf", ("heatmaps", "pafs"), "models.pose.decoding.paf"),
        _Grouping("associative_embedding", ("heatmaps", "tags"), "models.pose.decoding.embedding"),
        _Grouping("keypoint_regression", ("centres", "offsets"), "models.pose.decoding.regression", ("heatmaps",)),
    )
}


def decoder_names() -> tuple[str, ...]:
    """Every decoder's name: the fastest in the paper first."""
    return tuple(_DECODERS)


def decoder(name: str) -> Decoder:
    """The decoder of that name. Raises UsageError, with "did you mean", for an unknown one."""
    try:
        return _DECODERS[name]
    except KeyError:
        raise unknown_name("decoder", name, _DECODERS) from None


def decoder_for(outputs: Collection[str]) -> Decoder:
    """The decoder that reads outputs of these names. Raises UsageError where none does."""
    for decoder in _DECODERS.values():
        if set(decoder.outputs) <= set(outputs) <= {*decoder.outputs, *decoder.optional}:
            return decoder
    known = "; ".join(", ".join(decoder.outputs) for decoder in _DECODERS.values())
    raise UsageError(f"no decoder reads the outputs {', '.join(outputs)}; people are decoded from {known}")


def _whole(size: Size) -> Placement:
    if len(size) != 2 or not all(isinstance(extent, int | np.integer) and extent > 0 for extent in size):
        raise UsageError(f"a size is (height, width), both whole and positive, got {tuple(size)}")
    return Placement(size, size, size)


def _unbatch(maps: np.ndarray) -> np.ndarray:
    """Without a first axis of 1, which a network's outputs have."""
    maps = np.asarray(maps)
    return maps[0] if maps.ndim > 3 and maps.shape[0] == 1 else maps
