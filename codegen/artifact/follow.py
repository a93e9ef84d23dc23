"""People through a video: an artifact on every frame, identities, smoothing; and `codegen.run --video`. Torch-free."""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import find_people
from codegen.artifact.video import Frame, VideoReader, check_suffix, video_writer
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.files import check_writable
from fleetpose.interrupt import until_interrupted
from fleetpose.progress import Progress, status
from models.pose.drawing.draw import draw_people
from models.pose.person import Person
from models.pose.tracking.smooth import OneEuroSettings, Smoother
from models.pose.tracking.track import Tracker
from models.preprocess import contained_size

log = logging.getLogger("fleetpose.follow")

INTERRUPTED = 130


@dataclass(frozen=True, eq=False)
class Followed:
    """A frame and the people in it, with identities, best first, in the frame's pixels.

    input_size: (height, width) of the network's input. find_secs: from frame to people; decode_secs: of it, decoding.
    """

    frame: Frame
    people: list[Person]
    input_size: tuple[int, int]
    find_secs: float
    decode_secs: float


def follow(artifact: Artifact, frames: Iterable[Frame], smooth: bool = True) -> Iterator[Followed]:
    """Find the people in every frame, say who is who (`models.pose.tracking.track`), steady them
    (`models.pose.tracking.smooth`).

    Frames are of one size, so the artifact serves them all at one input size. The smoothing's speeds are those in the
    network's input, so that the same scene is smoothed alike at any resolution of the video.

    Raises:
        UsageError: a network whose maps are not understood, or maps that are not finite.
    """
    tracker, smoother = Tracker(), None
    for frame in frames:
        started = time.perf_counter()
        detection = find_people(artifact, frame.image, decodes=1)
        find_secs = time.perf_counter() - started
        people = tracker.update(detection.people, frame.secs)
        if smooth:
            smoother = smoother or Smoother(_at_scale(frame, detection.input_size))
            people = smoother(people, frame.secs)
        yield Followed(frame, people, detection.input_size, find_secs, detection.decode_secs or 0.0)


def _at_scale(frame: Frame, input_size: tuple[int, int]) -> OneEuroSettings:
    height, width = frame.image.shape[:2]
    default = OneEuroSettings()
    return replace(default, beta=default.beta * contained_size((height, width), input_size)[0] / height)


@dataclass
class _Tally:
    """What is kept of a video: per frame a line, of its people COCO entries (if asked for), never a picture."""

    keep_people: bool
    input_size: tuple[int, int] = (0, 0)
    frames: list[dict[str, Any]] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    identities: set[int] = field(default_factory=set)

    def add(self, followed: Followed) -> None:
        """COCO's image_id is the frame's number, from 0."""
        self.input_size = followed.input_size
        self.identities.update(person.identity for person in followed.people if person.identity)
        times = {"find_ms": 1e3 * followed.find_secs, "decode_ms": 1e3 * followed.decode_secs}
        self.frames.append(
            {"image_id": followed.frame.number, "secs": followed.frame.secs, "people": len(followed.people), **times}
        )
        if self.keep_people:
            self.people += [person.to_coco(followed.frame.number) for person in followed.people]

    def median(self, name: str) -> float:
        return statistics.median(frame[name] for frame in self.frames)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raises UsageError for flags that do not fit a video, before anything is opened."""
    for flag in ("layers", "no_people"):
        if getattr(arguments, flag):
            raise UsageError(f"--{flag.replace('_', '-')} goes with --image, not with --video")
    if arguments.max_frames is not None and arguments.max_frames < 1:
        raise UsageError(f"--max-frames {arguments.max_frames} is not positive")
    if arguments.out:
        check_suffix(arguments.out)
        if arguments.out.exists() and arguments.out.resolve() == Path(arguments.video).resolve():
            raise UsageError(f"-o {arguments.out} is the video itself; give another name")
        check_writable(arguments.out, force=arguments.force)


def run_video(arguments: argparse.Namespace, artifact: Artifact, video: VideoReader) -> int:
    """`codegen.run --video`, the artifact loaded and the video opened; Ctrl-C ends it with what there is.

    Returns:
        Exit status: 130 if a file was not read to its end because of Ctrl-C, else 0.
    """
    tally, started = _Tally(keep_people=arguments.json), time.monotonic()
    output = video_writer(arguments.out, video, arguments.force) if arguments.out else nullcontext()
    total = min(filter(None, (video.frames, arguments.max_frames)), default=0)
    with until_interrupted() as interrupted, output as writer, status(video.source) as progress:
        for followed in follow(artifact, video, smooth=not arguments.no_smooth):
            tally.add(followed)
            if writer is not None:
                writer.write(draw_people(followed.frame.image, followed.people), followed.frame.secs)
            _show(progress, tally, total, started)
            if interrupted() or len(tally.frames) == arguments.max_frames:
                break
        stopped = interrupted()
    took = time.monotonic() - started
    if not stopped and len(tally.frames) < total:
        log.warning("%s says it has %d frames; %d could be read", video.source, video.frames, len(tally.frames))
    if arguments.json:
        cli.print_json(_report(arguments, artifact, video, tally, took, stopped))
    else:
        _print(arguments, artifact, video, tally, took)
    if stopped:
        print(f"interrupted after {len(tally.frames)} frames", file=sys.stderr)
    return INTERRUPTED if stopped and not video.live else 0


def _show(progress: Progress, tally: _Tally, total: int, started: float) -> None:
    done, people = len(tally.frames), tally.frames[-1]["people"]
    of = f" of {total}" if total else ""
    rate = done / max(1e-9, time.monotonic() - started)
    progress(f"frame {done}{of}, {rate:.1f} fps, {people} {'person' if people == 1 else 'people'}", done, total)


def _report(
    arguments: argparse.Namespace, artifact: Artifact, video: VideoReader, tally: _Tally, took: float, stopped: bool
) -> dict[str, Any]:
    """Everything a run found, as one JSON object; "people" is COCO's result format, image_id the frame's number."""
    return {
        "artifact": str(artifact.path),
        "model": artifact.manifest.model,
        "device": encode(artifact.session.info),
        "input_size": list(tally.input_size),
        "video": {"source": video.source, "size": list(video.size), "fps": video.fps, "frames": video.frames or None},
        "out": str(arguments.out) if arguments.out else None,
        "smooth": not arguments.no_smooth,
        "interrupted": stopped,
        "secs": took,
        "identities": len(tally.identities),
        "frames": tally.frames,
        "people": tally.people,
    }


def _print(arguments: argparse.Namespace, artifact: Artifact, video: VideoReader, tally: _Tally, took: float) -> None:
    (height, width), frames = tally.input_size, len(tally.frames)
    print(f"{artifact.manifest.model} at {height}x{width} on {artifact.session.info.name}")
    print(f"{frames} frames of {video.source} in {took:.1f} s: {frames / took:.1f} fps, reading and drawing included")
    print(
        f"one frame to people: {tally.median('find_ms'):.1f} ms, decoding {tally.median('decode_ms'):.1f} ms (medians)"
    )
    mean = sum(frame["people"] for frame in tally.frames) / frames
    print(f"{len(tally.identities)} identities, {mean:.1f} people in a frame")
    if arguments.out:
        print(f"video: {arguments.out}")
