"""A real network camera that fails in every way, again and again, and what the stream makes of it.

``python -m benchmarks.stream --rounds 20``. FFmpeg (Debian's package ``ffmpeg``) serves images as MJPEG
over HTTP. Each round the server is stopped, started again, frozen (SIGSTOP: the connection stays, nothing
comes), and started with another image size. The time at which it was made is drawn into every image, so
that the age of a judged frame is that of what it shows. Exit code 1 if a frame was judged that was older than
a second and a half, if a frame after a recovery was not judged, or if a size was not followed.
"""

import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge.camera import Frame, Inspection, Stream, Summary, Verdict, inspect_stream, one_by_one, open_source
from pcedge.errors import OptionError

from .command import run

SIZES = ((320, 240), (480, 360))
STALE_S = 1.5
_FPS = 10
_BITS, _FIELD_PX = 40, 8
_FROZEN_S = 8.0
_START_S = 2.0
_PATIENCE_S = 30.0


class NetworkCamera:
    """FFmpeg as a network camera, started again whenever its only viewer has gone."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.size_wh = SIZES[0]
        self._on = False
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._film, daemon=True)

    @property
    def url(self) -> str:
        """Where it can be watched."""
        return f"http://127.0.0.1:{self._port}/live"

    def __enter__(self) -> "NetworkCamera":
        if shutil.which("ffmpeg") is None:
            raise OptionError("There is no ffmpeg.", "Install it: apt-get install ffmpeg")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.stop()
        self._thread.join(5)

    def start(self, size_wh: tuple[int, int]) -> None:
        """Switch it on."""
        self.size_wh = size_wh
        self._on = True

    def stop(self) -> None:
        """Switch it off."""
        self._on = False
        if (process := self._process) is not None:
            process.kill()

    def freeze(self) -> None:
        """Let it stop in its tracks, the connection open."""
        if (process := self._process) is not None:
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if (process := self._process) is not None:
            process.send_signal(signal.SIGCONT)

    def _film(self) -> None:
        while not self._ended.wait(0.05):
            if self._on:
                self._serve_one_viewer()

    def _serve_one_viewer(self) -> None:
        size_wh = self.size_wh
        process = self._process = subprocess.Popen(
            [
                *("ffmpeg", "-loglevel", "quiet", "-probesize", "32", "-f", "rawvideo", "-pix_fmt", "gray"),
                *("-s", f"{size_wh[0]}x{size_wh[1]}", "-r", str(_FPS), "-i", "-"),
                *("-q:v", "3", "-f", "mpjpeg", "-listen", "1", self.url),
            ],
            stdin=subprocess.PIPE,
        )
        assert process.stdin is not None
        try:
            # FFmpeg wants an image before it listens, so the first is older than its viewer; it says so.
            process.stdin.write(stamped(size_wh, 0, time_s=0.0).tobytes())
            process.stdin.flush()
            for number in count(1):
                while process.poll() is None and self._on and not self._watched():
                    time.sleep(0.02)
                if process.poll() is not None or not self._on:
                    return
                process.stdin.write(stamped(size_wh, number).tobytes())
                process.stdin.flush()
                time.sleep(1 / _FPS)
        except OSError:  # the viewer has gone, and FFmpeg with it
            pass
        finally:
            process.kill()
            process.wait()
            with suppress(OSError):  # what was still to be written cannot be
                process.stdin.close()

    def _watched(self) -> bool:
        """Whether a viewer is connected."""
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        return any(
            line.split()[1].endswith(f":{self._port:04X}") and line.split()[3] == "01" for line in lines
        )


def stamped(size_wh: tuple[int, int], number: int, time_s: float | None = None) -> NDArray[np.uint8]:
    """A grey image with the time, in binary milliseconds, as white and black fields in its first rows."""
    now_s = time.time() if time_s is None else time_s
    width, height = size_wh
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    picture = ((3 * x + 2 * y + 7 * number) % 200 + 30).astype(np.uint8)
    bits = [(int(now_s * 1000) >> bit) & 1 for bit in range(_BITS)]
    picture[:_FIELD_PX, : _BITS * _FIELD_PX] = 255 * np.repeat(np.array(bits, np.uint8), _FIELD_PX)
    return picture


def shown_at(image_rgb: NDArray[np.uint8]) -> float:
    """Unix time in seconds that is drawn into an image; whole as far as 40 bits of milliseconds go."""
    fields = image_rgb[2 : _FIELD_PX - 2, : _BITS * _FIELD_PX, 1].reshape(-1, _BITS, _FIELD_PX)
    bits = fields[:, :, 2:-2].mean(axis=(0, 2)) > 128
    return float(sum(1 << bit for bit in range(_BITS) if bits[bit]) / 1000)


@dataclass
class Watcher:
    """Judges frames by their age.

    Attributes:
        judged: Frames with an image.
        oldest_s: Age of the oldest of them, by what it shows.
        size_wh: Size of the latest.
    """

    judged: int = 0
    oldest_s: float = 0.0
    size_wh: tuple[int, int] = (0, 0)
    stale: list[float] = field(default_factory=list)

    def inspect(self, frame: Frame) -> Inspection:
        """Read the time off a frame."""
        assert frame.image_rgb is not None
        self.judged += 1
        self.size_wh = (frame.image_rgb.shape[1], frame.image_rgb.shape[0])
        if not (made_s := shown_at(frame.image_rgb)):
            return Inspection(Verdict.OK, 0.1, 0.5)
        age_s = time.time() % (2**_BITS / 1000) - made_s
        self.oldest_s = max(self.oldest_s, age_s)
        if age_s > STALE_S:
            self.stale.append(age_s)
        return Inspection(Verdict.OK, 0.1, 0.5)


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        summary: Of the inspection.
        oldest_s: Age of the oldest frame that was judged.
        stale: Ages of judged frames that were too old.
        recoveries_s: By kind of failure: times from the camera being there to its first frame judged.
    """

    summary: Summary
    oldest_s: float
    stale: list[float]
    recoveries_s: dict[str, list[float]]


