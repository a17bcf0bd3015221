"""torchvision's pretrained weights: from its cache on disk, or downloaded into it in bounded time."""

import re
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch

from pcedge.core.files import replace_file
from pcedge.core.progress import Progress, silent
from pcedge.errors import WeightsError, WeightsUnavailableError

# The reference's V1 weights, not torchvision's DEFAULT (V2): the published numbers belong to V1.
TORCHVISION_WEIGHTS = "IMAGENET1K_V1"
# How long a server may be silent, at first or on the way.
_SILENCE_S = 10.0
_CHUNK = 1 << 20


def hub_file(name: str, progress: Progress = silent) -> Path:
    """The file with a torchvision network's pretrained weights, downloaded first where it is not there.

    Args:
        name: A torchvision architecture.
        progress: Called with the stage ``download``, in megabytes.

    Raises:
        WeightsUnavailableError: They are not on this machine and cannot be downloaded.
        WeightsError: There are no such weights, or they cannot be stored.
    """
    url = _url(name)
    path = _cached(url)
    if path.is_file():
        return path
    try:
        content = _download(url, progress)
    except (OSError, HTTPException) as error:
        raise WeightsUnavailableError(
            f"The pretrained weights of {name} are not on this machine and could not be downloaded "
            f"({error}).",
            f"Download {url} elsewhere and put it at {path}, or give it with --weights FILE.",
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise WeightsError(
            f"The pretrained weights of {name} cannot be stored at {path} ({error.strerror}).",
            "Make room or give the right to write there, or name another directory: TORCH_HOME=DIRECTORY",
        ) from error
    return path


def cached_file(name: str) -> Path | None:
    """The file with a torchvision network's pretrained weights, if it is on this machine."""
    path = _cached(_url(name))
    return path if path.is_file() else None


def _cached(url: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def require_answer(url: str) -> None:
    """Find out in bounded time whether anybody answers at a URL, whatever the answer is.

    Raises:
        OSError: Nobody does.
    """
    try:
        _opened(url).close()
    except HTTPError:
        return


def _url(name: str) -> str:
    from torchvision import models

    try:
        return str(getattr(models.get_model_weights(name), TORCHVISION_WEIGHTS).url)
    except AttributeError:
        raise WeightsError(
            f"torchvision has no {TORCHVISION_WEIGHTS} weights for {name}.",
            "Give the weights as a file: --weights FILE",
        ) from None


def _download(url: str, progress: Progress) -> bytes:
    """The content behind a URL whose file name ends with the start of its SHA-256, as torchvision's do."""
    content = bytearray()
    with _opened(url) as response:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(_CHUNK):
            content += chunk
            progress("download", len(content) // 10**6, max(total, len(content)) // 10**6)
    stated = re.search(r"-([0-9a-f]{8,})\.", Path(url).name)
    if stated and not sha256(content).hexdigest().startswith(stated[1]):
        raise ConnectionError("what came is not that file; a proxy may have answered instead")
    return bytes(content)


def _opened(url: str) -> Any:
    """Open a URL, within a stated time: looking up a host's address knows no timeout of its own."""
    answers: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urlopen(Request(url, headers={"User-Agent": "pcedge"}), timeout=_SILENCE_S))
        except Exception as error:  # raised where somebody waits for it
            answers.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_SILENCE_S)
    except Empty:
        raise TimeoutError(f"no answer within {_SILENCE_S:.0f} s") from None
    if isinstance(answer, HTTPError):
        answer.close()  # it is a response as well
    if isinstance(answer, Exception):
        raise answer
    return answer
