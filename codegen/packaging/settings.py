"""What a package says of preprocessing, decoding and tracking, by names that the C runtime looks up."""

from __future__ import annotations

from dataclasses import fields
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
        settings |= {f"preprocessing.mean.{at}": value for at, value in enumerate(preprocessing.mean)}
        settings |= {"preprocessing.scale": preprocessing.scale, "preprocessing.channels": preprocessing.channels}
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
        settings |= _numbers(prefix, values)
    return settings


def _numbers(prefix: str, values: Any) -> Settings:
    """The numbers of a dataclass by name; what it has besides is no constant of a formula."""
    named = {field.name: getattr(values, field.name) for field in fields(values)}
    return {f"{prefix}.{name}": float(value) for name, value in named.items() if isinstance(value, int | float)}
