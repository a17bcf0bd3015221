"""A line with everything on, while everything outside hangs, fails, lies and comes back at random.

A camera, files, a database, an MQTT broker, a webhook, a controller and the reader of standard output get
into trouble one after the other. What is counted: the longest time without a judged frame, how soon the
health is red with the reason, whether it is green again, and whether every event has arrived, and how often.
"""

import fcntl
import json
import os
import random
import signal
import sqlite3
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Annotated, Any, BinaryIO

import typer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from pcedge.camera import (
    AnySink,
    Changes,
    Delivery,
    Frame,
    Inspection,
    LineHealth,
    NoFrame,
    Repeating,
    Stream,
    Tally,
    TextOutput,
    Verdict,
    frame_name,
    inspect_stream,
    one_by_one,
    open_sinks,
    read_sinks,
    render_part,
    thread_states,
)
from pcedge.cli.console import out, progress_bars

from .broker import Mosquitto
from .card import replace_results
from .command import Card, Json, Seed, print_json, run

BEGIN = "<!-- results: filled by python -m benchmarks.outside --card docs/results/outside.md -->"
_FPS = 20.0
_RED_WITHIN_S, _GREEN_WITHIN_S = 3.0, 60.0
_STALL_S = 2.0
# Long enough that what does not answer is missed, and short enough for many rounds.
_LASTS_S = 3.5


@dataclass(frozen=True)
class Trouble:
    """What one thing outside does.

    Attributes:
        part: The camera or sink that is concerned, as health names it.
        name: What it does.
        begin: Begins it.
        end: Ends it.
        mended: Whether the line mends it at once: then it is only noted.
    """

    part: str
    name: str
    begin: Callable[[], None]
    end: Callable[[], None]
    mended: bool = False


@dataclass
class Outcome:
    """What one trouble did, over its rounds.

    Attributes:
        rounds: How often it was made.
        red: How often the health was red, or a note in the log, within 3 s, with a reason.
        green: How often all was well again.
        longest_red_s: The longest until it was red or noted.
        longest_green_s: The longest until it was green.
        reason: The last reason.
    """

    rounds: int = 0
    red: int = 0
    green: int = 0
    longest_red_s: float = 0.0
    longest_green_s: float = 0.0
    reason: str = ""


