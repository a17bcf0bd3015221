"""Kill an MQTT broker again and again while verdicts go through it, and count what arrives behind it.

A Mosquitto of its own on 127.0.0.1 gets events at a steady rate and is killed (SIGKILL) and started again
at random moments. A subscriber with a persistent session counts the events by their ids: each must arrive,
and some may arrive twice, as quality of service 1 allows.
"""

import json
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from pcedge.camera import Broker, Delivery, Event, MqttTransport, Outbox, Posted, Verdict
from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress
from pcedge.errors import RuntimeUnavailableError

from .command import Json, Seed, facts, print_json, run

_DOWN_S = (0.05, 1.0)
_QUIET_S = 60.0
_CONFIG = """
listener {port} {address}
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 0
log_dest none
user root
"""


@dataclass(frozen=True)
class Outcome:
    """What was counted on the remote endpoint.

    Attributes:
        verdicts: Events handed to the delivery.
        kills: How often the broker was killed.
        arrived: Different events that arrived.
        duplicates: Events that arrived again.
        lost: Events that did not arrive.
        reported_lost: Events that the delivery says it lost.
        longest_put_ms: The longest that handing one over took.
        seconds: From the first event to the last arrival.
    """

    verdicts: int
    kills: int
    arrived: int
    duplicates: int
    lost: int
    reported_lost: int
    longest_put_ms: float
    seconds: float


class Mosquitto:
    """A broker on a free port, by default of 127.0.0.1, with its memory in ``folder``.

    Raises:
        RuntimeUnavailableError: Mosquitto is not installed.
    """

    def __init__(self, folder: Path, extra: str = "", address: str = "127.0.0.1") -> None:
        self._program = find_mosquitto()
        self.port = free_port()
        self._address = address
        self._config = folder / "mosquitto.conf"
        self._config.write_text(_CONFIG.format(port=self.port, folder=folder, address=address) + extra)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen([self._program, "-c", self._config], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection((self._address, self.port), 1):
                return
            time.sleep(0.01)
        raise RuntimeUnavailableError("Mosquitto does not listen.", "Start it by hand to see why.")

    def save(self) -> None:
        """Let it save what it knows of its subscribers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)
        saved = self._config.with_name("mosquitto.db")
        end = time.monotonic() + 10
        while not saved.exists() and time.monotonic() < end:
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Counter:
    """A subscriber with a persistent session that counts ids.

    Args:
        port: The broker's.
        topic: What it subscribes to.
    """

    def __init__(self, port: int, topic: str = "pcedge/events/#") -> None:
        self.ids: set[str] = set()
        self.messages = 0
        self._topic = topic
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="counter", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port)

    def __enter__(self) -> "Counter":
        self._client.loop_start()
        self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, *_: Any) -> None:
        client.subscribe(self._topic, 1)

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        self.messages += 1
        self.ids.add(json.loads(message.payload)["id"])


def find_mosquitto() -> str:
    """Path of the broker's program.

    Raises:
        RuntimeUnavailableError: It is not installed.
    """
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeUnavailableError("Mosquitto is not installed.", "On Debian: apt-get install mosquitto")
    return found


def hammer(verdicts: int, kills: int, rate_hz: float, seed: int, progress: Progress) -> Outcome:
    """Send events at a rate through a broker that is killed at random moments.

    Args:
        verdicts: How many.
        kills: How often the broker is killed.
        rate_hz: Events a second; 0 for as many as it takes.
        seed: Of the moments.
        progress: Called with events handed over.
    """
    moments = sorted(random.Random(seed).sample(range(1, verdicts), kills))
    with tempfile.TemporaryDirectory(prefix="pcedge-broker-") as folder, Mosquitto(Path(folder)) as broker:
        transport = MqttTransport(Broker("127.0.0.1", broker.port))
        sinks = {"mqtt": Posted(transport, Outbox(Path(folder, "outbox.sqlite"), max_messages=1_000_000))}
        began = time.monotonic()
        killer: threading.Thread | None = None
        with Counter(broker.port) as counter, Delivery(sinks) as delivery:
            broker.save()
            longest_s = 0.0
            for number in range(verdicts):
                if moments and number >= moments[0] and (killer is None or not killer.is_alive()):
                    moments.pop(0)
                    killer = threading.Thread(target=_kill_and_restart, args=(broker, seed + number))
                    killer.start()
                longest_s = max(longest_s, _put(delivery, number))
                progress("Sending", number + 1, verdicts)
                if rate_hz:
                    time.sleep(max(0.0, began + (number + 1) / rate_hz - time.monotonic()))
            if killer is not None:
                killer.join()
            for number in range(len(moments)):  # those that came too soon after another
                _kill_and_restart(broker, number)
            _wait_for(counter, verdicts)
            seconds = time.monotonic() - began
        lost = delivery.faults()[0].lost
    return Outcome(
        verdicts=verdicts,
        kills=kills,
        arrived=len(counter.ids),
        duplicates=counter.messages - len(counter.ids),
        lost=verdicts - len(counter.ids),
        reported_lost=lost,
        longest_put_ms=longest_s * 1000,
        seconds=seconds,
    )


def broker(
    verdicts: Annotated[int, typer.Option(help="How many verdicts.", min=2)] = 20_000,
    kills: Annotated[int, typer.Option(help="How often the broker is killed.", min=0)] = 10,
    rate: Annotated[float, typer.Option(help="Verdicts a second; 0 for as many as it takes.", min=0)] = 500,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Kill an MQTT broker under load and count what arrives behind it. Exits with 1 if any is lost."""
    with progress_bars() as progress:
        outcome = hammer(verdicts, min(kills, verdicts - 1), rate, seed, progress)
    if json:
        print_json(asdict(outcome))
    else:
        table = facts("MQTT broker killed under load")
        for name, value in asdict(outcome).items():
            table.add_row(name, f"{value:,.1f}" if isinstance(value, float) else f"{value:,}")
        out.print(table)
    if outcome.lost:
        raise SystemExit(1)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _put(delivery: Delivery, number: int) -> float:
    """Hand one event over; returns the seconds that took."""
    now = datetime.now(timezone.utc).isoformat()
    event = Event(now, "cam0", number, "x", Verdict.OK, 1.0, 2.0, 3.0, id=f"{number}", camera="cam0")
    began = time.perf_counter()
    delivery.put(event, None, None)  # type: ignore[arg-type]  # no sink here looks at the picture
    return time.perf_counter() - began


def _kill_and_restart(broker: Mosquitto, seed: int) -> None:
    broker.kill()
    time.sleep(random.Random(seed).uniform(*_DOWN_S))
    broker.start()


def _wait_for(counter: Counter, verdicts: int) -> None:
    """Wait for the last event, or until nothing has come for long."""
    seen, since = -1, time.monotonic()
    while len(counter.ids) < verdicts and time.monotonic() - since < _QUIET_S:
        if counter.messages != seen:
            seen, since = counter.messages, time.monotonic()
        time.sleep(0.05)


if __name__ == "__main__":
    run(broker)
