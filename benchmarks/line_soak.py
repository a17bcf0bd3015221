"""An hour of ``pcedge watch`` with everything on, while faults are injected at random.

Two cameras (folders into which images are moved), JSON lines, images, the event store, MQTT, a webhook, a
reject gate and metrics. One fault after the other: a peer is killed or hangs, the disk is full, a file is
damaged, the network is gone, a camera's folder is gone, the inspector is killed, its bundle is taught and
rolled back, its line file is read again. At the end every image must have exactly one verdict, and every
event must have arrived everywhere. As root the output is a small disk of its own and the line a network
namespace of its own; without root these two faults are left out, and the result says so.
"""

import json as json_module
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.request import urlopen

import typer

from pcedge import Bundle, TeachOptions, rollback, teach
from pcedge.camera import render_part, write_image
from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress

from .broker import Mosquitto, free_port
from .card import replace_results
from .command import Card, Json, Seed, print_json, run
from .outside import Controller, Webhook, in_database, subscribed
from .teach_kills import lesson, part_bundle

BEGIN = "<!-- results: filled by python -m benchmarks.line_soak --card docs/results/soak.md -->"
_CAMERAS = ("left", "right")
_IMAGE_PX, _POOL, _EVERY_S = 96, 64, 0.25
_PAUSE_S, _LASTS_S, _RECOVERS_WITHIN_S = (1.0, 6.0), (3.0, 7.0), 90.0
_DISK_MB = 512
_HOST, _LINE, _SPACE = "10.213.0.1", "10.213.0.2", "pcedge-soak"
_CONFIG = """
[watch]
output = "{output}"
stall_s = 5

[metrics]
host = "{host}"
port = {health}

[sinks.sqlite]

[sinks.pictures]
save = "all"
max_count = 200
min_free_gb = 0

[sinks.mqtt]
host = "{peers}"
port = {mqtt}
keepalive_s = 2

[sinks.webhook]
url = "http://{peers}:{webhook}/"
verdicts = ["OK", "REVIEW", "NG", "INVALID"]

[sinks.modbus]
host = "{peers}"
port = {modbus}
coils = {{ "*" = 1 }}
heartbeat_coil = 0
"""
_CAMERA = """
[[camera]]
name = "{name}"
source = "folder:incoming/{name}"
product = "{bundle}"
"""


@dataclass
class Recovery:
    """What one kind of fault did.

    Attributes:
        times: How often it was injected.
        longest_s: The longest from its end until the line was ready again.
        never: How often the line was not ready again in time.
    """

    times: int = 0
    longest_s: float = 0.0
    never: int = 0


@dataclass
class Report:
    """The whole run.

    Attributes:
        seconds: How long it took.
        images: Images given to the cameras.
        verdicts: How many images have how many verdicts.
        lost: Events that did not arrive, by sink.
        twice: Events that arrived more than once, by sink.
        faults: Recovery by fault.
        left_out: Faults that need root, and were left out.
        memory_mb: Resident memory of the inspector, at first and at most.
        exit_code: Of the inspector when it was told to stop.
    """

    seconds: float = 0.0
    images: int = 0
    verdicts: dict[int, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)
    faults: dict[str, Recovery] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    memory_mb: tuple[float, float] = (0.0, 0.0)
    exit_code: int | None = None

    @property
    def good(self) -> bool:
        """Whether every image has one verdict, nothing was lost, and the line came back every time."""
        came_back = not any(one.never for one in self.faults.values())
        return set(self.verdicts) <= {1} and not any(self.lost.values()) and came_back


