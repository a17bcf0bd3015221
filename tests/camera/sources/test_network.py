"""Network cameras: whose certificates are accepted, single images, changing sizes, reasons."""

import gc
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from PIL import Image

from pcedge.camera import CameraSettings, Frame, NoFrame, Source, open_source
from pcedge.errors import CameraError, OptionError

_BOUNDARY = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"


def _jpeg(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), (200, 10, 10)).save(content, "JPEG")
    return content.getvalue()


class Camera(BaseHTTPRequestHandler):
    """A stream at ``/live``, one whose size changes at ``/other``, and an image at ``/snapshot.jpg``."""

    def do_GET(self) -> None:
        if self.path == "/snapshot.jpg":
            self._answer("image/jpeg", _jpeg(64, 48))
        elif self.path == "/login":
            self._answer("text/html", b"<html>")
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/closed":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        elif self.path in {"/live", "/other"}:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
            self.end_headers()
            self._stream()
        else:
            self.send_error(404)

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        first, then = _jpeg(64, 48), _jpeg(80, 96)
        try:
            for number in range(400):
                one = then if self.path == "/other" and number >= 50 else first
                self.wfile.write(_BOUNDARY % (len(one), one))
        except OSError:
            return  # the client has seen enough

    def log_message(self, *_: object) -> None:
        pass


