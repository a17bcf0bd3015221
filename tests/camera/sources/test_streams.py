"""Damaged images in streams, and videos: to their end, cut off, turned."""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import Frame, NoFrame, Source, open_source
from pcedge.errors import CameraError

WITHIN_S = 30.0
ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def _image(number: int, size_wh: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    image = np.random.default_rng(number).integers(60, 200, (size_wh[1] // 8, size_wh[0] // 8, 3), np.uint8)
    return np.asarray(cv2.resize(image, size_wh), np.uint8)


def _jpeg(number: int, size_wh: tuple[int, int] = (64, 48)) -> bytes:
    return cv2.imencode(".jpg", _image(number, size_wh))[1].tobytes()


def _part(jpeg: bytes) -> bytes:
    return b"--pic\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)


@contextmanager
def _server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/cam"
        server.shutdown()


def _head(request: BaseHTTPRequestHandler, kind: str, status: int = 200) -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.end_headers()


def _frames(source: Source, count: int) -> list[Frame]:
    frames: list[Frame] = []
    until = time.monotonic() + WITHIN_S
    while len(frames) < count and time.monotonic() < until:
        got = source.read(0.1)
        if got is NoFrame.END:
            break
        if isinstance(got, Frame):
            frames.append(got)
    return frames


def _sizes(frames: list[Frame]) -> list[tuple[int, ...] | str]:
    return [f.fault if f.image_rgb is None else f.image_rgb.shape[1::-1] for f in frames]


def test_a_damaged_image_in_a_stream_is_a_fault_and_the_stream_goes_on() -> None:
    def stream(request: BaseHTTPRequestHandler) -> None:
        _head(request, "multipart/x-mixed-replace; boundary=pic")
        for number in range(60):
            request.wfile.write(_part(b"\xff\xd8no image" if number == 2 else _jpeg(number)))
            time.sleep(0.01)

    with _server(stream) as uri, open_source(uri) as source:
        frames = _frames(source, 5)

    assert _sizes(frames) == [(64, 48)] * 2 + ["an image cannot be decoded"] + [(64, 48)] * 2


def _film(path: Path, *arguments: str, frames: int = 20, before: tuple[str, ...] = ()) -> Path:
    images = path.parent / "images"
    images.mkdir(exist_ok=True)
    for number in range(frames):
        cv2.imwrite(str(images / f"{number:03d}.png"), _image(number))
    source = ("-framerate", "10", "-i", str(images / "%03d.png"))
    _ffmpeg(*before, *source, *arguments, str(path))
    return path


def _ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def _all(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        return _frames(source, 1000)


@ffmpeg
def test_a_flawless_video_is_judged_to_its_end_whatever_its_header_estimates(tmp_path: Path) -> None:
    variable = ("-vf", "select='lt(n,4)+not(mod(n,5))'", "-fps_mode", "vfr")
    sound = ("-f", "lavfi", "-i", "sine=d=12")
    whole = _film(tmp_path / "whole.mp4", *X264, "-g", "250", "-bf", "0")
    trimmed = tmp_path / "trimmed.mp4"
    _ffmpeg("-ss", "1.5", "-i", str(whole), "-c", "copy", str(trimmed))
    expected = {
        _film(tmp_path / "variable.mkv", *variable, *X264): 7,
        _film(tmp_path / "sound.mkv", *sound, *X264, "-c:a", "aac"): 20,
        _film(tmp_path / "sound.mp4", *sound, *X264, "-c:a", "aac"): 20,
        _film(tmp_path / "pieces.mp4", *X264, "-movflags", "frag_keyframe+empty_moov"): 20,
        _film(tmp_path / "stream.ts", *X264): 20,
        trimmed: 5,
    }

    frames = {path: _all(path) for path in expected}

    assert {path: len(found) for path, found in frames.items()} == expected
    assert all(frame.may_repeat is False or not frame.fault for found in frames.values() for frame in found)


@ffmpeg
@pytest.mark.parametrize("share", [0.5, 0.93])
@pytest.mark.parametrize("name", ["film.mkv", "film.webm", "film.mp4"])
def test_a_video_that_was_cut_off_is_said_to_be_damaged(tmp_path: Path, name: str, share: float) -> None:
    codec = ("-c:v", "libvpx", "-deadline", "realtime") if name.endswith("webm") else X264
    path = _film(tmp_path / name, *codec, *(("-movflags", "faststart") if name.endswith("mp4") else ()))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    with pytest.raises(CameraError, match=rf"{name}: is damaged: it ends after \d+"):
        _all(path)


@ffmpeg
def test_a_video_is_upright_as_players_show_it(tmp_path: Path) -> None:
    path, turned = _film(tmp_path / "a.mp4", *X264, frames=2), tmp_path / "turned.mp4"
    _ffmpeg("-i", str(path), "-c", "copy", "-metadata:s:v:0", "rotate=90", str(turned))

    expected = cv2.VideoCapture(str(turned), cv2.CAP_FFMPEG).read()[1][:, :, ::-1]
    found = _all(turned)[0].image_rgb

    assert found is not None
    assert found.shape == (64, 48, 3)
    assert np.array_equal(found, expected)


@ffmpeg
def test_a_file_without_images_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    _ffmpeg("-f", "lavfi", "-i", "sine=d=1", str(path))

    with pytest.raises(CameraError, match="has no video"):
        _all(path)


@ffmpeg
def test_equal_images_of_a_scene_at_rest_say_nothing_where_noise_is_left_out(tmp_path: Path) -> None:
    served = _film(tmp_path / "film.ts", *X264).read_bytes()

    def stream(request: BaseHTTPRequestHandler) -> None:
        _head(request, "video/mp2t")
        request.wfile.write(served)

    with _server(stream) as uri, open_source(uri) as source:
        assert [frame.may_repeat for frame in _frames(source, 3)] == [True] * 3
