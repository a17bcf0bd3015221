"""Pictures drawn and written in a process of their own, so that the inspection shares no interpreter with it.

Drawing a heatmap holds the interpreter's lock for milliseconds at a time, as long as a small network takes
for an image, and a thread's priority does not change that.
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
    """Write an image and, if it has a place, what was found in it.

    Raises:
        OutputError: One cannot be written.
    """
    write_image(picture, image_rgb)
    if heatmap is not None:
        write_image(heatmap, explained_picture(image_rgb, inspection))


class ImageProcess:
    """Does :func:`write_pictures` in another process, for one thread; closed by :meth:`close`.

    The process starts with the first images, which are written here, as are all others while there is no
    such process: it is not ready yet, or it was killed. It ends when this one does, whatever that is by.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._starts = 0

    def write(
        self, picture: Path, heatmap: Path | None, image_rgb: NDArray[np.uint8], inspection: Inspection
    ) -> None:
        """Write images; returns when they are there.

        Raises:
            OutputError: One cannot be written.
        """
        process = self._there()
        if process is None:
            write_pictures(picture, heatmap, image_rgb, inspection)
            return
        explained = replace(inspection, explain=_FoundExplanations(inspection.explain()))
        try:
            _ask(process, (picture, heatmap, image_rgb, explained))
        except (OSError, EOFError):  # it has ended: whatever is missing is written here
            self.close()
            write_pictures(picture, heatmap, image_rgb, inspection)

    @property
    def process_id(self) -> int | None:
        """Of the process that writes the next images; None while that is this one."""
        process = self._there()
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

    def _there(self) -> subprocess.Popen[bytes] | None:
        """The process, if it is ready; it is started if there is none."""
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
        # Whoever started it ends it: Ctrl-C and systemd's SIGTERM reach it too, while images still come.
        deaf = (
            "import signal; [signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)]"
        )
        # The path as it is, however this process came by it; -c alone would put the working directory first.
        code = f"{deaf}; import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )


@dataclass(frozen=True)
class _FoundExplanations:
    """Explanations that were found, in place of what finds them."""

    found: tuple[Explanation, ...]

    def __call__(self) -> tuple[Explanation, ...]:
        return self.found


def serve() -> None:
    """Write the images that come through standard input until it ends; see :class:`ImageProcess`."""
    give_way()
    source = sys.stdin.buffer
    # Nothing that a library prints may come between the answers.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)
        answers.write(_READY)
        while (task := _received(source)) is not None:
            _send(answers, _attempt(task))


def _attempt(task: tuple[Any, ...]) -> tuple[str, ...]:
    """What went wrong and what to do about it; empty if nothing did."""
    try:
        write_pictures(*task)
    except PcedgeError as error:
        return (error.what, error.hint)
    except Exception as error:  # a mistake in drawing is that image's, as in the sink's thread
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
    """Send a tuple; arrays go as they lie in memory, without a copy that holds the interpreter's lock."""
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
    """What was sent; None at the end."""
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
