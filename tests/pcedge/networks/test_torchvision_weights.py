"""Downloads of pretrained weights: checked, bounded in time, and into torchvision's cache."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pcedge.errors import WeightsError, WeightsUnavailableError
from pcedge.networks import torchvision_weights

CONTENT = b"weights" * 300_000
NAME = f"net-{sha256(CONTENT).hexdigest()[:8]}.pth"

Serve = Callable[..., str]


@contextmanager
def _server(status: int, content: bytes, announced: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{NAME}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torchvision_weights, "_SILENCE_S", 0.5)
    return tmp_path / "hub" / "checkpoints"


def test_weights_are_downloaded_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, int]] = []
    with _server(200, CONTENT, len(CONTENT)) as url:
        monkeypatch.setattr(torchvision_weights, "_url", lambda name: url)
        path = torchvision_weights.hub_file("net", lambda *progress: told.append(progress))

    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert told[-1] == ("download", 2, 2)
    assert torchvision_weights.hub_file("net") == path, "the server is gone, the file is not"


@pytest.mark.parametrize(
    ("status", "content", "announced", "reason"),
    [
        (404, b"", 0, "404"),
        (200, b"<html>please log in</html>", 26, "not that file"),
        (200, CONTENT[:1000], len(CONTENT), "not that file|IncompleteRead"),
    ],
)
def test_what_is_not_the_file_is_not_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch, status: int, content: bytes, announced: int, reason: str
) -> None:
    with _server(status, content, announced) as url:
        monkeypatch.setattr(torchvision_weights, "_url", lambda name: url)
        with pytest.raises(WeightsUnavailableError, match=reason):
            torchvision_weights.hub_file("net")

    assert not cache.exists()


def test_a_server_that_says_nothing_is_not_waited_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(
            torchvision_weights, "_url", lambda name: f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        )
        with pytest.raises(WeightsUnavailableError, match=r"no answer|timed out"):
            torchvision_weights.hub_file("net")


def test_a_name_that_is_looked_up_for_ever_is_not_waited_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision_weights, "_url", lambda name: f"http://example.invalid/{NAME}")
    given_up = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: given_up.wait(600))

    with pytest.raises(WeightsUnavailableError, match="no answer"):
        torchvision_weights.hub_file("net")

    given_up.set()


def test_a_cache_that_cannot_be_written_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.touch()
    with _server(200, CONTENT, len(CONTENT)) as url:
        monkeypatch.setattr(torchvision_weights, "_url", lambda name: url)
        with pytest.raises(WeightsError, match="cannot be stored") as caught:
            torchvision_weights.hub_file("net")

    assert not isinstance(caught.value, WeightsUnavailableError)
    assert "TORCH_HOME" in caught.value.hint


def test_networks_without_the_papers_weights_need_a_file() -> None:
    with pytest.raises(WeightsError, match="no IMAGENET1K_V1 weights for vit_h_14"):
        torchvision_weights.hub_file("vit_h_14")
