"""A manifest with one of everything, as that of an artifact that is complete but for the files."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from codegen.artifact.manifest import DISTRIBUTIONS, Entry, FixedTensor, LayerCode, Manifest, TensorSpec
from devices.info import DeviceInfo
from fleetpose.codec import encode
from models.graph.answer import Cut, ViewStep
from models.pose.decoding.decoders import Decoding

#: what stands in for an entry of JSON, whatever it was
INTRUDERS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 10**30, 0.5, -1e300, "", "x", "run_64x64", "float16", "../x", "\n", "é",
    [], [[]], [None], ["x"], [0], [-1, 2], {}, {"x": 1}, {"file": "/etc/passwd", "sha256": 64 * "0"},
)  # fmt: skip


def entry(height: int, width: int) -> Entry:
    """An entry of two outputs, one of them with a view, and a constant."""
    cells = (height // 8, width // 8)
    layers = (
        LayerCode("input", "import", "import", "", ("import_kernel",), 0, (3, height, width)),
        LayerCode("stem", "conv", "direct", "F8V3", ("a", "b"), 1000, (8, *cells), "columns:0.5:4x1", widened="sums"),
        LayerCode("twin", "conv", "direct", "F8V3", ("a", "b"), 500, (8, *cells), with_previous=True),
    )
    view = (ViewStep("reshape", (1, 2, 4, *cells)), ViewStep("transpose", (0, 1, 3, 4, 2)))
    outputs = (TensorSpec("heatmaps", (1, 19, *cells)), TensorSpec("pafs", (1, 8, *cells), view=view))
    fixed = (FixedTensor("anchors", (2, 2), "int64", (1, 2, 3, 4)),)
    return Entry(f"run_{height}x{width}", TensorSpec("x", (1, 3, height, width)), outputs, layers, fixed)


def sample_manifest() -> Manifest:
    digest = 32 * "ab"
    return Manifest(
        "small", digest, (entry(64, 96), entry(64, 64)), {"mean": [1.0, 2.0, 3.0], "scale": 0.5, "channels": "RGB"}, 8,
        {"file": "w.safetensors", "sha256": digest}, ("p0", "p1"),
        {"file": "pose.weights.safetensors", "sha256": digest}, encode(DeviceInfo("Mali-G76", kind="gpu")), "mali-g76",
        "mali", "android-arm64", dict.fromkeys(DISTRIBUTIONS, "1.0"),
        {"machine": "AArch64", "page": 16384, "needed": [], "undefined": ["TVMFFI"]}, ("t0",), "float16",
        {"file": "plan.json", "sha256": digest, "zeros": "given"}, Decoding("paf"),
        (Cut("topk", "head", "net.py:3", ("boxes",), ("maps",)),),
        {"by": "photographs", "file": "w.json", "sha256": digest},
    )  # fmt: skip


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where in JSON every value stands, by keys and indices, the whole first."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from places(child, (*path, key))


def put(value: Any, path: tuple, other: Any) -> Any:
    """A copy of JSON with another value at a place."""
    if not path:
        return other
    changed = copy.deepcopy(value)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = other
    return changed


def mutations(value: Any, seed: int, count: int) -> Iterator[tuple[str, Any]]:
    """JSON with one entry replaced, removed, or put into another's place; drawn by a seed; each with what was done."""
    chance, everywhere = random.Random(seed), [path for path in places(value) if path]
    for _ in range(count):
        path, kind = chance.choice(everywhere), chance.randrange(4)
        if kind == 0:
            changed = put(value, path, chance.choice(INTRUDERS))
        elif kind == 1:
            changed = put(value, path, chance.choice([at(value, other) for other in everywhere]))
        elif kind == 2 and isinstance(at(value, path[:-1]), dict):
            changed = json.loads(json.dumps(value))
            del at(changed, path[:-1])[path[-1]]
        else:
            changed = put(put(value, path, chance.choice(INTRUDERS)), chance.choice(everywhere)[:1], None)
        yield f"{path}, {kind}", changed


def at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value
