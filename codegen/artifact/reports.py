"""What runs on a photograph and on a video showed: JSON objects, and text for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codegen.artifact.breakdown import Breakdown
from codegen.artifact.follow import FollowedVideo
from codegen.artifact.loaded import Artifact
from codegen.artifact.photograph import PhotographRun
from codegen.artifact.video import VideoReader
from devices.timing.sustained import sustained_text
from fleetpose import cli
from fleetpose.codec import encode


def about(artifact: Artifact, input_size: tuple[int, int]) -> dict[str, Any]:
    """What a photograph's and a video's JSON object begin with."""
    return {
        "artifact": str(artifact.path),
        "model": artifact.manifest.model,
        "device": encode(artifact.session.info),
        "input_size": list(input_size),
    }


def photograph_report(artifact: Artifact, run: PhotographRun) -> dict[str, Any]:
    """Everything a run on a photograph showed, as one JSON object."""
    result = run.result
    return {
        **about(artifact, result.input_size),
        "people": [person.to_coco(0) for person in result.people],
        "decode_ms": None if result.decode_secs is None else 1e3 * result.decode_secs,
        "timing": encode(run.timing),
        **(layers_report(run.breakdown) if run.breakdown else {"layers": []}),
        "sustained": run.sustained,
    }


def layers_report(breakdown: Breakdown) -> dict[str, Any]:
    """Where an inference's time goes, as JSON values; the parts add up to "wall_ms"."""
    wall_ms = 1e3 * breakdown.wall_secs
    return {
        "layers": [
            {"layer": layer.code.layer, "kernels": layer.code.kernels, "schedule": layer.code.schedule,
             "ms": 1e3 * layer.secs}
            for layer in breakdown.layers()
        ],
        "gaps_ms": breakdown.gap_share * wall_ms,
        "outside_ms": breakdown.outside_share * wall_ms,
        "wall_ms": wall_ms,
    }  # fmt: skip


def video_report(
    artifact: Artifact, video: VideoReader, result: FollowedVideo, out: Path | None, smooth: bool
) -> dict[str, Any]:
    """Everything a run on a video showed, as one JSON object; "people" is COCO's result format."""
    return {
        **about(artifact, result.input_size),
        "video": {"source": video.source, "size": list(video.size), "fps": video.fps, "frames": video.frames or None},
        "out": str(out) if out else None,
        "smooth": smooth,
        "interrupted": result.interrupted,
        "secs": result.secs,
        "identities": len(result.identities),
        "frames": result.frames,
        "people": result.people,
    }


def print_layers(breakdown: Breakdown) -> None:
    """The per-layer table: times by OpenCL events, the share of the wall time, and what is no layer."""
    wall_ms = 1e3 * breakdown.wall_secs
    layers, rows = breakdown.layers(), []
    for layer in layers:
        code = layer.code
        shape = "x".join(map(str, code.out_shape))
        rate = f"{2e-9 * code.macs / layer.secs:.1f}" if code.macs and layer.secs else ""
        rows.append(
            (code.layer, code.schedule, code.tile, shape, f"{code.macs / 1e6:.1f}", f"{1e3 * layer.secs:.3f}",
             f"{1e5 * layer.secs / wall_ms:.1f}", rate)
        )  # fmt: skip
    cli.print_table(("layer", "schedule", "tile", "output", "MMACs", "ms", "%", "GFLOP/s"), rows)
    parts = (breakdown.kernel_share, breakdown.gap_share, breakdown.outside_share)
    kernels, gaps, outside = (f"{part * wall_ms:.2f} ms" for part in parts)
    print(f"{wall_ms:.2f} ms by the wall clock: {kernels} in layers' kernels, {gaps} between them, {outside} outside")


def _print_network(artifact: Artifact, input_size: tuple[int, int]) -> None:
    print(f"{artifact.manifest.model} at {input_size[0]}x{input_size[1]} on {artifact.session.info.name}")


def print_photograph(artifact: Artifact, run: PhotographRun, out: Path | None) -> None:
    """A run on a photograph, for people."""
    if run.breakdown:
        print_layers(run.breakdown)
    _print_network(artifact, run.result.input_size)
    if run.timing:
        wall, event = 1e3 * (run.timing.wall_median_secs or 0), run.timing.event_median_secs
        kernels = "" if event is None else f", {1e3 * event:.1f} ms of it in kernels"
        print(f"network: {wall:.1f} ms{kernels} (median of {len(run.timing.wall_secs)} runs)")
    if run.sustained is not None:
        print(sustained_text(run.sustained))
    if run.result.decode_secs is not None:
        count, decode_ms = len(run.result.people), 1e3 * run.result.decode_secs
        print(f"{count} {'person' if count == 1 else 'people'} found; decoding took {decode_ms:.1f} ms")
        if out:
            print(f"picture: {out}")


def print_video(artifact: Artifact, source: str, result: FollowedVideo, out: Path | None) -> None:
    """A run on a video, for people."""
    frames, secs = len(result.frames), result.secs
    _print_network(artifact, result.input_size)
    print(f"{frames} frames of {source} in {secs:.1f} s: {frames / secs:.1f} fps, reading and drawing included")
    find_ms, decode_ms = (result.median(name) for name in ("find_ms", "decode_ms"))
    print(f"one frame to people: {find_ms:.1f} ms, decoding {decode_ms:.1f} ms (medians)")
    mean = sum(frame["people"] for frame in result.frames) / frames
    print(f"{len(result.identities)} identities, {mean:.1f} people in a frame")
    if out:
        print(f"video: {out}")
