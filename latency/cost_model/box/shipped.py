"""The predictors in the box by name, and finding a predictor by such a name or by its file.

They are of other kernels than this project's: TVM's as AutoTVM tuned them, or LiteRT's. What they say of a network is
what it takes with these; sparse kernels they know nothing of.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from fleetpose.codec import parse_json
from fleetpose.errors import DataError, UsageError, unknown_name
from fleetpose.files import json_bytes
from latency.cost_model.predictor import FORMAT, Predictor
from latency.cost_model.trees import slim

FOLDER = Path(__file__).parent / "data"
SUFFIX = ".predictor.xz"
#: bytes of one predictor, unpacked: more is no predictor of the box
MOST_BYTES = 1 << 25
#: what every answer of the box has to say
PLAINLY = "predicted from others' kernels, not this project's: nothing was measured"


def names() -> list[str]:
    """The devices in the box: "adreno-730", ..."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


@cache
def shipped(name: str) -> Predictor:
    """The predictor of a device in the box. Raises UsageError for another name, or one of other features."""
    if name not in names():
        raise unknown_name("device in the box", name, names())
    return _read(FOLDER / f"{name}{SUFFIX}")


def find_predictor(text: str | Path) -> Predictor:
    """The predictor in a file, or in the box where there is no such file. Raises UsageError for neither."""
    name = str(text)
    if name in names() and not Path(name).exists():
        return shipped(name)
    return Predictor.load(text)


def pack(predictor: Predictor) -> bytes:
    """The content of a file of the box: xz of the predictor's JSON, without what trees need in training alone."""
    values = predictor.to_json()
    values["trees"] = slim(values["trees"])
    return lzma.compress(json_bytes(values, indent=None), preset=9 | lzma.PRESET_EXTREME)


def sources() -> Mapping[str, Mapping[str, str]]:
    """Of each device in the box what it was measured on and by whom: "gpu", "framework", "source", "licence"."""
    about = {name: shipped(name).metadata for name in names()}
    keys = ("gpu", "framework", "source", "licence")
    return MappingProxyType({name: {key: str(values.get(key, "")) for key in keys} for name, values in about.items()})


def load_named(texts: Sequence[str | Path]) -> list[Predictor]:
    """`find_predictor` of each."""
    return [find_predictor(text) for text in texts]


def _read(path: Path) -> Predictor:
    unpacker = lzma.LZMADecompressor(memlimit=1 << 28)
    try:
        content = unpacker.decompress(path.read_bytes(), MOST_BYTES)
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"predictor {path}: {error}; install the package again") from error
    if not unpacker.eof:
        raise DataError(f"predictor {path}: it does not end; install the package again")
    values = parse_json(content)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise UsageError(f"predictor {path} is of another format than {FORMAT}; install the package again")
    return Predictor.from_json(values)
