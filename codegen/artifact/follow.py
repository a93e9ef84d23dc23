"""People through a video: an artifact on every frame, identities, smoothing, drawing. Torch-free."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import find_people
from codegen.artifact.video import Frame, VideoReader, video_writer
from fleetpose.interrupt import until_interrupted
from fleetpose.progress import Report, no_report
from models.pose.drawing.draw import draw_people
from models.pose.person import Person
from models.pose.tracking.smooth import OneEuroSettings, Smoother
from models.pose.tracking.track import Tracker
from models.preprocess import contained_size

log = logging.getLogger("fleetpose.follow")


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
class FollowedVideo:
    """What is kept of a video, never a picture.

    Attributes:
        input_size: (height, width) of the network's input.
        frames: of each frame its number, its time, how many people there are, and how long finding them took.
        people: COCO entries, if these are kept; image_id is the frame's number, from 0.
        identities: of everybody who was seen.
        secs: that all took, reading and drawing included.
        interrupted: Ctrl-C ended it.
    """

    keep_people: bool = True
    input_size: tuple[int, int] = (0, 0)
    frames: list[dict[str, Any]] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    identities: set[int] = field(default_factory=set)
    secs: float = 0.0
    interrupted: bool = False

    def add(self, followed: Followed) -> None:
        """Take in one frame."""
        self.input_size = followed.input_size
        self.identities.update(person.identity for person in followed.people if person.identity)
        times = {"find_ms": 1e3 * followed.find_secs, "decode_ms": 1e3 * followed.decode_secs}
        self.frames.append(
            {"image_id": followed.frame.number, "secs": followed.frame.secs, "people": len(followed.people), **times}
        )
        if self.keep_people:
            self.people += [person.to_coco(followed.frame.number) for person in followed.people]

    def median(self, name: str) -> float:
        """Of a number that every frame has."""
        return statistics.median(frame[name] for frame in self.frames)


@dataclass(frozen=True)
class FollowSettings:
    """How a video is followed and drawn.

    Attributes:
        smooth: see `follow`.
        max_frames: stop after so many.
        keep_people: False keeps only counts of them, which a camera that runs for days needs.
        names: write the names of joints beside them.
    """

    smooth: bool = True
    max_frames: int | None = None
    keep_people: bool = True
    names: bool = False


def follow_video(
    artifact: Artifact,
    video: VideoReader,
    settings: FollowSettings,
    out: Path | None = None,
    force: bool = False,
    report: Report = no_report,
) -> FollowedVideo:
    """Follow the people in a video; Ctrl-C ends it with what there is.

    Args:
        out: video to write with the people drawn; force: replace it.
    """
    max_frames = settings.max_frames
    result, started = FollowedVideo(settings.keep_people), time.monotonic()
    output = video_writer(out, video, force) if out else nullcontext()
    total = min(filter(None, (video.frames, max_frames)), default=0)
    with until_interrupted() as interrupted, output as writer:
        for followed in follow(artifact, video, settings.smooth):
            result.add(followed)
            if writer is not None:
                drawn = draw_people(followed.frame.image, followed.people, names=settings.names)
                writer.write(drawn, followed.frame.secs)
            _show(report, result, total, started)
            if interrupted() or len(result.frames) == max_frames:
                break
        result.interrupted = interrupted()
    result.secs = time.monotonic() - started
    if not result.interrupted and len(result.frames) < total:
        log.warning("%s says it has %d frames; %d could be read", video.source, video.frames, len(result.frames))
    return result


def _show(report: Report, result: FollowedVideo, total: int, started: float) -> None:
    done, people = len(result.frames), result.frames[-1]["people"]
    of = f" of {total}" if total else ""
    rate = done / max(1e-9, time.monotonic() - started)
    report(f"frame {done}{of}, {rate:.1f} fps, {people} {'person' if people == 1 else 'people'}", done, total)
