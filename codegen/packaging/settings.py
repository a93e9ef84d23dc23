"""What a package says of preprocessing, decoding and tracking, by names that the C runtime looks up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from codegen.artifact.manifest import Manifest
from fleetpose.codec import decode
from fleetpose.errors import UsageError
from models.pose.decoding.decoders import decoder_for
from models.pose.tracking.smooth import OneEuroSettings
from models.pose.tracking.track import TrackSettings
from models.preprocess import Preprocessing

Settings = dict[str, float | str]


def settings_of(manifest: Manifest) -> Settings:
    """Numbers and texts by name: what the network was built for, and every constant from a picture to people."""
    built = {"dtype": manifest.dtype, "gpu": manifest.gpu, "profile": manifest.profile, "model": manifest.model,
             "device": str(manifest.device.get("name", ""))}  # fmt: skip
    settings: Settings = {f"built.{name}": value for name, value in built.items()}
    if manifest.preprocessing:
        preprocessing = decode(Preprocessing, manifest.preprocessing)
        settings |= numbers_of("preprocessing", preprocessing)
        settings["preprocessing.channels"] = preprocessing.channels
    return settings | _decoding(manifest)


def _decoding(manifest: Manifest) -> Settings:
    """The decoder and its constants; the name "" where no decoder reads the outputs."""
    try:
        decoder = decoder_for([output.name for output in manifest.entries[0].outputs], manifest.decoding)
    except UsageError:
        return {"decoder": ""}
    settings: Settings = {"decoder": decoder.name}
    for prefix, values in (("decoding", decoder.settings), ("tracking", TrackSettings()),
                           ("smoothing", OneEuroSettings())):  # fmt: skip
        settings |= numbers_of(prefix, values)
    return settings


def numbers_of(prefix: str, values: Any) -> dict[str, float]:
    """The numbers of a dataclass by name, those in tuples by their place (`decoding.kernels.0.1`); what it has besides
    is no constant of a formula."""
    if isinstance(values, int | float):
        return {prefix: float(values)}
    numbers: dict[str, float] = {}
    for name, value in _items(values):
        numbers |= numbers_of(f"{prefix}.{name}", value)
    return numbers


def _items(values: Any) -> Iterable[tuple[Any, Any]]:
    if is_dataclass(values):
        return ((field.name, getattr(values, field.name)) for field in fields(values))
    return enumerate(values) if isinstance(values, tuple) else ()
