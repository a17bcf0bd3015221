"""Drawing and writing of images in a separate process, so that it does not slow down the inspection.

Drawing a heatmap holds the global interpreter lock (GIL) for milliseconds at a time, as long as a small
network needs for an image. The priority of the thread does not change that.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OutputError, PcedgeError

from ...drawing.explanation import explained_picture
from ...frames import Explanation, Inspection
from ...images import write_image
from ...util.priority import give_way

WritePictures = Callable[[Path, Path | None, NDArray[np.uint8], Inspection], None]

_READY = b"+"
_MOST_STARTS = 3
_ENDS_WITHIN_S = 2.0


def write_pictures(
    picture: Path, heatmap: Path | None, image_rgb: NDArray[np.uint8], inspection: Inspection
) -> None:
    """Write an image and, if ``heatmap`` is given, its heatmap.

    Raises:
        OutputError: One cannot be written.
    """
    write_image(picture, image_rgb)
    if heatmap is not None:
        write_image(heatmap, explained_picture(image_rgb, inspection))


class ImageProcess:
    """Runs :func:`write_pictures` in another process, for use by one thread; ended by :meth:`close`.

    The process is started with the first images. While it is not ready yet, or after it was killed, images
    are written in this process. It ends when this process ends for any reason.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._starts = 0

    def write(
        self, picture: Path, heatmap: Path | None, image_rgb: NDArray[np.uint8], inspection: Inspection
    ) -> None:
        """Write images; returns when they are written.

        Raises:
            OutputError: One cannot be written.
        """
        process = self._ready_process()
        if process is None:
            write_pictures(picture, heatmap, image_rgb, inspection)
            return
        explained = replace(inspection, explain=_FoundExplanations(inspection.explain()))
        try:
            _ask(process, (picture, heatmap, image_rgb, explained))
        except (OSError, EOFError):  # it has ended: write the images in this process
            self.close()
            write_pictures(picture, heatmap, image_rgb, inspection)

    @property
    def process_id(self) -> int | None:
        """Id of the process that writes the next images; None if that is this process."""
        process = self._ready_process()
        return None if process is None else process.pid

    def close(self) -> None:
        """End the process."""
        process, ready = self._process, self._ready
        self._process, self._ready = None, False
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        if not ready:
            process.kill()
        try:
            process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _ready_process(self) -> subprocess.Popen[bytes] | None:
        """Return the process if it is ready; start it if there is none."""
        if self._process is None and self._starts < _MOST_STARTS:
            self._starts += 1
            self._start()
        process = self._process
        if process is None or self._ready:
            return process
        assert process.stdout is not None
        answered, _, _ = select.select([process.stdout], [], [], 0)
        if not answered:
            return None
        self._ready = process.stdout.read(1) == _READY
        if not self._ready:
            self.close()
        return self._process

    def _start(self) -> None:
        # Ctrl-C and systemd's SIGTERM reach the process too. It ignores them, since this process ends it.
        ignore = (
            "import signal; [signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)]"
        )
        # The same sys.path as in this process; -c alone would put the working directory first.
        code = f"{ignore}; import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )


@dataclass(frozen=True)
class _FoundExplanations:
    """Explanations that are computed already, in place of the function that computes them."""

    found: tuple[Explanation, ...]

    def __call__(self) -> tuple[Explanation, ...]:
        return self.found


def serve() -> None:
    """Write the images received on standard input until it ends; see :class:`ImageProcess`."""
    give_way()
    source = sys.stdin.buffer
    # Output of libraries must not be mixed with the answers.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)
        answers.write(_READY)
        while (task := _received(source)) is not None:
            _send(answers, _attempt(task))


def _attempt(task: tuple[Any, ...]) -> tuple[str, ...]:
    """Write images; returns error message and hint, or an empty tuple."""
    try:
        write_pictures(*task)
    except PcedgeError as error:
        return (error.what, error.hint)
    except Exception as error:  # an error in drawing concerns only this image, as in the thread of the sink
        return (f"{type(error).__name__}: {error}", "")
    return ()


def _ask(process: subprocess.Popen[bytes], task: tuple[Any, ...]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    _send(process.stdin, task)
    error = _received(process.stdout)
    if error is None:
        raise EOFError
    if error:
        raise OutputError(*error)


def _send(target: IO[bytes], content: tuple[Any, ...]) -> None:
    """Send a tuple; arrays are sent without a copy, which would hold the GIL."""
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(content, protocol=5, buffer_callback=arrays.append)
    parts: Sequence[Any] = [head, *(array.raw() for array in arrays)]
    sizes = [len(part) for part in parts]
    _write_all(target, struct.pack(f"<{1 + len(sizes)}Q", len(sizes), *sizes))
    for part in parts:
        _write_all(target, part)


def _write_all(target: IO[bytes], content: Any) -> None:
    view = memoryview(content)
    while view:
        view = view[target.write(view) :]


def _received(source: IO[bytes]) -> tuple[Any, ...] | None:
    """Receive a tuple; None at the end."""
    count = _read_exactly(source, 8)
    if count is None:
        return None
    sizes = _read_exactly(source, 8 * struct.unpack("<Q", count)[0])
    if sizes is None:
        return None
    parts = [_read_exactly(source, size) for size in struct.unpack(f"<{len(sizes) // 8}Q", sizes)]
    if any(part is None for part in parts):
        return None
    content: tuple[Any, ...] = pickle.loads(parts[0] or b"", buffers=parts[1:])
    return content


def _read_exactly(source: IO[bytes], size: int) -> bytearray | None:
    content = bytearray(size)
    view, filled = memoryview(content), 0
    while filled < size:
        piece = source.read(size - filled)
        if not piece:
            return None
        view[filled : filled + len(piece)] = piece
        filled += len(piece)
    return content
