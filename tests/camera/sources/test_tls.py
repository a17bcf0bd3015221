"""Certificates of network cameras: real TLS servers, with certificates of their own and of others."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pcedge.camera import Frame, Trust, open_source
from pcedge.errors import CameraError

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")

OWN, FOREIGN = "own", "foreign"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that signed themselves: one for this machine, one for another."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, host in ((OWN, "DNS:localhost,IP:127.0.0.1"), (FOREIGN, "DNS:elsewhere.example")):
        key = (
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            f"{name}.key",
        )
        certificate = ("-out", f"{name}.pem", "-subj", "/CN=camera", "-addext", f"subjectAltName={host}")
        command = ("openssl", "req", "-x509", "-days", "2", *key, *certificate)
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return folder


class _Camera(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        self.send_response(200)
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(jpeg)))
        self.end_headers()
        self.wfile.write(jpeg)

    def log_message(self, format: str, *args: object) -> None:
        return


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        return  # whoever refuses a certificate leaves in the middle of the handshake


def _serving(folder: Path, name: str) -> Iterator[int]:
    server = _Quiet(("127.0.0.1", 0), _Camera)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def own(folder: Path) -> Iterator[int]:
    yield from _serving(folder, OWN)


@pytest.fixture(scope="module")
def foreign(folder: Path) -> Iterator[int]:
    yield from _serving(folder, FOREIGN)


def _opens(uri: str, trust: Trust) -> bool:
    with open_source(uri, trust=trust) as source:
        got = source.read(5)
    return isinstance(got, Frame) and not got.fault


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_right_authority_opens_the_camera(folder: Path, own: int, host: str) -> None:
    assert _opens(f"https://{host}:{own}/a.jpg", Trust(str(folder / "own.pem")))


def test_insecure_opens_whatever_answers(own: int, foreign: int) -> None:
    for port in (own, foreign):
        assert _opens(f"https://127.0.0.1:{port}/a.jpg", Trust(insecure=True))


@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_others_are_refused_and_told_what_to_do(folder: Path, own: int, foreign: int, scheme: str) -> None:
    refused = {
        (own, Trust()): "self-signed certificate",
        (own, Trust(str(folder / "foreign.pem"))): "self-signed certificate",
        (foreign, Trust(str(folder / "foreign.pem"))): "IP address mismatch",
        (own, Trust(str(folder / "none.pem"))): "none.pem cannot be used",
        (own, Trust(str(folder / "own.key"))): "own.key cannot be used",
    }
    for (port, trust), reason in refused.items():
        with pytest.raises(CameraError, match=f"cannot be opened: .*{reason}") as caught:
            open_source(f"{scheme}://me:hunter2@127.0.0.1:{port}/", trust=trust).__enter__()
        assert "ca_file" in caught.value.hint
        assert "hunter2" not in str(caught.value)


def test_the_connection_that_is_used_is_checked_too_not_only_the_one_before_it(
    folder: Path, own: int, foreign: int
) -> None:
    for port, name in ((own, FOREIGN), (foreign, FOREIGN), (own, "")):
        options = Trust(str(folder / f"{name}.pem") if name else "").ffmpeg_options()
        with pytest.raises(OSError, match="Input/output"):
            av.open(f"https://127.0.0.1:{port}/a.jpg", options=options, timeout=5)


def test_no_password_is_sent_over_rtsps_to_whoever_is_not_trusted(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem", folder / "own.key")
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    with context.wrap_socket(server.accept()[0], server_side=True) as client:
                        asked.append(client.recv(4096))
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        uri = f"rtsps://127.0.0.1:{server.getsockname()[1]}/live"
        for options in (Trust().ffmpeg_options(), Trust(str(folder / "foreign.pem")).ffmpeg_options()):
            with pytest.raises(OSError, match="Input/output"):
                av.open(uri, options=options, timeout=5)
        assert b"".join(asked) == b""
        with pytest.raises(ValueError, match="Invalid data"):
            av.open(uri, options=Trust(str(folder / "own.pem")).ffmpeg_options(), timeout=5)
        server.shutdown(socket.SHUT_RDWR)

    assert b"OPTIONS rtsps://" in b"".join(asked)