class Feeder(threading.Thread):
    """Moves images into the cameras' folders, one after the other.

    Args:
        root: The line's folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(name="feeder", daemon=True)
        self._pool = _rendered(root / "pool")
        self._folders = {name: root / "incoming" / name for name in _CAMERAS}
        for folder in self._folders.values():
            folder.mkdir(parents=True)
        self.given: set[tuple[str, str]] = set()
        self._over = threading.Event()
        self._damage = threading.Event()

    def run(self) -> None:
        """Give images until it is stopped."""
        number = 0
        while not self._over.wait(_EVERY_S):
            for camera in _CAMERAS:
                self._give(camera, number)
                number += 1

    def stop(self) -> None:
        """Give no more."""
        self._over.set()
        self.join()

    def damage_next(self) -> None:
        """Let the next image be half a file."""
        self._damage.set()

    def folder(self, camera: str) -> Path:
        """Where the images of a camera arrive."""
        return self._folders[camera]

    def _give(self, camera: str, number: int) -> None:
        folder, name = self._folders[camera], f"{number:06}.png"
        data = self._pool[number % _POOL].read_bytes()
        if self._damage.is_set():
            self._damage.clear()
            data = data[: len(data) // 2]
        hidden = folder / f".{name}.part"
        try:
            hidden.write_bytes(data)
            hidden.rename(folder / name)
        except FileNotFoundError:
            return  # the folder is gone for a while: that image was never given
        self.given.add((camera, name))


class Inspector:
    """``pcedge watch`` as a service manager runs it: started again when it is killed.

    Args:
        root: The line's folder, with ``line.toml``.
        prefix: What starts a command where the line is, as in a network namespace.
        url: Where its health is.
    """

    def __init__(self, root: Path, prefix: list[str], url: str) -> None:
        self._root, self._prefix, self._url = root, prefix, url
        self._log = (root / "watch.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self.memory_mb: list[float] = []

    def __enter__(self) -> "Inspector":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()

    def start(self) -> None:
        """Start it."""
        command = [*self._prefix, sys.executable, "-m", "pcedge", "watch", "--config", "line.toml", "--json"]
        self._process = subprocess.Popen(
            command, cwd=self._root, stdout=subprocess.DEVNULL, stderr=self._log, env=_environment(self._root)
        )

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int | None:
        """Tell it to stop; its exit code, None if it did not in time."""
        assert self._process is not None
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(30)
        return None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it says that it is ready."""
        with suppress(OSError), urlopen(f"{self._url}/readyz", timeout=2) as answer:
            self._measure()
            return bool(answer.status == 200)
        return False

    def _measure(self) -> None:
        assert self._process is not None
        with suppress(OSError):
            pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
            self.memory_mb.append(int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6)


