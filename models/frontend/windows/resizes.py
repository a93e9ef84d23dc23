"""Resizing operators of torch as drafts; torch-free. Mode "area" is an adaptive pool by the time it is exported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from models.frontend.call import Call
from models.frontend.draft import Draft


def _resize(mode: str, call: Call) -> Draft:
    """To any size; scales that do not make it exactly decide where torch samples, so they are kept."""
    name = call.tensor("input" if "input" in call.arguments else "self")
    given = call.get("scale_factors") or [call.get("scales_h"), call.get("scales_w")]
    steps = [
        1 / scale if scale is not None and before * scale != after else 0.0
        for before, after, scale in zip(call.shapes[name][1:], call.shape[1:], given, strict=True)
    ]
    draft = call.draft("resize", [name], "resize", mode=mode, align_corners=bool(call.get("align_corners")))
    if not draft.align_corners:
        draft.scale = (steps[0], steps[1])
    return draft


RESIZES: dict[str, Callable[[Call], Draft]] = {
    "upsample_nearest2d": partial(_resize, "nearest"),
    "_upsample_nearest_exact2d": partial(_resize, "nearest_exact"),
    "upsample_bilinear2d": partial(_resize, "bilinear"),
    "upsample_bicubic2d": partial(_resize, "bicubic"),
    "_upsample_bilinear2d_aa": partial(_resize, "bilinear_antialias"),
    "_upsample_bicubic2d_aa": partial(_resize, "bicubic_antialias"),
}
