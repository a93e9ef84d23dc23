"""What a user says of a network of their own: a small mapping, turned into a ModelSpec; torch-free.

It is the attribute `fleetpose` of a factory or of the module it returns, or the extra file `fleetpose.json` of an
exported program:

    {"size": [256, 192], "channels": 3, "stride": 4, "outputs": ["heatmaps", "tags"],
     "preprocessing": {"mean": [128, 128, 128], "scale": 0.00390625, "channels": "BGR"},
     "blocks": {"backbone": "backbone", "head.*": "heatmap branch"}}

Besides these, "multiple" says what sides of inputs are multiples of. Everything may be left out; `complete` says what
is then taken.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetpose.codec import decode
from fleetpose.errors import UsageError, quoted, unknown_name
from models.graph.layer import Shape
from models.pose.decoding.decoders import Decoding
from models.preprocess import Preprocessing
from models.zoo.catalogue import GREY, PREPROCESSING
from models.zoo.spec import ModelSpec

log = logging.getLogger("fleetpose.models")

#: the name of the attribute, and with ".json" of the extra file
ATTRIBUTE = "fleetpose"
FIELDS = ("size", "channels", "stride", "multiple", "outputs", "preprocessing", "blocks", "decoding")
DEFAULT_SIZE = (368, 368)
#: of a side of an input
MOST_PIXELS = 1 << 14
#: channels of (heatmaps, pafs) on COCO's 17 keypoints and the neck: 18 parts and the background, 19 limbs of (x, y)
POSE_CHANNELS = (19, 38)


@dataclass(frozen=True)
class Output:
    """One output as a run shows it.

    Attributes:
        key: what it is called in what the module returns, as in Answer.names.
        shape: of the map it is, (C, H, W); None where it is no map.
    """

    key: str
    shape: Shape | None


@dataclass(frozen=True)
class Outputs:
    """What a network gives. `cut`: it ends before its torch module does."""

    entries: tuple[Output, ...]
    cut: bool = False


def check_description(said: Any, whose: str) -> Mapping[str, Any]:
    """`said` if it is a description. Raises UsageError, naming `whose` it is, for what is none."""
    if not isinstance(said, Mapping):
        raise UsageError(f"{ATTRIBUTE} of {whose} is a {type(said).__name__}, not a dict of {', '.join(FIELDS)}")
    for key in said:
        if key not in FIELDS:
            raise unknown_name(f"field in {ATTRIBUTE} of {whose}:", str(key), FIELDS)
    return said


def described_size(said: Mapping[str, Any], whose: str) -> tuple[int, int] | None:
    """The input (height, width) that is said, or None. Raises UsageError for what is none."""
    if "size" not in said:
        return None
    size = said["size"]
    sides = size if isinstance(size, Sequence) and len(size) == 2 else ()
    if not sides or not all(isinstance(side, int) and 0 < side <= MOST_PIXELS for side in sides):
        raise UsageError(f"size {quoted(size)} of {whose} is not (height, width) in pixels, {MOST_PIXELS} at most")
    return int(size[0]), int(size[1])


def complete(
    name: str, factory: Any, said: Mapping[str, Any], size: tuple[int, int], outputs: Outputs, **more: Any
) -> ModelSpec:
    """The spec of a network of the user's own.

    What is not said: the input's channels are 3, or what the network's first convolution reads; outputs are called by
    their keys, or "heatmaps" and "pafs" where there is a tuple of two of 19 and 38 channels; the stride is input pixels
    per cell of the coarsest output; preprocessing is Lightweight OpenPose's, with a warning, as only who trained the
    weights knows it.

    Args:
        name: as given to --model.
        factory: makes the torch module.
        said: of `check_description`.
        size: the default input (height, width), at which `outputs` were seen.
        more: further fields of ModelSpec.

    Raises:
        UsageError: a field of another form, or names for another number of outputs.
    """
    if "preprocessing" in said:
        given = said["preprocessing"]
        preprocessing = (
            given if isinstance(given, Preprocessing) else decode(Preprocessing, given, f"preprocessing of {name}")
        )
    else:
        preprocessing = GREY if more.get("channels") == 1 else PREPROCESSING
        order = preprocessing.channels
        log.warning(
            "%s does not say its preprocessing; taken: (pixel - 128) / 256, %s (docs/extending.md)", name, order
        )
    channels = more.get("channels", 3)
    if not isinstance(channels, int) or channels < 1:
        raise UsageError(f"channels {quoted(channels)} of {name} is not a number of input channels, 1 or more")
    rows = [output.shape[1] for output in outputs.entries if output.shape and output.shape[1] > 1]
    stride = said.get("stride", max((-(-size[0] // count) for count in rows), default=1))
    multiple = said.get("multiple", 1)
    for field, pixels in (("stride", stride), ("multiple", multiple)):
        if not isinstance(pixels, int) or pixels < 1:
            raise UsageError(f"{field} {quoted(pixels)} of {name} is not a number of pixels, 1 or more")
    return ModelSpec(
        name,
        factory,
        preprocessing,
        size=size,
        outputs=_names(name, said.get("outputs"), outputs.entries),
        stride=stride,
        multiple=multiple,
        summary="a network from outside of the catalogue",
        family=name,
        blocks=_blocks(name, said.get("blocks", {})),
        returned=() if outputs.cut else tuple(output.key for output in outputs.entries),
        cut=outputs.cut,
        decoding=_decoding(name, said.get("decoding", {})),
        **more,
    )


def _names(name: str, said: Any, outputs: Sequence[Output]) -> tuple[str, ...]:
    if said is None:
        keys = tuple(output.key for output in outputs)
        channels = tuple(output.shape[0] if output.shape else 0 for output in outputs)
        return ("heatmaps", "pafs") if channels == POSE_CHANNELS and keys == ("output_0", "output_1") else keys
    if isinstance(said, str) or not isinstance(said, Sequence) or not all(isinstance(entry, str) for entry in said):
        raise UsageError(f"outputs {quoted(said)} of {name} is not a list of names")
    if len(said) != len(outputs) or len(set(said)) != len(said):
        raise UsageError(f"outputs of {name}: {len(outputs)} different names are wanted, got {', '.join(said)}")
    return tuple(said)


def _decoding(name: str, said: Any) -> Decoding:
    return said if isinstance(said, Decoding) else decode(Decoding, said, f"decoding of {name}")


def _blocks(name: str, said: Any) -> tuple[tuple[str, str], ...]:
    pairs = said.items() if isinstance(said, Mapping) else said
    try:
        return tuple((str(pattern), str(block)) for pattern, block in pairs)
    except (TypeError, ValueError):
        raise UsageError(f"blocks of {name} is not a mapping from module paths to names of blocks") from None