@dataclass
class Result:
    """The whole run.

    Attributes:
        frames: Judged frames.
        seconds: How long it took.
        longest_gap_s: The longest time between two judged frames while the camera was there.
        troubles: Outcome by part and name.
        lost: Events that never arrived, by sink.
        twice: Events that arrived more than once, by sink.
    """

    frames: int = 0
    seconds: float = 0.0
    longest_gap_s: float = 0.0
    troubles: dict[str, Outcome] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether frames were judged all the while, nothing was lost, and every trouble was seen."""
        seen = all(one.red == one.green == one.rounds for one in self.troubles.values())
        return seen and not any(self.lost.values()) and self.longest_gap_s < 1.0


class Camera:
    """A camera that hangs or is lost when it is told to."""

    name, live = "cam0", True

    def __init__(self) -> None:
        self.mode = "fine"
        self._image = render_part(1, size=64).image_rgb
        self._next = 0

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def renewed(self) -> "Camera":
        """The camera, opened again."""
        return self

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """The next image, a fault, or nothing."""
        time.sleep(1 / _FPS)
        if self.mode == "hangs":
            return NoFrame.YET
        self._next += 1
        lost = self.mode == "is lost"
        image = None if lost else self._image.copy()
        fault = "the cable is out" if lost else ""
        return Frame(self.name, self._next, frame_name(self._next), time.time(), image, fault)


class Webhook(ThreadingHTTPServer):
    """Takes events, or does not."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.mode = "fine"
        self.got: Counter[str] = Counter()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                while hook.mode == "hangs":
                    time.sleep(0.05)
                if hook.mode == "closes the connection":
                    return
                bad = {"answers 500": 500, "answers 404": 404, "answers 301": 301}.get(hook.mode)
                if bad is None:
                    hook.got[json.loads(body)["id"]] += 1
                with suppress(OSError):
                    self.send_response(bad or 200)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__((host, 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Controller(ThreadingTCPServer):
    """A Modbus TCP server that confirms, or does not."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.mode = "fine"
        controller = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, struct.error):
                    while True:
                        transaction, _, length, unit = struct.unpack(">HHHB", self.rfile.read(7))
                        body = self.rfile.read(length - 1)
                        while controller.mode == "hangs":
                            time.sleep(0.05)
                        if controller.mode == "answers late":
                            time.sleep(0.9)
                        if controller.mode == "answers for another unit":
                            unit = 255
                        if controller.mode == "closes the connection":
                            return
                        if controller.mode == "refuses":
                            body = bytes([body[0] | 128, 2])
                        self.wfile.write(struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body)

        super().__init__((host, 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class PipeReader:
    """Reads standard output, or does not."""

    def __init__(self, stream: BinaryIO) -> None:
        self.mode = "fine"
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: BinaryIO) -> None:
        while True:
            while self.mode != "fine":
                time.sleep(0.02)
            if not stream.read1(65536):  # type: ignore[attr-defined]
                return


def outside(rounds: int, seed: int, folder: Path, tick: Callable[[int, int], None]) -> Result:
    """Run the line with so many rounds of every trouble, in random order."""
    with ExitStack() as stack:
        line = stack.enter_context(_line(folder))
        plan = [trouble for trouble in line.troubles for _ in range(rounds)]
        random.Random(seed).shuffle(plan)
        for number, trouble in enumerate(plan):
            line.meet(trouble)
            tick(number + 1, len(plan))
        return line.end()


class _Line:
    """The running line."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._camera, self._hook, self._controller = Camera(), Webhook(), Controller()
        stack.callback(self._hook.shutdown)
        stack.callback(self._controller.shutdown)
        self._broker = stack.enter_context(Mosquitto(folder))
        self._subscriber, self._mqtt = subscribed(self._broker.port)
        self.result = Result()
        self._ids: set[str] = set()
        self._judged_s, self._was_fine = time.monotonic(), False
        self._notes: Counter[str] = Counter()
        self._delivery = stack.enter_context(Delivery(self._sinks(stack), close_within_s=60))
        self._stream = stack.enter_context(Stream({"cam0": self._camera}, stall_s=_STALL_S))
        self._tally = Tally()
        self.health = LineHealth(self._stream, self._delivery, self._tally)
        self._changes = Changes()
        stack.enter_context(Repeating(self._look, 0.2, name="changes", ends_within_s=1))
        self._loop = threading.Thread(target=self._judge, name="judging", daemon=True)
        self._loop.start()
        self._began_s = time.monotonic()

    def _sinks(self, stack: ExitStack) -> dict[str, AnySink]:
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # a small one, which is soon full
        self._pipe = PipeReader(os.fdopen(reader, "rb"))
        stdout = stack.enter_context(os.fdopen(writer, "w"))
        tables: dict[str, Any] = {
            "sqlite": {},
            "mqtt": {"host": "127.0.0.1", "port": self._broker.port, "keepalive_s": 2},
            "webhook": {"url": f"http://127.0.0.1:{self._hook.server_port}/", "verdicts": ["OK", "INVALID"]},
            "modbus": {
                "host": "127.0.0.1",
                "port": self._controller.server_address[1],
                "coils": {"*": 1},
                "heartbeat_coil": 0,
            },
            "pictures": {"save": "none"},
        }
        return {**open_sinks(read_sinks(tables), self._folder), "stdout": TextOutput(stdout)}

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What everything outside may do."""
        return (
            *(self._modes("cam0", self._camera, ("hangs", "is lost"))),
            *(
                self._modes(
                    "webhook",
                    self._hook,
                    ("hangs", "answers 500", "answers 404", "answers 301", "closes the connection"),
                )
            ),
            *(
                self._modes(
                    "modbus",
                    self._controller,
                    ("hangs", "answers late", "answers for another unit", "closes the connection", "refuses"),
                )
            ),
            *(self._modes("stdout", self._pipe, ("is not read",))),
            Trouble("mqtt", "hangs", lambda: self._broker.signal(signal.SIGSTOP), self._go_on),
            Trouble("mqtt", "is killed", self._broker.kill, self._broker.start),
            Trouble("sqlite", "is locked", self._lock, self._unlock),
            Trouble("jsonl", "cannot be written", self._block, self._unblock),
            Trouble("jsonl", "is rotated", self._rotate, lambda: None, mended=True),
            Trouble("clock", "jumps", self._jump, lambda: None, mended=True),
        )

    def meet(self, trouble: Trouble) -> None:
        """Make a trouble, see that the health is red, end it, and see that the health is green."""
        outcome = self.result.troubles.setdefault(f"{trouble.part}: {trouble.name}", Outcome())
        outcome.rounds += 1
        noted = self._notes[trouble.part]
        began = time.monotonic()
        trouble.begin()
        red_s = self._wait(lambda: self._is_seen(trouble, noted, outcome), 3 * _RED_WITHIN_S) - began
        outcome.red += red_s <= _RED_WITHIN_S
        outcome.longest_red_s = max(outcome.longest_red_s, red_s)
        if not trouble.mended:
            time.sleep(max(0.0, _LASTS_S - red_s))
        ended = time.monotonic()
        trouble.end()
        green_s = self._wait(lambda: self.health.health().ready, _GREEN_WITHIN_S) - ended
        outcome.green += green_s < _GREEN_WITHIN_S
        outcome.longest_green_s = max(outcome.longest_green_s, green_s)

    def end(self) -> Result:
        """Stop the line and count what has arrived."""
        self._stream.stop()
        self._loop.join(10)
        self._delivery.flush(30)
        self._wait(lambda: len(self._mqtt) >= len(self._ids) and not self._waiting(), 60)
        result = self.result
        result.frames, result.seconds = len(self._ids), time.monotonic() - self._began_s
        arrived = {
            "mqtt": Counter(self._mqtt),
            "webhook": self._hook.got,
            "jsonl": Counter(_in_lines(self._folder)),
            "sqlite": Counter(in_database(self._folder / "events.sqlite")),
        }
        result.lost = {name: len(self._ids - counts.keys()) for name, counts in arrived.items()}
        result.twice = {name: sum(n > 1 for n in counts.values()) for name, counts in arrived.items()}
        self._subscriber.disconnect()
        return result

    def _judge(self) -> None:
        inspect_stream(
            self._stream,
            one_by_one(lambda _frame: Inspection(Verdict.OK, 1.0, 2.0)),
            outlet=self._delivery,
            on_event=self._note_event,
            on_turn=self.health.turned,
            tally=self._tally,
        )

    def _note_event(self, event: Any, _frame: Frame, _inspection: Inspection) -> None:
        now = time.monotonic()
        if self._camera.mode == "fine" and event.verdict is Verdict.OK and self._was_fine:
            self.result.longest_gap_s = max(self.result.longest_gap_s, now - self._judged_s)
        self._was_fine = self._camera.mode == "fine" and event.verdict is Verdict.OK
        self._judged_s = now
        self._ids.add(event.id)

    def _look(self) -> None:
        found = self._changes.since_last(self.health.troubles(), self._delivery.faults(), thread_states())
        for change in found:
            if change.state == "NOTE":
                self._notes["clock" if change.part == "clock" else change.name] += 1

    def _is_seen(self, trouble: Trouble, noted: int, outcome: Outcome) -> bool:
        if trouble.mended:
            outcome.reason = "noted"
            return self._notes[trouble.part] > noted
        for one in self.health.health().detail["reasons"]:
            if trouble.part in one.values() and one["reason"]:
                outcome.reason = one["reason"]
                return True
        return False

    def _wait(self, true: Callable[[], bool], within_s: float) -> float:
        until = time.monotonic() + within_s
        while time.monotonic() < until and not true():
            time.sleep(0.02)
        return time.monotonic()

    def _waiting(self) -> int:
        return sum(one.waiting for one in self._delivery.faults())

    def _modes(self, part: str, thing: Any, modes: tuple[str, ...]) -> Iterator[Trouble]:
        for mode in modes:
            yield Trouble(
                part,
                mode,
                lambda thing=thing, mode=mode: setattr(thing, "mode", mode),  # type: ignore[misc]
                lambda thing=thing: setattr(thing, "mode", "fine"),  # type: ignore[misc]
            )

    def _go_on(self) -> None:
        self._broker.signal(signal.SIGCONT)

    def _lock(self) -> None:
        self._other = sqlite3.connect(self._folder / "events.sqlite", check_same_thread=False, timeout=10)
        self._other.execute("BEGIN IMMEDIATE")

    def _unlock(self) -> None:
        self._other.rollback()
        self._other.close()

    def _block(self) -> None:
        """A directory where the file was: as good as a full or broken disk, also for root."""
        path = self._folder / "events.jsonl"
        path.replace(path.with_name(f"moved-{time.monotonic_ns()}.jsonl"))
        path.mkdir()

    def _unblock(self) -> None:
        (self._folder / "events.jsonl").rmdir()

    def _rotate(self) -> None:
        path = self._folder / "events.jsonl"
        path.replace(path.with_name(f"moved-{time.monotonic_ns()}.jsonl"))

    def _jump(self) -> None:
        """The clock of the machine is left alone; what watches it is told that it has jumped."""
        self._changes._clock -= 3600


@contextmanager
def _line(folder: Path) -> Iterator[_Line]:
    with ExitStack() as stack:
        line = _Line(folder, stack)
        line._wait(lambda: line.health.health().ready, 30)
        yield line


def subscribed(port: int, host: str = "127.0.0.1") -> tuple[Client, list[str]]:
    """A subscriber with a persistent session, and the ids that it gets."""
    ids: list[str] = []
    client = Client(CallbackAPIVersion.VERSION2, client_id="outside", clean_session=False)
    client.on_message = lambda _client, _data, message: ids.append(json.loads(message.payload)["id"])
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda client, *_: client.subscribe("pcedge/events/#", 1)
    client.connect(host, port)
    client.loop_start()
    return client, ids


def _in_lines(folder: Path) -> list[str]:
    files = [*folder.glob("moved-*.jsonl"), *folder.glob("events.jsonl*")]
    return [json.loads(line)["id"] for path in files if path.is_file() for line in path.open()]


def in_database(path: Path) -> list[str]:
    """Ids of the events in an event store."""
    with sqlite3.connect(path) as database:
        return [one for (one,) in database.execute("SELECT id FROM event")]


def _markdown(result: Result) -> Iterator[str]:
    lost = ", ".join(f"{name} {count}" for name, count in result.lost.items())
    twice = ", ".join(f"{name} {count}" for name, count in result.twice.items())
    yield f"{result.frames:,} frames in {result.seconds:.0f} s at {_FPS:.0f} a second."
    yield f"Longest time between two judged frames while the camera was there: {result.longest_gap_s:.2f} s."
    yield f"Lost: {lost}. Arrived more than once: {twice}."
    yield ""
    yield "| what | rounds | red within 3 s | longest | green again | longest | reason in the log |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in sorted(result.troubles.items()):
        reason = one.reason.replace("|", "/")
        yield (
            f"| {name} | {one.rounds} | {one.red} | {one.longest_red_s:.1f} s "
            f"| {one.green} | {one.longest_green_s:.1f} s | {_without_ports(reason)} |"
        )


def _without_ports(text: str) -> str:
    return " ".join(word.rpartition("/")[2] for word in text.split() if "127.0.0.1" not in word)


def measure(
    rounds: Annotated[int, typer.Option(help="Rounds of every trouble.", min=1)] = 10,
    seed: Seed = 0,
    card: Card = None,
    json: Json = False,
) -> None:
    """Let everything outside hang, fail, lie and come back, and count what that does."""
    with tempfile.TemporaryDirectory() as folder, progress_bars() as report:
        result = outside(rounds, seed, Path(folder), lambda done, total: report("watch", done, total))
    lines = list(_markdown(result))
    if card is not None:
        replace_results(card, lines, BEGIN)
    if json:
        print_json(_plain(result))
    else:
        out.print("\n".join(lines), markup=False, soft_wrap=True)
    raise typer.Exit(0 if result.good else 1)


def _plain(result: Result) -> Mapping[str, Any]:
    return {**asdict(result), "good": result.good}


if __name__ == "__main__":
    run(measure)