class Authority:
    """Issues certificates.

    Args:
        folder: For its own.
    """

    def __init__(self, folder: Path) -> None:
        self._issuer = trustme.CA()
        self.path = folder / "authority.pem"
        self._issuer.cert_pem.write_to_path(str(self.path))

    def context(self, host: str) -> ssl.SSLContext:
        """Of a server with a certificate for this host name or address."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issuer.issue_cert(host).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Server(ThreadingHTTPServer):
    """Serves the camera, encrypted if it has a context; clients may go away whenever they like."""

    daemon_threads = True
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def _served(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with Server(("127.0.0.1", 0), Camera) as server:
        server.context = context
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _first(source: Source) -> Frame:
    frames = iter(lambda: source.read(1.0), NoFrame.END)
    return next(one for one in frames if isinstance(one, Frame))


def test_a_camera_with_a_certificate_of_the_named_issuer_is_accepted(authority: Authority) -> None:
    with (
        _served(authority.context("127.0.0.1")) as port,
        open_source(f"https://127.0.0.1:{port}/live", ca_file=str(authority.path)) as source,
    ):
        image = _first(source).image_rgb

    assert image is not None
    assert image.shape == (48, 64, 3)
    assert image[..., 0].mean() > 150 > image[..., 1].mean()


@pytest.mark.parametrize("path", ["live", "snapshot.jpg"])
@pytest.mark.parametrize(("host", "known"), [("127.0.0.1", False), ("other.example", True)])
def test_any_other_certificate_is_refused_unless_that_is_asked_for(
    authority: Authority, path: str, host: str, known: bool
) -> None:
    with _served(authority.context(host)) as port:
        address = f"https://127.0.0.1:{port}/{path}"
        # FFmpeg refuses by itself; what comes afterwards only finds the words.
        trust = str(authority.path) if known else ""
        with (
            pytest.raises(CameraError, match="certificate is not accepted") as caught,
            open_source(address, ca_file=trust),
        ):
            pass
        with open_source(address, insecure=True) as source:
            assert _first(source).image_rgb is not None

    assert "ca_file" in caught.value.what


@pytest.mark.parametrize("path", ["live", "snapshot.jpg"])
def test_an_encrypted_camera_cannot_lead_to_an_unencrypted_one(authority: Authority, path: str) -> None:
    with _served(authority.context("127.0.0.1")) as port, _served() as plain:
        address = f"https://127.0.0.1:{port}/to/http://127.0.0.1:{plain}/{path}"
        with (
            pytest.raises(CameraError, match="cannot be opened"),
            open_source(address, ca_file=str(authority.path)),
        ):
            pass


def test_a_camera_cannot_lead_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(_jpeg(64, 48))
    with _served() as port:
        address = f"http://127.0.0.1:{port}/to/file://{tmp_path}/secret.jpg"
        with pytest.raises(CameraError, match="cannot be opened"), open_source(address):
            pass


def test_a_playlist_in_the_place_of_a_video_opens_no_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        path = tmp_path / "film.mp4"
        path.write_text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
            f"http://127.0.0.1:{server.getsockname()[1]}/a.ts\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(CameraError), open_source(str(path)) as source:
            list(iter(lambda: source.read(1.0), NoFrame.END))
        with pytest.raises(TimeoutError):
            server.accept()


def test_encrypted_rtsp_is_checked_too(authority: Authority) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        context = authority.context("127.0.0.1")
        asked: list[bytes] = []

        def answer() -> None:
            with suppress(OSError):  # the server is closed at the end
                while True:
                    connection, _ = server.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as encrypted:
                        if request := encrypted.recv(4096):
                            asked.append(request)
                            encrypted.sendall(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        address = f"rtsps://127.0.0.1:{server.getsockname()[1]}/live"
        for trust, words in (("", "certificate is not accepted"), (str(authority.path), "no such path")):
            with pytest.raises(CameraError, match=words), open_source(address, ca_file=trust, open_s=5):
                pass

    assert all(b"RTSP/1.0" in one for one in asked)
    assert asked, "with the right issuer the camera is asked"


@pytest.mark.parametrize(
    ("address", "options", "words"),
    [
        ("rtsp://127.0.0.1/live", {"insecure": True}, "not encrypted"),
        ("0", {"ca_file": "a.pem"}, "rtsps:// and https://"),
        ("https://127.0.0.1/live", {"ca_file": "missing.pem"}, r"missing\.pem: cannot be read"),
    ],
)
def test_trust_that_would_be_ignored_is_refused(address: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        open_source(address, **options)


def test_an_address_of_an_image_is_asked_for_again_and_again() -> None:
    with _served() as port:
        settings = CameraSettings(fps=50)
        with open_source(f"http://127.0.0.1:{port}/snapshot.jpg", settings=settings) as source:
            frames = [_first(source) for _ in range(3)]

    assert [frame.fault for frame in frames] == ["", "", ""]
    assert all(frame.image_rgb is not None and frame.image_rgb.shape == (48, 64, 3) for frame in frames)


def test_a_size_that_changes_in_the_stream_is_seen() -> None:
    with _served() as port, open_source(f"http://127.0.0.1:{port}/other") as source:
        shapes = [
            frame.image_rgb.shape
            for frame in (_first(source) for _ in range(80))
            if frame.image_rgb is not None
        ]

    assert shapes[0] == (48, 64, 3)
    assert shapes[-1] == (96, 80, 3), "not stretched to the first size"


# Of a login that is refused twice, urllib leaves the first answer to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("login", r"a page \(text/html\)"),
        ("closed", r"login is missing or wrong \(401\)"),
        ("nowhere", r"no such path on it \(404\)"),
    ],
)
def test_the_reason_is_said(path: str, words: str) -> None:
    with _served() as port:
        address = f"http://me:hunter2@127.0.0.1:{port}/{path}"
        with pytest.raises(CameraError, match=words) as caught, open_source(address):
            pass

    assert "hunter2" not in str(caught.value)
    gc.collect()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://nosuch.invalid/live", "no host of this name"),
        ("rtsp://me:p#ss@127.0.0.1/live", "cannot be understood"),
        ("rtsp://127.0.0.1:1/live", "connection refused"),
    ],
)
def test_the_reason_is_said_where_nobody_answers(address: str, words: str) -> None:
    with pytest.raises(CameraError, match=words) as caught, open_source(address):
        pass

    assert "p#ss" not in str(caught.value)
    assert "#" not in address or "%23" in caught.value.hint