class Soak:
    """The line, everything outside it, and the faults.

    Args:
        root: An empty folder.
        stack: Ends what was begun.
        seed: Of the faults and their times.
    """

    def __init__(self, root: Path, stack: ExitStack, seed: int) -> None:
        self._root, self._rng, self.report = root, random.Random(seed), Report()
        self._taught = False
        self._as_root = os.geteuid() == 0 and shutil.which("ip") is not None
        self._output = root / "out"
        self._output.mkdir(mode=0o750)
        peers, line, prefix = "127.0.0.1", "127.0.0.1", list[str]()
        if self._as_root:
            stack.enter_context(_small_disk(self._output))
            stack.enter_context(_namespace())
            peers, line, prefix = _HOST, _LINE, ["ip", "netns", "exec", _SPACE]
        else:
            self.report.left_out = ["full disk", "network gone"]
        self._hook, self._controller = Webhook(peers), Controller(peers)
        stack.callback(self._hook.shutdown)
        stack.callback(self._controller.shutdown)
        self._broker = stack.enter_context(Mosquitto(root, address=peers))
        self._subscriber, self._mqtt = subscribed(self._broker.port, peers)
        stack.callback(self._subscriber.disconnect)
        self._bundle = part_bundle(root, _IMAGE_PX)
        self._lesson = lesson(root / "lesson", _IMAGE_PX)
        self._feeder = Feeder(root)
        ports = {
            "mqtt": self._broker.port,
            "webhook": self._hook.server_port,
            "modbus": self._controller.server_address[1],
            "health": free_port(),
        }
        cameras = "".join(_CAMERA.format(name=name, bundle=self._bundle) for name in _CAMERAS)
        text = cameras + _CONFIG.format(output=self._output, host=line, peers=peers, **ports)
        (root / "line.toml").write_text(text, encoding="utf-8")
        self._inspector = stack.enter_context(Inspector(root, prefix, f"http://{line}:{ports['health']}"))
        self._feeder.start()

    def run(self, seconds: float, tick: Progress) -> None:
        """Inject faults for so long, let everything arrive, and count."""
        began = time.monotonic()
        self._recovered("start", Recovery())
        kinds = list(self._faults())
        while (passed := time.monotonic() - began) < seconds:
            tick("watch", int(passed), int(seconds))
            time.sleep(self._rng.uniform(*_PAUSE_S))
            name, fault = self._rng.choice(kinds)
            recovery = self.report.faults.setdefault(name, Recovery())
            recovery.times += 1
            fault()
            self._recovered(name, recovery)
        self._feeder.stop()
        self._until(self._all_there, 180)
        self.report.exit_code = self._inspector.stop()
        self.report.seconds = time.monotonic() - began
        self._count()

    def _recovered(self, name: str, recovery: Recovery) -> None:
        began = time.monotonic()
        if not self._inspector.alive:
            self.report.faults.setdefault(f"{name}: ended", Recovery()).never += 1
            self._inspector.start()
        if self._until(lambda: self._inspector.ready, _RECOVERS_WITHIN_S):
            recovery.longest_s = max(recovery.longest_s, time.monotonic() - began)
        else:
            recovery.never += 1

    def _faults(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "broker killed", lambda: self._for_a_while(self._broker.kill, self._broker.start)
        yield (
            "broker hangs",
            lambda: self._for_a_while(
                lambda: self._broker.signal(signal.SIGSTOP), lambda: self._broker.signal(signal.SIGCONT)
            ),
        )
        for mode in ("hangs", "answers 500", "closes the connection"):
            yield f"webhook {mode}", lambda mode=mode: self._mode(self._hook, mode)  # type: ignore[misc]
        for mode in ("hangs", "refuses", "closes the connection"):
            yield f"controller {mode}", lambda mode=mode: self._mode(self._controller, mode)  # type: ignore[misc]
        yield "folder gone", self._folder_gone
        yield "image damaged", self._feeder.damage_next
        yield "event store locked", self._store_locked
        yield "inspector killed", lambda: self._killed(lambda: None)
        yield "killed, journal not UTF-8", lambda: self._killed(self._spoil_journals)
        yield "killed, events nested deeply", lambda: self._killed(self._spoil_events)
        yield "line file read again", lambda: self._inspector.signal(signal.SIGHUP)
        yield "bundle taught, rolled back", self._teach
        if self._as_root:
            yield "disk full", self._disk_full
            yield "network gone", lambda: self._for_a_while(lambda: _link("down"), lambda: _link("up"))

    def _for_a_while(self, begin: Callable[[], object], end: Callable[[], object]) -> None:
        begin()
        try:
            time.sleep(self._rng.uniform(*_LASTS_S))
        finally:
            end()

    def _mode(self, thing: Webhook | Controller, mode: str) -> None:
        self._for_a_while(lambda: setattr(thing, "mode", mode), lambda: setattr(thing, "mode", "fine"))

    def _folder_gone(self) -> None:
        folder = self._feeder.folder(self._rng.choice(_CAMERAS))
        away = folder.with_name(f"{folder.name}-away")
        self._for_a_while(lambda: folder.rename(away), lambda: away.rename(folder))

    def _store_locked(self) -> None:
        database = sqlite3.connect(self._output / "events.sqlite", timeout=10)
        try:
            self._for_a_while(lambda: database.execute("BEGIN IMMEDIATE"), database.rollback)
        finally:
            database.close()

    def _killed(self, spoil: Callable[[], None]) -> None:
        self._inspector.kill()
        spoil()
        self._inspector.start()

    def _spoil_journals(self) -> None:
        for path in self._output.rglob("judged*.txt"):
            with path.open("ab") as file:
                file.write(b"\xff\xfe\x00 not a line\n")

    def _spoil_events(self) -> None:
        with (self._output / "events.jsonl").open("ab") as file:
            file.write(b"[" * 100_000 + b"\n")

    def _teach(self) -> None:
        bundle = Bundle.open(self._bundle)
        if self._taught:
            rollback(bundle, 0)
        else:
            teach(bundle, self._lesson, TeachOptions(force=True))
        self._taught = not self._taught

    def _disk_full(self) -> None:
        filler = self._output / "filler"

        def fill() -> None:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(64 * 1024))

        self._for_a_while(fill, filler.unlink)

    def _all_there(self) -> bool:
        events = list(_events(self._output))
        ids = {event["id"] for event in events}
        judged = {(event["camera"], event["name"]) for event in events}
        return self._feeder.given <= judged and ids <= set(self._mqtt) and ids <= self._hook.got.keys()

    def _until(self, true: Callable[[], bool], within_s: float) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if true():
                return True
            time.sleep(0.1)
        return False

    def _count(self) -> None:
        report, given = self.report, self._feeder.given
        events = list(_events(self._output))
        verdicts = Counter((event["camera"], event["name"]) for event in events)
        ids = {event["id"] for event in events}
        arrived = {
            "jsonl": Counter(event["id"] for event in events),
            "sqlite": Counter(in_database(self._output / "events.sqlite")),
            "mqtt": Counter(self._mqtt),
            "webhook": self._hook.got,
        }
        report.images = len(given)
        report.verdicts = dict(sorted(Counter(verdicts.get(one, 0) for one in given).items()))
        report.lost = {name: len(ids - counts.keys()) for name, counts in arrived.items()}
        report.twice = {name: sum(n > 1 for n in counts.values()) for name, counts in arrived.items()}
        memory = self._inspector.memory_mb
        report.memory_mb = (memory[0], max(memory)) if memory else (0.0, 0.0)


