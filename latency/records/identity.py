"""What a record is of, as JSON and as a hash: the layer without its names, its planes' pitches, sparsity, type, device.

Two records bear the same id exactly where they measured the same thing on the same kind of device with the same driver.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fleetpose.codec import check_entries, decode, encode
from fleetpose.codec.checks import finite_number
from fleetpose.errors import unknown_name
from fleetpose.json_fields import NotNegativeInt, PositiveInt
from models.graph.foreign.call import ForeignCall
from models.graph.index_map import Move
from models.graph.layer import FLOAT32_MAX, Layer, Step
from models.graph.product import Product
from models.graph.reduction import Reduction

#: what of a device's description says whether two times are of the same device
IDENTITY = ("profile", "name", "driver")
#: fields of a layer that are written where they are not the default, and their types
LATER: dict[str, Any] = {
    "transposed": bool,
    "divisor": int,
    "scale": tuple[float, float],
    "fill": float,
    "reduction": Reduction,
    "product": Product,
    "moves": tuple[Move, ...],
    "foreign": ForeignCall,
}
#: fields of a layer that are always written, and their types
KINDS: dict[str, Any] = {
    "op": str,
    "kernel": tuple[PositiveInt, PositiveInt],
    "stride": tuple[PositiveInt, PositiveInt],
    "padding": tuple[NotNegativeInt, NotNegativeInt],
    "dilation": tuple[PositiveInt, PositiveInt],
    "groups": PositiveInt,
    "in_shapes": tuple[tuple[PositiveInt, PositiveInt, PositiveInt], ...],
    "out_shape": tuple[PositiveInt, PositiveInt, PositiveInt],
    "bias": bool,
    "epilogue": tuple[str, ...],
    "mode": str,
    "align_corners": bool,
    "count_include_pad": bool,
}
NEEDED = ("in_shapes", "out_shape", "op", "kernel", "stride", "padding", "dilation", "epilogue")
_DEFAULTS = {field.name: field.default for field in fields(Layer)}


def record_id(device: Mapping[str, Any], **measured: Any) -> str:
    """16 hex digits of what was measured (JSON values) and of the device's profile, name and driver."""
    named = {"device": [device.get(name, "") for name in IDENTITY], **measured}
    return hashlib.sha256(canonical(named).encode()).hexdigest()[:16]


def layer_id(
    device: Mapping[str, Any], layer: Layer, pitches: tuple[int, ...], sparsity: str, dtype: str, widened: str = ""
) -> str:
    """The `id` of a record of kind "layer"; `widened` as in a record."""
    later = {"widened": widened} if widened else {}
    return record_id(device, layer=layer_to_dict(layer), pitches=list(pitches), sparsity=sparsity, dtype=dtype, **later)


def network_id(
    device: Mapping[str, Any],
    network: str,
    size: tuple[int, int],
    plan: Mapping[str, str],
    dtype: str,
    widened: Mapping[str, str] = {},
) -> str:
    """The `id` of a record of kind "network"; `widened` has those of its layers that are."""
    later = {"widened": dict(widened)} if widened else {}
    return record_id(device, network=network, size=list(size), plan=dict(plan), dtype=dtype, **later)


def layer_to_dict(layer: Layer) -> dict[str, Any]:
    """A layer as a JSON object, without the names in it; the epilogue is a list of texts, "leaky_relu:0.1"."""
    values = {
        "op": layer.op,
        "kernel": list(layer.kernel),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "dilation": list(layer.dilation),
        "groups": layer.groups,
        "in_shapes": [list(shape) for shape in layer.in_shapes],
        "out_shape": list(layer.out_shape),
        "bias": layer.bias,
        "epilogue": [":".join([step.kind, *map(repr, step.params)]) for step in layer.epilogue],
        "mode": layer.mode,
        "align_corners": layer.align_corners,
        "count_include_pad": layer.count_include_pad,
    }
    # what came later is named only where it is not the default, so that older records keep their ids
    later = {name: getattr(layer, name) for name in LATER}
    later["fill"] = min(max(layer.fill, -FLOAT32_MAX), FLOAT32_MAX)  # JSON has no infinity
    return {**values, **{name: encode(value) for name, value in later.items() if value != _DEFAULTS[name]}}


def layer_from_dict(values: Any) -> Layer:
    """The inverse of `layer_to_dict`. Raises DataError, or what a Layer raises, for anything else."""
    given = check_entries(values, KINDS | LATER, needed=NEEDED)
    typed = {name: decode(kind, given.pop(name), name) for name, kind in (KINDS | LATER).items() if name in given}
    if given:
        raise unknown_name("field of a layer", next(iter(given)), KINDS | LATER)
    texts = (text.split(":") for text in typed.pop("epilogue"))
    steps = tuple(Step(kind, tuple(map(finite_number, more))) for kind, *more in texts)
    return Layer(name="", inputs=("",) * len(typed["in_shapes"]), epilogue=steps, **typed)


def canonical(values: Mapping[str, Any]) -> str:
    """JSON that is the same for equal values."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def checksum(values: Mapping[str, Any]) -> str:
    """CRC-32 of the canonical JSON, 8 hex digits."""
    return f"{zlib.crc32(canonical(values).encode()):08x}"
