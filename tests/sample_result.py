"""A result as `latency.optimize` writes it, made up by rules: Lightweight OpenPose's layers with plausible times."""

from __future__ import annotations

import math
import random
from typing import Any


def shapes() -> list[tuple[str, str, int, int, int, int, int, int]]:
    """(name, block, channels in and out, sides in and out, kernel, groups) of every convolution, in order."""
    found = [("model.0", "backbone", 3, 32, 368, 184, 3, 1)]
    widths = [
        (32, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 1),
        *[(512, 512, 1)] * 5,
    ]
    side = 184
    for index, (inner, outer, stride) in enumerate(widths, 1):
        found.append((f"model.{index}.depthwise", "backbone", inner, inner, side, side // stride, 3, inner))
        side //= stride
        found.append((f"model.{index}.pointwise", "backbone", inner, outer, side, side, 1, 1))
    found.append(("cpm.align", "neck", 512, 128, 46, 46, 1, 1))
    found += [(f"cpm.trunk.{index}", "neck", 128, 128, 46, 46, 3, 1) for index in range(3)]
    found += [(f"initial_stage.trunk.{index}", "initial stage", 128, 128, 46, 46, 3, 1) for index in range(3)]
    for name, maps in (("heatmaps", 19), ("pafs", 38)):
        found.append((f"initial_stage.{name}.0", "initial stage", 128, 512, 46, 46, 1, 1))
        found.append((f"initial_stage.{name}.1", "initial stage", 512, maps, 46, 46, 1, 1))
    for index in range(5):
        found.append(
            (f"refinement_stages.0.trunk.{index}.squeeze", "refinement stage", 128 if index else 185, 128, 46, 46, 1, 1)
        )
        found += [
            (f"refinement_stages.0.trunk.{index}.{part}", "refinement stage", 128, 128, 46, 46, 3, 1)
            for part in range(2)
        ]
    for block, name, maps in (("heatmap branch", "heatmaps", 19), ("PAF branch", "pafs", 38)):
        found.append((f"refinement_stages.0.{name}.0", block, 128, 128, 46, 46, 1, 1))
        found.append((f"refinement_stages.0.{name}.1", block, 128, maps, 46, 46, 1, 1))
    return found


def layer_of(shape: tuple, rng: random.Random) -> dict[str, Any]:
    """One layer of the result."""
    name, block, inner, outer, before, after, kernel, groups = shape
    macs = outer * after * after * kernel * kernel * inner // groups
    dense = macs / 1e6 / (48 if groups == 1 else 20) / rng.uniform(0.9, 1.1) + 0.03
    found: dict[str, Any] = {
        "name": name, "op": "conv", "kernel": [kernel, kernel], "in_shape": [inner, before, before],
        "out_shape": [outer, after, after], "groups": groups, "macs": macs,
        "params": outer * (inner // groups * kernel * kernel + 1),
        "dense_schedule": "winograd m4 F8V2" if kernel == 3 else "pointwise F8V3 band 2",
        "dense_ms": dense, "dense_iqr_ms": [0.97 * dense, 1.04 * dense], "sparse_schedule": None,
        "sparse_ms": None, "sparse_iqr_ms": None, "variant": None, "zeros": 0.0, "measured_ratio": None,
        "predicted_ratio": None, "predicted_interval": None, "predicted_dense_ms": dense * rng.uniform(0.9, 1.1),
        "predicted_sparse_ms": None, "break_even": None, "decision": "dense", "block": block, "fastest_tried": None,
        "probability_faster": None,
        "reason": "no sparsity fits: a convolution of so many groups has few channels per filter",
    }  # fmt: skip
    if groups > 1 or name == "model.0" or outer < 40:
        why = {3: "the first convolution: all else hangs on what it sees"}.get(
            inner, "an output head: it makes the maps"
        )
        return found if groups > 1 else {**found, "reason": why}
    return {**found, **_pruned(found, rng)}


def breakdown_of(kernels: list[dict[str, Any]], wall_ms: float) -> dict[str, float]:
    """Parts that add up to `wall_ms`."""
    kernels_ms = sum(kernel["ms"] for kernel in kernels)
    gaps_ms = 0.4 * (wall_ms - kernels_ms)
    return {"kernels_ms": kernels_ms, "gaps_ms": gaps_ms, "outside_ms": wall_ms - kernels_ms - gaps_ms}


def _pruned(layer: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """What is different of a layer that has variants."""
    zeros = rng.choice((0.5, 0.75))
    predicted = speed_up(layer, 1 / (1 - zeros))
    measured = predicted * rng.uniform(0.88, 1.1)
    wins, known = measured > 1.15, rng.random() < 0.8
    sparse = layer["dense_ms"] / measured
    variant = f"columns:{zeros}:8x1"
    found = {
        "break_even": 0.58 if layer["kernel"][0] == 3 else 0.12,
        "fastest_tried": {"variant": variant, "ms": sparse, "measured_ratio": measured} if known else None,
        "reason": f"no gain is sure enough: {variant} takes {1 / measured:.2f} of the dense time",
    }
    if not wins:
        return found
    return {
        **found, "probability_faster": 0.974,
        "decision": "sparse", "variant": variant, "zeros": zeros, "sparse_schedule": "columns F8V3",
        "sparse_ms": sparse if known else None, "sparse_iqr_ms": [0.98 * sparse, 1.03 * sparse] if known else None,
        "measured_ratio": measured if known else None, "predicted_ratio": predicted,
        "predicted_interval": [0.86 * predicted, 1.15 * predicted],
        "predicted_sparse_ms": layer["predicted_dense_ms"] / predicted,
        "reason": f"{1 / measured:.2f} of the dense time, at most {1.1 / measured:.2f}, measured",
    }  # fmt: skip


def speed_up(layer: dict[str, Any], ratio: float) -> float:
    """Of a sparse kernel over the best dense one: an overhead, and Winograd as the rival of 3x3 layers."""
    rival = 2.2 if layer["kernel"][0] == 3 else 1.0
    return 1 / (0.12 + 0.9 * rival / ratio)


def curve_of(layer: dict[str, Any]) -> dict[str, Any]:
    ratios = [1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]
    tried = layer["fastest_tried"]
    measured = [{"ratio": 1 / (1 - float(tried["variant"].split(":")[1])), "speedup": tried["measured_ratio"]}]
    speedups = [speed_up(layer, ratio) * (1 + layer["out_shape"][0] / 4096) for ratio in ratios]
    return {
        "layer": layer["name"],
        "family": "columns:8x1",
        "ratios": ratios,
        "speedups": speedups,
        "measured": measured,
    }


def sensitivity_of(blocks: list[str]) -> dict[str, Any]:
    steepness = {block: 0.01 + 0.006 * index for index, block in enumerate(blocks)}
    losses = {
        b: {f"{z:g}": s * (math.exp(2.2 * z) - 1) for z in (0.25, 0.5, 0.75, 0.875)} for b, s in steepness.items()
    }
    return {"format": "fleetpose.sensitivity/1", "model": "lwop", "measure": "AP", "blocks": losses, "layers": {},
            "relation": {"points": 24, "spearman": 0.93, "pearson": 0.9, "ap_per_divergence": 0.4}}  # fmt: skip


def headline_of(layers: list[dict[str, Any]]) -> dict[str, Any]:
    dense = sum(layer["dense_ms"] for layer in layers) * 1.03
    pruned = [layer for layer in layers if layer["decision"] == "sparse"]
    saved = sum(layer["dense_ms"] - (layer["sparse_ms"] or layer["predicted_sparse_ms"]) for layer in pruned)
    params, macs = (sum(layer[name] for layer in layers) for name in ("params", "macs"))
    sparse, speed = dense - saved, dense / (dense - saved)
    return {
        "dense_ms": dense, "dense_iqr_ms": [0.98 * dense, 1.03 * dense], "sparse_ms": sparse,
        "sparse_iqr_ms": [0.99 * sparse, 1.04 * sparse], "speedup": speed,
        "speedup_interval": [0.97 * speed, 1.03 * speed],
        "predicted_dense_ms": 1.05 * dense, "predicted_sparse_ms": 0.97 * sparse, "predicted_speedup": 1.08 * speed,
        "predicted_interval": [0.95 * speed, 1.21 * speed], "ap_dense": 0.449, "ap_sparse": 0.431,
        "ap_change_interval": [-0.031, -0.004], "agreement": agreement(0.88, [0.61, 0.7]),
        "params_dense": params, "macs_dense": macs,
        "params_kept": params - sum(int(layer["params"] * layer["zeros"]) for layer in layers),
        "macs_kept": macs - sum(int(layer["macs"] * layer["zeros"]) for layer in layers),
    }  # fmt: skip


def agreement(at_half: float | None, bounds: list[float] | None = None, **more: Any) -> dict[str, Any]:
    """What `Agreement.to_dict` answers, of an agreement at OKS 0.5."""
    value = None if at_half is None else 0.75 * at_half
    return {"agreement": value, "interval": bounds, "agreement_50": at_half, "divergence": 0.0412, "photographs": 24,
            "people_dense": 61, "people_pruned": 60, "people_again": round(61 * (at_half or 0)), "why_none": None,
            "held_out": True} | more  # fmt: skip


def sample_result(seed: int = 0) -> dict[str, Any]:
    """A result with everything in it."""
    rng = random.Random(seed)
    layers = [layer_of(shape, rng) for shape in shapes()]
    ends = {"name": "import", "ms": 0.24}
    kernels = {
        "dense": [{"name": layer["name"], "ms": layer["dense_ms"]} for layer in layers] + [ends],
        "sparse": [
            {"name": layer["name"], "ms": layer["sparse_ms"] or layer["predicted_sparse_ms"]
             if layer["decision"] == "sparse" else layer["dense_ms"] * rng.uniform(0.98, 1.02)}
            for layer in layers
        ] + [ends],
    }  # fmt: skip
    headline = headline_of(layers)
    measured = [math.exp(rng.uniform(-3, 2.3)) for _ in range(300)]
    return {
        "format": "fleetpose.result/1", "model": "lwop", "weights": "w.safetensors", "size": [368, 368],
        "device": {"name": "pthread-haswell-AMD EPYC 7763", "profile": "host-avx2", "driver": "3.1", "host": True,
                   "spec": "host", "platform": "OpenCL 3.0 PoCL 3.1"},
        "date": "2026-11-26T06:45:54+00:00", "goal": {"kind": "speedup", "value": 1.3}, "headline": headline,
        "layers": layers, "curves": [curve_of(layer) for layer in layers if layer["fastest_tried"]],
        "sensitivity": sensitivity_of(list(dict.fromkeys(layer["block"] for layer in layers))), "kernels": kernels,
        "breakdown": {which: breakdown_of(kernels[which], headline[f"{which}_ms"]) for which in ("dense", "sparse")},
        "predictor": {
            "metrics": {"mape": 0.121, "median_ape": 0.083, "within_10": 0.58, "interval_coverage": 0.91,
                        "spearman": 0.987},
            "pairs": [{"measured_ms": ms, "predicted_ms": ms * math.exp(rng.gauss(0, 0.12))} for ms in measured],
        },
        "people": {"image": "people.png", "count": 3},
        "verify": {"ok": True, "max_abs_error": 8.1e-6, "not_finite": [], "inputs": 5, "input_sizes": {"368x368": 5},
                   "device": {"name": "cpu", "driver": "PoCL 3.1"}},
        "commands": ["python -m latency.optimize --model lwop --weights w.safetensors --speedup 1.3 -o build/lwop",
                     "python -m latency.report build/lwop"],
        "environment": {"fleetpose": "0.1.0", "apache-tvm": "0.27.0.post1", "OpenCL": "PoCL 3.1", "Python": "3.11.2"},
        "stages": [{"name": "tune", "secs": 812.0, "said": "38 workloads tuned"},
                   {"name": "collect", "secs": 1480.5}, {"name": "fit", "secs": 41.2},
                   {"name": "report", "secs": 0.4}],
    }  # fmt: skip
