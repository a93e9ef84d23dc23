"""The groupings by name, behind one interface: a network's outputs by name -> people.

A grouping is imported when it first decodes, so that PAF grouping does not wait for SciPy.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from fleetpose.codec import decode
from fleetpose.errors import UsageError, unknown_name
from models.pose.joints import Joints
from models.pose.person import Person
from models.preprocess import Placement, Size

Outputs = Mapping[str, np.ndarray]


class Decoder(Protocol):
    """What turns outputs into people.

    name: as given to `decoder`. outputs: names of the outputs it reads; optional: of those it reads if they are there.
    settings: its constants, a dataclass.
    """

    @property
    def name(self) -> str: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def optional(self) -> tuple[str, ...]: ...

    @property
    def settings(self) -> Any: ...

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
class Decoding:
    """What a network's outputs do not say of how they are decoded.

    Attributes:
        decoder: its name; "" for the one that the outputs' names tell.
        joints: names of the network's joints, in the order of its maps; none: COCO's 17.
        settings: fields of the decoder's settings that differ from the defaults.
    """

    decoder: str = ""
    joints: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class _Grouping:
    """A Decoder around the function `decode` of a module; it takes arrays in the order of `outputs`.

    Optional outputs are passed by their names, the placement as `placement`, and what `decoding` says as `joints` and
    `settings`. any_joints: the function takes other joints than COCO's.
    """

    name: str
    outputs: tuple[str, ...]
    module: str
    optional: tuple[str, ...] = ()
    any_joints: bool = False
    decoding: Decoding = field(default_factory=Decoding)

    def decode(self, outputs: Outputs, size: Size | Placement) -> list[Person]:
        missing = [name for name in self.outputs if name not in outputs]
        if missing:
            raise UsageError(
                f"{self.name} decoding needs the outputs {', '.join(self.outputs)}; "
                f"there are {', '.join(outputs) or 'none'}; name them in the network's description"
            )
        placement = size if isinstance(size, Placement) else _whole(size)
        more: dict[str, Any] = {name: _unbatch(outputs[name]) for name in self.optional if name in outputs}
        module = importlib.import_module(self.module)
        if self.decoding.settings:
            more["settings"] = self.settings
        if self.decoding.joints:
            more["joints"] = Joints(self.decoding.joints)
        return module.decode(*(_unbatch(outputs[name]) for name in self.outputs), placement=placement, **more)

    @property
    def settings(self) -> Any:
        """The constants of its module, a dataclass. Raises UsageError for settings that it does not have."""
        kind = type(importlib.import_module(self.module).DEFAULTS)
        return decode(kind, dict(self.decoding.settings), f"settings of {self.name} decoding")

    def described(self, decoding: Decoding) -> _Grouping:
        """The decoder that does as `decoding` says. Raises UsageError for joints that it cannot have."""
        if decoding.joints and not self.any_joints and Joints(decoding.joints) != Joints():
            raise UsageError(f"{self.name} decoding knows COCO's 17 joints only, not {', '.join(decoding.joints)}")
        if not decoding.joints and not decoding.settings:
            return self
        joints = decoding.joints if self.any_joints else ()
        return replace(self, decoding=replace(decoding, joints=joints))


_DECODERS: dict[str, _Grouping] = {
    decoder.name: decoder
    for decoder in (
        _Grouping("paf", ("heatmaps", "pafs"), "models.pose.decoding.paf"),
        _Grouping("associative_embedding", ("heatmaps", "tags"), "models.pose.decoding.embedding"),
        _Grouping("keypoint_regression", ("centres", "offsets"), "models.pose.decoding.regression", ("heatmaps",)),
        _Grouping(
            "personlab",
            ("heatmaps", "short_offsets", "forward_displacements", "backward_displacements"),
            "models.pose.decoding.personlab",
        ),
        _Grouping(
            "centres",
            ("centres", "displacements"),
            "models.pose.decoding.centres",
            ("joint_heatmaps", "joint_offsets"),
            any_joints=True,
        ),
        _Grouping("boxes", ("predictions",), "models.pose.decoding.boxes", any_joints=True),
        _Grouping(
            "box_levels",
            tuple(f"{kind}_{stride}" for stride in (8, 16, 32) for kind in ("boxes", "scores", "keypoints")),
            "models.pose.decoding.box_levels",
            ("boxes_64", "scores_64", "keypoints_64"),
            any_joints=True,
        ),
        _Grouping("simcc", ("simcc_x", "simcc_y"), "models.pose.decoding.one_person.simcc", any_joints=True),
        _Grouping("heatmap_argmax", ("heatmaps",), "models.pose.decoding.one_person.argmax", any_joints=True),
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


#: why there are no people, for those who do not ask for a decoder
NO_DECODER = 'no decoder reads outputs of these names; say what they are by "outputs" (docs/extending.md)'


def decoder_for(outputs: Collection[str], decoding: Decoding | None = None) -> Decoder:
    """The decoder that reads outputs of these names, and does as `decoding` says.

    Raises:
        UsageError: no decoder reads them, or the one that `decoding` names does not; joints that it cannot have.
    """
    said = decoding or Decoding()
    if said.decoder:
        decoder(said.decoder)
        candidates = [_DECODERS[said.decoder]]
    else:
        candidates = list(_DECODERS.values())
    for grouping in candidates:
        if set(grouping.outputs) <= set(outputs) <= {*grouping.outputs, *grouping.optional}:
            return grouping.described(said)
    known = "; ".join(", ".join(grouping.outputs) for grouping in candidates)
    raise UsageError(f"no decoder reads the outputs {', '.join(outputs)}; people are decoded from {known}")


def _whole(size: Size) -> Placement:
    if len(size) != 2 or not all(isinstance(extent, int | np.integer) and extent > 0 for extent in size):
        raise UsageError(f"a size is (height, width), both whole and positive, got {tuple(size)}")
    return Placement(size, size, size)


def _unbatch(maps: np.ndarray) -> np.ndarray:
    """Without a first axis of 1, which a network's outputs have."""
    maps = np.asarray(maps)
    return maps[0] if maps.ndim > 3 and maps.shape[0] == 1 else maps
