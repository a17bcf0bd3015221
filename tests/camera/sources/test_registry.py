"""The kinds of source that OpenCV opens, on real files and a real camera server."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import (
    SOURCES,
    CameraSettings,
    CameraSource,
    Container,
    FolderSource,
    Frame,
    NoFrame,
    Source,
    SourceKind,
    Stream,
    SyntheticCamera,
    VideoSource,
    may_be_path,
    open_source,
)
from pcedge.errors import CameraError, PcedgeError


def _film(path: Path, codec: str, frames: int = 20) -> None:
    """Red on the left, frame number as the brightness of green on the right."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        image_bgr = np.zeros((48, 64, 3), np.uint8)
        image_bgr[:, :32, 2] = 220
        image_bgr[:, 32:, 1] = min(10 * number, 250)
        writer.write(image_bgr)
    writer.release()


def _frames(source: Source) -> list[Frame]:
    frames = []
    while (got := source.read(0.1)) is not NoFrame.END:
        assert isinstance(got, Frame)
        frames.append(got)
    return frames


def _pictures(frames: list[Frame]) -> list[NDArray[np.uint8]]:
    return [frame.image_rgb for frame in frames if frame.image_rgb is not None]


@pytest.mark.parametrize(
    ("name", "codec"), [("film.mp4", "mp4v"), ("film.avi", "MJPG"), ("film.mkv", "MJPG")]
)
def test_a_video_gives_every_frame_in_order_as_rgb(tmp_path: Path, name: str, codec: str) -> None:
    _film(tmp_path / name, codec)

    with open_source(str(tmp_path / name)) as source:
        frames = _frames(source)
        assert source.read(0.1) is NoFrame.END

    pictures = _pictures(frames)
    assert (source.name, source.live, len(pictures)) == (name, False, 20)
    assert [frame.index for frame in frames] == list(range(20))
    assert frames[12].name == "frame-000012"
    assert all(picture[20, 10, 0] > 180 and picture[20, 10, 2] < 50 for picture in pictures)
    greens = [int(picture[20, 50, 1]) for picture in pictures]
    assert np.abs(np.array(greens) - np.arange(0, 200, 10)).max() < 12


@pytest.mark.parametrize("keep", [0, 30, 0.5])
def test_a_broken_video_is_an_error(tmp_path: Path, keep: float) -> None:
    for name, codec in (("film.mp4", "mp4v"), ("film.avi", "MJPG")):
        path = tmp_path / name
        _film(path, codec, frames=40)
        data = path.read_bytes()
        path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
        with (
            pytest.raises(CameraError, match=rf"{name}: (cannot be opened: it is not a video|is damaged)"),
            open_source(str(path)) as source,
        ):
            _frames(source)


def test_a_text_file_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_text("hello " * 1000)

    with (
        pytest.raises(CameraError, match="not a video"),
        open_source(str(tmp_path / "film.mp4")),
    ):
        pass


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("97", r"cam97: there is no /dev/video97"),
        ("v4l2:///dev/video97", r"v4l2:///dev/video97: there is no /dev/video97"),
        ("missing.mp4", r"missing\.mp4: no such file or folder"),
        (
            "ftp://me:hunter2@host/film.mp4",
            r"'ftp://\*\*\*@host/\*\*\*' names no kind of source",
        ),
        ("folder:", "names no kind"),
        ("", "names no kind"),
        ("synthetic:?frames=many", "does not understand frames=many"),
        ("synthetic:?size=big", "does not understand size=big"),
        ("gst:rtspsrc location=rtsp://me:hunter2@host ! appsink", "without GStreamer"),
    ],
)
def test_what_is_no_source_is_refused_with_what_to_type(uri: str, message: str) -> None:
    with pytest.raises(CameraError, match=message) as caught, open_source(uri):
        pass

    assert caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_out_of_range_options_of_the_synthetic_camera_are_refused() -> None:
    with pytest.raises(PcedgeError, match="defect rate"):
        open_source("synthetic:?defects=7")


def test_a_picture_is_pointed_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "part.png").touch()

    with pytest.raises(CameraError, match="is an image") as caught:
        open_source(str(tmp_path / "part.png"))
    assert "folder:DIR" in caught.value.hint