def try_everything(rounds: int) -> Report:
    """Let the camera fail so many times in each way.

    Raises:
        TimeoutError: It did not recover.
    """
    watcher = Watcher()
    recoveries: dict[str, list[float]] = {"stopped": [], "frozen": [], "another size": []}
    summaries: list[Summary] = []
    with NetworkCamera() as camera:
        camera.start(SIZES[0])
        time.sleep(_START_S)
        with Stream(open_source(camera.url)) as stream:
            inspecting = threading.Thread(
                target=lambda: summaries.append(inspect_stream(stream, one_by_one(watcher.inspect)))
            )
            inspecting.start()
            _await(lambda: watcher.judged > 5, "the first frames")
            for number in range(rounds):
                _fail_in_every_way(camera, watcher, recoveries, SIZES[(number + 1) % 2])
            stream.stop()
            inspecting.join(5)
    return Report(summaries[0], watcher.oldest_s, watcher.stale, recoveries)


def _fail_in_every_way(
    camera: NetworkCamera, watcher: Watcher, recoveries: dict[str, list[float]], other_wh: tuple[int, int]
) -> None:
    camera.stop()
    time.sleep(1.0)
    recoveries["stopped"].append(_recovery_s(lambda: camera.start(camera.size_wh), watcher, camera))
    camera.freeze()
    time.sleep(_FROZEN_S)
    recoveries["frozen"].append(_recovery_s(camera.thaw, watcher, camera))
    camera.stop()
    time.sleep(0.3)
    recoveries["another size"].append(_recovery_s(lambda: camera.start(other_wh), watcher, camera))


def _recovery_s(mend: Callable[[], None], watcher: Watcher, camera: NetworkCamera) -> float:
    before = watcher.judged
    mend()
    began = time.monotonic()
    _await(lambda: watcher.judged > before and watcher.size_wh == camera.size_wh, "a frame after recovery")
    recovered_s = time.monotonic() - began
    after = watcher.judged
    _await(lambda: watcher.judged >= after + _FPS // 2, "the frames after it")
    return recovered_s


def _await(there: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come within {_PATIENCE_S:g} s")
        time.sleep(0.02)


def measure(rounds: Annotated[int, typer.Option(help="How often it fails in each way.", min=1)] = 20) -> None:
    """Stop, restart, freeze and resize a real network camera."""
    report = try_everything(rounds)
    print(f"{report.summary.frames} frames, {dict(report.summary.verdicts)}")
    print(f"oldest frame judged: {report.oldest_s:.2f} s; older than {STALE_S} s: {len(report.stale)}")
    for kind, times in report.recoveries_s.items():
        median_s = statistics.median(times)
        print(f"{kind:14} {len(times)} recoveries, median {median_s:.1f} s, longest {max(times):.1f} s")
    if report.stale:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(measure)
