"""Videos read and written: times, sizes, what is no video, what cannot be written."""

import contextlib
import errno
import http.server
import io
import os
import threading
import time

import cv2
import numpy as np
import pytest

from codegen.artifact.video import CODECS, VideoReader, VideoWriter, check_suffix, video_writer
from fleetpose.errors import FleetposeError, UsageError


def picture(number, height=48, width=64):
    """Grey by its number; a video codec keeps that much."""
    return np.full((height, width, 3), 20 + 20 * number, np.uint8)


def write_video(path, frames=6, fps=25.0, size=(48, 64)):
    writer = VideoWriter(path, size, fps, follow_clock=False)
    for number in range(frames):
        writer.write(picture(number, *size), number / fps)
    writer.finish()
    return path


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "in.mp4")


@pytest.mark.parametrize("suffix", CODECS)
def test_video_frames_are_read_as_written(tmp_path, suffix):
    path = write_video(tmp_path / f"in{suffix}")
    with VideoReader(str(path)) as reader:
        assert (reader.size, reader.frames, reader.live) == ((48, 64), 6, False)
        assert reader.fps == pytest.approx(25)
        frames = list(reader)
    assert [frame.number for frame in frames] == list(range(6))
    np.testing.assert_allclose([frame.secs for frame in frames], np.arange(6) / 25, atol=2e-3)
    for frame in frames:
        assert frame.image.shape == (48, 64, 3)
        assert abs(frame.image.mean() - picture(frame.number).mean()) < 6


def test_odd_sizes_lose_at_most_a_row_and_a_column(tmp_path):
    with VideoReader(str(write_video(tmp_path / "odd.mp4", size=(47, 65)))) as reader:
        assert reader.size in ((46, 64), (47, 65))


def test_times_grow_even_where_stamps_do_not(video):
    with VideoReader(str(video)) as reader:
        real = reader._capture

        class Stuck:
            """A capture whose time stamps are one and the same."""

            read, release = real.read, real.release

            def get(self, name):
                return 0.0 if name == cv2.CAP_PROP_POS_MSEC else real.get(name)

        reader._capture = Stuck()
        secs = [frame.secs for frame in reader]
    np.testing.assert_allclose(secs, np.arange(6) / 25)


def refused(source):
    with pytest.raises(UsageError) as caught:
        VideoReader(str(source))
    return str(caught.value)