def test_each_kind_of_address_opens_its_kind_of_source(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    kinds = {
        f"folder:{tmp_path}": FolderSource,
        str(tmp_path): FolderSource,
        str(tmp_path / "film.mp4"): VideoSource,
        "rtsp://host/live": CameraSource,
        "RTSPS://host/live": CameraSource,
        "http://host/live": CameraSource,
        "synthetic:": SyntheticCamera,
    }

    assert {uri: type(open_source(uri)) for uri in kinds} == kinds


def test_the_synthetic_camera_takes_its_options_from_the_address() -> None:
    with open_source("synthetic:?frames=3&seed=5&defects=0") as source:
        frames = _frames(source)

    assert len(frames) == 3
    assert all(frame.name.endswith("good") for frame in frames)
    assert open_source("synthetic:?fps=10").live


class _CameraServer:
    """A network camera: MJPEG over HTTP, red images; can be switched off and on again."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.size_wh = (64, 48)
        self.silent = False
        self.path = ""
        self._server: ThreadingHTTPServer | None = None

    def on(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def off(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.path = self.path
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=pic")
                self.end_headers()
                mine = camera._server
                try:
                    while mine is not None and camera._server is mine:
                        if not camera.silent:
                            self.wfile.write(camera._part())
                        time.sleep(0.02)
                except OSError:
                    return

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler

    def _part(self) -> bytes:
        width, height = self.size_wh
        image_bgr = np.full((height, width, 3), (0, 0, 220), np.uint8)
        _, jpeg = cv2.imencode(".jpg", image_bgr)
        head = f"--pic\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        return head.encode() + jpeg.tobytes() + b"\r\n"


@pytest.fixture
def server() -> Iterator[_CameraServer]:
    camera = _CameraServer()
    camera.on()
    yield camera
    camera.off()


def _until(stream: Stream, wanted: Callable[[Frame], bool], within_s: float = 12) -> list[Frame]:
    """Frames up to the first wanted one."""
    seen = []
    stream.stop_after(within_s)
    for frame in stream:
        seen.append(frame)
        if wanted(frame):
            return seen
    raise AssertionError(f"not in {within_s} s; faults: {[frame.fault for frame in seen]}")


def test_a_network_camera_that_goes_away_is_a_fault_and_comes_back_with_another_size(
    server: _CameraServer, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = f"http://me:hunter2@127.0.0.1:{server.port}/live?token=hunter2"
    with Stream(open_source(uri)) as stream:
        first = _until(stream, lambda frame: frame.image_rgb is not None)[-1]
        server.off()
        lost = _until(stream, lambda frame: bool(frame.fault))[-1]
        server.size_wh = (96, 80)
        server.on()
        back = _until(stream, lambda frame: frame.image_rgb is not None)[-1]
        assert stream.name == f"http://***@127.0.0.1:{server.port}/***"

    assert server.path == "/live?token=hunter2"
    assert first.image_rgb is not None
    assert first.image_rgb.shape == (48, 64, 3)
    assert first.image_rgb[20, 20, 0] > 200
    assert first.image_rgb[20, 20, 2] < 20
    assert lost.image_rgb is None
    assert "reopen" in lost.fault
    assert back.image_rgb is not None
    assert back.image_rgb.shape == (80, 96, 3)
    assert first.index < lost.index < back.index
    assert "hunter2" not in str(first) + str(lost) + "".join(capfd.readouterr())


def test_a_lost_camera_is_tried_again_ever_more_slowly(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    _film(path, "MJPG", frames=1)
    with CameraSource("cam", lambda: Container(path)) as source:
        assert isinstance(source.read(0.1), Frame)
        path.unlink()
        faults: list[tuple[float, str]] = []
        while len(faults) < 3:
            got = source.read(0.1)
            if isinstance(got, Frame):
                faults.append((time.monotonic(), got.fault.split(" in ")[-1]))

    times, pauses = zip(*faults, strict=True)
    assert pauses == ("0.5 s", "1 s", "2 s")
    assert times[1] - times[0] > 0.4
    assert times[2] - times[1] > 0.9


def test_a_picture_starts_the_count_of_attempts_and_the_pauses_afresh(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    _film(path, "MJPG", frames=1)

    pictures, faults = 0, []
    with CameraSource("cam", lambda: Container(path), max_reconnects=1) as source:
        while pictures < 4:
            got = source.read(0.1)
            if isinstance(got, Frame):
                pictures += got.image_rgb is not None
                faults += [got.fault] if got.fault else []

    assert len(faults) == 3
    assert all(fault.endswith("in 0.5 s") for fault in faults)


def test_a_network_camera_that_stays_away_ends_after_the_attempts_allowed(
    server: _CameraServer,
) -> None:
    source = open_source(f"http://127.0.0.1:{server.port}/", max_reconnects=1)
    with Stream(source) as stream:
        _until(stream, lambda frame: frame.image_rgb is not None)
        server.off()
        with pytest.raises(CameraError, match="1 attempts to reopen it returned no image"):
            _until(stream, lambda frame: False)


def test_leaving_does_not_wait_for_a_camera_that_is_silent(
    server: _CameraServer,
) -> None:
    with Stream(open_source(f"http://127.0.0.1:{server.port}/")) as stream:
        _until(stream, lambda frame: frame.image_rgb is not None)
        server.silent = True
        time.sleep(0.3)
        began = time.monotonic()
    assert time.monotonic() - began < 8


def test_a_network_camera_that_does_not_answer_cannot_be_opened(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for scheme in ("http", "rtsp"):
        uri = f"{scheme}://me:hunter2@127.0.0.1:{port}/live"
        with pytest.raises(CameraError, match="cannot be opened") as caught, open_source(uri):
            pass
        assert "hunter2" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_settings_that_a_camera_does_not_have_are_refused_by_name(server: _CameraServer) -> None:
    settings = CameraSettings(size_wh=(64, 999), exposure=3.0)
    source = open_source(f"http://127.0.0.1:{server.port}/", settings=settings)

    with (
        pytest.raises(CameraError, match=r"does not support these settings: .*height 999, exposure 3"),
        source,
    ):
        pytest.fail("opened")
    with open_source(f"http://127.0.0.1:{server.port}/", settings=CameraSettings()) as source:
        assert isinstance(source.read(5), Frame)


def test_what_is_no_camera_has_no_settings(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="has no size, rate, exposure or focus"):
        open_source(str(tmp_path), settings=CameraSettings(fps=5))


def test_a_kind_of_source_is_one_line_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = SourceKind(
        "toy:FRAMES",
        lambda uri: uri.startswith("toy:"),
        lambda uri, _asked: SyntheticCamera(frames=int(uri.removeprefix("toy:"))),
    )
    monkeypatch.setattr("pcedge.camera.sources.registry.SOURCES", (*SOURCES, toy))

    with open_source("toy:3") as source:
        assert len(_frames(source)) == 3
    assert not may_be_path("toy:3")
    with pytest.raises(CameraError) as caught:
        open_source("tory:3")
    assert "toy:FRAMES" in caught.value.hint