def soak(root: Path, seconds: float, seed: int, tick: Progress) -> Report:
    """Run the line for so long."""
    with ExitStack() as stack:
        line = Soak(root, stack, seed)
        line.run(seconds, tick)
        return line.report


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=0750", "tmpfs", str(folder)], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def _namespace() -> Iterator[None]:
    """A network namespace that a pair of virtual interfaces joins with this one."""
    inside = ["ip", "netns", "exec", _SPACE]
    subprocess.run(["ip", "netns", "del", _SPACE], check=False, capture_output=True)
    for command in (
        ["ip", "netns", "add", _SPACE],
        ["ip", "link", "add", "pcedge-host", "type", "veth", "peer", "name", "pcedge-line", "netns", _SPACE],
        ["ip", "addr", "add", f"{_HOST}/24", "dev", "pcedge-host"],
        ["ip", "link", "set", "pcedge-host", "up"],
        [*inside, "ip", "addr", "add", f"{_LINE}/24", "dev", "pcedge-line"],
        [*inside, "ip", "link", "set", "pcedge-line", "up"],
        [*inside, "ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "netns", "del", _SPACE], check=True)


def _link(state: str) -> None:
    subprocess.run(["ip", "link", "set", "pcedge-host", state], check=True)


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PCEDGE_STATE": str(root / "state")}


def _rendered(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(_POOL)]
    for number, path in enumerate(paths):
        write_image(path, render_part(number, size=_IMAGE_PX).image_rgb)
    return paths


def _events(output: Path) -> Iterator[dict[str, Any]]:
    """Every event in the files; what was damaged on purpose is no event."""
    for path in output.glob("events*.jsonl*"):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError, RecursionError, TypeError):
                event = json_module.loads(line)
                if isinstance(event, dict) and "id" in event:
                    yield event


def _markdown(report: Report) -> Iterator[str]:
    def counts(numbers: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in numbers.items())

    injected = sum(one.times for one in report.faults.values())
    yield f"{report.images:,} images in {report.seconds:.0f} s, {injected} faults."
    yield f"Images by their number of verdicts: {counts({str(k): v for k, v in report.verdicts.items()})}."
    yield f"Lost: {counts(report.lost)}. Arrived more than once: {counts(report.twice)}."
    first, most = report.memory_mb
    yield f"Memory of the inspector: {first:.0f} MB at first, {most:.0f} MB at most."
    if report.left_out:
        yield f"Left out, because they need root: {', '.join(report.left_out)}."
    yield ""
    yield "| fault | times | longest until ready again | never |"
    yield "|---|---|---|---|"
    for name, one in sorted(report.faults.items()):
        yield f"| {name} | {one.times} | {one.longest_s:.1f} s | {one.never} |"


def measure(
    minutes: Annotated[float, typer.Option(help="How long.", min=0.1)] = 60,
    keep: Annotated[Path | None, typer.Option(help="An empty folder to work in and to keep.")] = None,
    seed: Seed = 0,
    card: Card = None,
    json: Json = False,
) -> None:
    """Run a line for an hour, inject faults at random, and count what was lost."""
    with ExitStack() as stack:
        root = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pcedge-soak-")))
        root.mkdir(parents=True, exist_ok=True)
        with progress_bars() as tick:
            report = soak(root.resolve(), minutes * 60, seed, tick)
    lines = list(_markdown(report))
    if card is not None:
        replace_results(card, lines, BEGIN)
    if json:
        print_json({**asdict(report), "good": report.good})
    else:
        out.print("\n".join(lines), markup=False, soft_wrap=True)
    raise typer.Exit(0 if report.good else 1)


if __name__ == "__main__":
    run(measure)