def test_video_reader_refuses_other_files(tmp_path, monkeypatch):
    text = tmp_path / "text.mp4"
    text.write_text("not a video" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    photo = tmp_path / "photo.PNG"
    photo.write_bytes(cv2.imencode(".png", picture(1))[1].tobytes())
    assert "text.mp4 is not a video" in refused(text)
    assert "empty.mp4 is not a video" in refused(empty)
    assert "No such file" in refused(tmp_path / "none.mp4")
    assert "is a directory" in refused(tmp_path)
    assert "is a picture; use --image" in refused(photo)
    monkeypatch.chdir(tmp_path)
    assert refused("77").startswith("camera 77 gives no pictures; this machine")


def test_video_reader_ends_where_a_file_is_damaged(video, tmp_path):
    """An .mp4 that was cut off has no index, so nothing in it can be read."""
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert "is not a video" in refused(damaged)


def test_video_reader_keeps_opencv_and_ffmpeg_silent(video, tmp_path, capfd):
    refused(write_text(tmp_path / "text.mp4"))
    refused("77")
    list(VideoReader(str(video)))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def write_text(path):
    path.write_text("no video")
    return path


@pytest.mark.parametrize(
    "name", ["frames_001", "clip_%02d.mp4", "100%", "shots%d", "a_%d://x", "http://127.0.0.1:1/frames/", "x" * 300]
)
def test_video_reader_takes_no_name_for_a_numbered_sequence(tmp_path, monkeypatch, name):
    """Of such names OpenCV wants the starting number of a sequence of pictures, in an error of its own."""
    monkeypatch.chdir(tmp_path)
    if "/" not in name and len(name) < 256:
        (tmp_path / name).write_text("no video" * 20)
    assert len(refused(name).splitlines()) == 1
    assert "OpenCV(" not in refused(name)


def test_video_reader_refuses_pictures_of_a_sequence(tmp_path):
    for number in (1, 2):
        (tmp_path / f"shot_{number}.TIF").write_bytes(cv2.imencode(".tif", picture(1))[1].tobytes())
    assert "shot_1.TIF is a picture; use --image" in refused(tmp_path / "shot_1.TIF")


@contextlib.contextmanager
def served(answer):
    """A server on loopback that answers every GET by `answer(handler)`; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):  # the reader has gone
                answer(self)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def send_file(path):
    def answer(handler):
        content = path.read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def send_camera(handler):
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    jpeg = cv2.imencode(".jpg", picture(3))[1].tobytes()
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
    for _ in range(1000):
        handler.wfile.write(head + jpeg + b"\r\n")
        time.sleep(0.005)


def test_recording_behind_a_url_keeps_its_own_times(video, tmp_path):
    """It is read as fast as it can be, and what is written of it is as long as it is."""
    with served(send_file(video)) as url, VideoReader(f"{url}/in.mp4") as reader:
        assert (reader.live, reader.frames) == (False, 6)
        with video_writer(tmp_path / "out.mp4", reader) as writer:
            for frame in reader:
                time.sleep(0.1)  # as a slow network would take
                writer.write(frame.image, frame.secs)
        assert writer.frames == 6
    assert frame.secs == pytest.approx(5 / 25, abs=2e-3)


def test_stream_behind_a_url_is_live():
    with served(send_camera) as url, VideoReader(f"{url}/camera") as reader:
        assert (reader.live, reader.frames) == (True, 0)
        frames = iter(reader)
        before, after = next(frames).secs, next(frames).secs
        assert before < after


def test_video_reader_reads_a_file_named_like_a_camera(video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video.rename("0")
    with VideoReader("0") as reader:
        assert not reader.live
        assert len(list(reader)) == 6


def test_live_pictures_play_at_the_true_speed(tmp_path):
    """Ten pictures a second, unevenly, in a video of 30: each stays until the next; a long pause is cut short."""
    path = tmp_path / "live.avi"
    writer = VideoWriter(path, (48, 64), 30.0, follow_clock=True)
    for number, secs in enumerate([0.0, 0.1, 0.2, 0.35, 0.4, 0.401]):
        writer.write(picture(number), secs)
    assert writer.frames == round(0.4 * 30) + 1
    writer.write(picture(7), 1000.0)
    assert writer.frames == 13 + 60
    writer.finish()


def test_the_file_appears_at_the_end_or_not_at_all(video, tmp_path):
    out = tmp_path / "deep" / "out.mp4"
    with VideoReader(str(video)) as reader:
        with pytest.raises(cv2.error), video_writer(out, reader) as writer:
            writer.write("no picture", 0.0)
        assert list(out.parent.iterdir()) == []
        with video_writer(out, reader) as writer:
            writer.write(picture(0), 0.0)
            assert not out.exists()
        assert [path.name for path in out.parent.iterdir()] == ["out.mp4"]
        with pytest.raises(UsageError, match="add --force"), video_writer(out, reader):
            pass
        with video_writer(out, reader, force=True) as writer:
            writer.write(picture(0), 0.0)


def test_video_writer_refuses_what_it_cannot_write(video, tmp_path):
    with pytest.raises(UsageError, match=r"x.gif: videos are written as .mp4"):
        check_suffix(tmp_path / "x.gif")
    with pytest.raises(UsageError, match=r"OpenCV writes no .mp4 of 1x1 pixels here; give -o NAME.avi"):
        VideoWriter(tmp_path / "x.mp4", (1, 1), 25.0, follow_clock=False)


def test_names_that_are_not_utf_8_are_written_and_refused_where_opencv_would_crash(video, tmp_path):
    bad = os.fsdecode(b"n\xe9e")
    with VideoReader(str(video)) as like, video_writer(tmp_path / f"{bad}.avi", like) as writer:
        writer.write(picture(1), 0.0)
    assert (tmp_path / f"{bad}.avi").stat().st_size > 1000
    with pytest.raises(UsageError, match=r"the video .*n\\udce9e.avi has a name that is not UTF-8; rename it"):
        VideoReader(str(tmp_path / f"{bad}.avi"))
    with pytest.raises(UsageError, match=r"the folder .*n\\udce9e has a name that is not UTF-8"):
        check_suffix(tmp_path / bad / "out.avi")


def test_video_writer_notices_a_full_disk(video, tmp_path):
    """OpenCV says nothing when it cannot write; /dev/full is a disk without room."""
    try:
        with io.FileIO("/dev/full", "w") as full, pytest.raises(OSError) as caught:
            full.write(b"x")
    except FileNotFoundError:
        pytest.skip("no /dev/full here")
    assert caught.value.errno == errno.ENOSPC
    link = tmp_path / "full.avi"
    link.symlink_to("/dev/full")
    writer = VideoWriter(link, (480, 640), 25.0, follow_clock=False)
    for number in range(10):
        writer.write(picture(number, 480, 640), 0.0)
    with pytest.raises(FleetposeError, match="only 0 of 10 frames could be written; is the disk full"):
        writer.finish()
