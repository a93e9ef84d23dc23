"""People through a video, from its file to COCO results and an annotated video; a network is not needed here."""

import contextlib
import io
import json
import os
import signal
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from benchmarks.synthetic_people import STANDING, render_fields
from codegen import run
from codegen.artifact import follow
from codegen.artifact.pose import PoseResult
from codegen.artifact.video import Frame, VideoReader, VideoWriter
from devices.info import DeviceInfo
from fleetpose import cli
from fleetpose.errors import UsageError
from models.pose.decoding.paf import decode
from models.preprocess import Placement

FRAMES, SIZE = 12, (240, 320)
PLACEMENT = Placement(SIZE, SIZE, SIZE)


def truth(number):
    """(2, 18, 2) joints, pixels: two people who walk towards each other."""
    return np.array([STANDING * 200 + (80 + 3 * number, 15), STANDING * 200 + (240 - 3 * number, 15)])


@pytest.fixture
def walking(monkeypatch):
    """In the place of a network: the maps a perfect one would give, in turn; decoded, tracked, drawn for real."""
    numbers = iter(range(10**6))

    def find_people(artifact, image, decodes):
        cells = (truth(next(numbers)) + 0.5) / 8 - 0.5
        maps = render_fields(cells, (SIZE[0] // 8, SIZE[1] // 8), 0.0, np.random.default_rng(0))
        return PoseResult(decode(maps["heatmaps"], maps["pafs"], PLACEMENT), SIZE, 0.001)

    monkeypatch.setattr(follow, "find_people", find_people)


@pytest.fixture
def artifact():
    info = DeviceInfo(name="nothing")
    return SimpleNamespace(path="a.so", manifest=SimpleNamespace(model="perfect"), session=SimpleNamespace(info=info))


@pytest.fixture
def video(tmp_path):
    writer = VideoWriter(tmp_path / "in.mp4", SIZE, 25.0, follow_clock=False)
    for _ in range(FRAMES):
        writer.write(np.full((*SIZE, 3), 90, np.uint8), 0.0)
    writer.finish()
    return tmp_path / "in.mp4"


@pytest.fixture
def run_video(monkeypatch, artifact, video):
    """The command on the video, with what stands in for a device and an artifact; its exit status."""
    monkeypatch.setattr(run.lean, "without_compiler", lambda: None)
    monkeypatch.setattr(run, "open_device", contextlib.nullcontext)
    monkeypatch.setattr(run, "Artifact", lambda path, session, _force: artifact)
    monkeypatch.setattr(run, "check_pose", lambda manifest: None)
    argv = ["--artifact", "a.so", "--video", str(video)]
    return lambda *flags: cli.run(run.main, run.make_parser(), [*argv, *map(str, flags)])


def test_the_report_is_one_object_whose_people_pycocotools_loads(walking, run_video, capsys):
    assert run_video("--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["video"]["frames"] == len(report["frames"]) == FRAMES
    assert (report["identities"], report["interrupted"], report["out"]) == (2, False, None)
    assert [frame["image_id"] for frame in report["frames"]] == list(range(FRAMES))
    assert {entry["track_id"] for entry in report["people"]} == {1, 2}
    coco = COCO()
    coco.dataset = {"images": [{"id": number} for number in range(FRAMES)], "categories": [{"id": 1}]}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        loaded = coco.loadRes(report["people"])
    for number in range(FRAMES):
        entries = loaded.loadAnns(loaded.getAnnIds([number]))
        assert len(entries) == 2
        assert len({entry["track_id"] for entry in entries}) == 2


def test_follow_keeps_identities_with_their_people(walking, artifact):
    frames = [Frame(number, number / 25, np.zeros((*SIZE, 3), np.uint8)) for number in range(FRAMES)]
    last = {}
    for one in follow.follow(artifact, frames, smooth=False):
        for person in one.people:
            x = person.keypoints[1, 0]
            assert abs(x - last.get(person.identity, x)) < 10
            last[person.identity] = x
    assert sorted(last) == [1, 2]


def test_follow_leaves_smoothing_out_on_request(walking, run_video, capsys):
    run_video("--json")
    smooth = json.loads(capsys.readouterr().out)
    run_video("--json", "--no-smooth")
    plain = json.loads(capsys.readouterr().out)
    assert (smooth["smooth"], plain["smooth"]) == (True, False)
    assert smooth["people"] != plain["people"]


def test_smoothing_is_alike_at_any_resolution():
    image = np.zeros((1080, 1920, 3), np.uint8)
    small, large = (follow._at_scale(Frame(0, 0.0, image[:height]), (368, 656)).beta for height in (368, 1080))
    assert small == pytest.approx(0.05 * 126 / 368, rel=0.01)  # 1920 x 368 is 126 pixels high in 656 x 368
    assert large == pytest.approx(0.05 * 368 / 1080, rel=0.01)


def test_people_are_drawn_and_the_summary_is_true(walking, run_video, capsys, tmp_path):
    out = tmp_path / "out.mp4"
    assert run_video("-o", out) == 0
    printed = capsys.readouterr()
    assert f"{FRAMES} frames of" in printed.out
    assert "2 identities, 2.0 people in a frame" in printed.out
    assert str(out) in printed.out
    assert printed.err == ""
    with VideoReader(str(out)) as reader:
        frames = list(reader)
    assert len(frames) == FRAMES
    x, y = truth(5)[0, 1].round().astype(int)
    assert np.abs(frames[5].image[y - 3 : y + 4, x - 3 : x + 4].astype(int) - 90).max() > 60
    assert np.abs(frames[5].image[-8:, :8].astype(int) - 90).max() < 12


def test_run_video_ends_after_max_frames(walking, run_video, capsys):
    assert run_video("--json", "--max-frames", 4) == 0
    assert len(json.loads(capsys.readouterr().out)["frames"]) == 4


def test_run_video_keeps_what_there_is_at_ctrl_c(walking, run_video, capsys, tmp_path, monkeypatch):
    """Pressed while the third frame is worked on."""
    before = signal.getsignal(signal.SIGINT)
    draw, drawn = follow.draw_people, []

    def press(*arguments, **options):
        drawn.append(1)
        if len(drawn) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(*arguments, **options)

    monkeypatch.setattr(follow, "draw_people", press)
    out = tmp_path / "out.mp4"
    assert run_video("-o", out, "--json") == 130
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["interrupted"], len(report["frames"])) == (True, 3)
    assert "interrupted after 3 frames" in printed.err
    capture = cv2.VideoCapture(str(out))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--video", "v.mp4", "--layers"], "--layers goes with --image"),
        (["--video", "v.mp4", "--no-people"], "--no-people goes with --image"),
        (["--video", "v.mp4", "--sustained", "10"], "--sustained goes with --image"),
        (["--video", "v.mp4", "--max-frames", "0"], "argument --max-frames: '0' is not a whole number of at least 1"),
        (["--video", "v.mp4", "-o", "x.png"], "videos are written as"),
        (["--image", "v.png", "-o", "x.mp4"], "pictures are written as"),
        (["--image", "v.png", "--no-smooth"], "go with --video"),
        (["--video", "none.mp4"], "cannot read video none.mp4"),
    ],
)
def test_run_video_refuses_flags_that_do_not_fit(argv, text, capsys, monkeypatch):
    monkeypatch.setattr(run.lean, "without_compiler", lambda: None)
    assert cli.run(run.main, run.make_parser(), ["--artifact", "a.so", *argv]) == UsageError.exit_status
    assert text in capsys.readouterr().err


def test_codegen_run_takes_a_photograph_or_a_video_and_not_both(capsys):
    for argv in (["--image", "a", "--video", "b"], []):
        assert cli.run(run.main, run.make_parser(), ["--artifact", "a.so", *argv]) == 2
    printed = capsys.readouterr().err
    assert "not allowed with" in printed
    assert "one of the arguments --image --video is required" in printed
