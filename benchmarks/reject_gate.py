"""Kill the inspector again and again, and see on the controller's side how soon the gate rejects.

Two processes of their own on 127.0.0.1: a controller, which is a Modbus TCP server with the documented
watchdog, and an inspector that passes every part. The inspector is killed (SIGKILL) at random moments while
the gate passes; the gate must go to reject within the watchdog time, whatever the coil says.
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from pcedge.camera import Delivery, Event, GateState, RejectGate, Verdict
from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress
from pcedge.errors import RuntimeUnavailableError

from .broker import free_port
from .command import Json, Seed, facts, print_json, run

HEARTBEAT, COIL = 0, 1
_LOOK_S = 0.002
_PARTS_HZ = 20
_GIVE_UP_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """What the controller saw.

    Attributes:
        kills: How often the inspector was killed.
        rejected: After how many of them the gate went to reject.
        watchdog_ms: How long the heartbeat may stay as it is.
        longest_ms: The longest from a kill to reject.
        median_ms: The median of that.
    """

    kills: int
    rejected: int
    watchdog_ms: float
    longest_ms: float
    median_ms: float


class Controller:
    """The remote endpoint, in a process of its own; says when its gate changes.

    Args:
        watchdog_s: How long the heartbeat may stay as it is.
    """

    def __init__(self, watchdog_s: float) -> None:
        self.port = free_port()
        self._command = ["--control", str(self.port), str(watchdog_s)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Controller":
        self._process = _this(*self._command, stdout=subprocess.PIPE)
        self.wait_for(reject=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def wait_for(self, *, reject: bool) -> float:
        """Wait until the gate is so; returns the monotonic time at which it became so."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if said["reject"] == reject:
                return float(said["at"])
        raise RuntimeUnavailableError("The controller ended.")


def inspect(port: int, heartbeat_s: float, pass_s: float) -> None:
    """Be an inspector that passes every part, for ever."""
    gate = RejectGate(
        "127.0.0.1",
        GateState({"cam0": COIL}, pass_s),
        port=port,
        heartbeat_coil=HEARTBEAT,
        heartbeat_s=heartbeat_s,
    )
    with Delivery({"modbus": gate}) as delivery:
        number = 0
        while True:
            now = datetime.now(timezone.utc).isoformat()
            event = Event(now, "cam0", number, "x", Verdict.OK, 1, 2, 3, id=f"{number}", decision=Verdict.OK)
            delivery.put(event, None, None)  # type: ignore[arg-type]  # no sink here looks at the picture
            number += 1
            time.sleep(1 / _PARTS_HZ)


def control(port: int, watchdog_s: float) -> None:
    """Be a controller: reject while the coil says so, and while the heartbeat stands still."""
    asyncio.run(_control(port, watchdog_s))


async def _control(port: int, watchdog_s: float) -> None:
    from pymodbus.pdu import ModbusPDU
    from pymodbus.pdu.bit_message import WriteSingleCoilRequest
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    coils: dict[int, bool] = {HEARTBEAT: False, COIL: True}
    changed_at = 0.0

    def note(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        nonlocal changed_at
        if not sending and isinstance(pdu, WriteSingleCoilRequest):
            if pdu.address == HEARTBEAT and pdu.bits[0] != coils[HEARTBEAT]:
                changed_at = time.monotonic()
            coils[pdu.address] = pdu.bits[0]
        return pdu

    bits = [SimData(0, count=16, values=False, datatype=DataType.BITS)]
    registers = [SimData(0, values=0, datatype=DataType.REGISTERS)]
    device = SimDevice(1, (bits, bits, registers, registers))
    server = ModbusTcpServer(device, address=("127.0.0.1", port), trace_pdu=note)
    await server.serve_forever(background=True)
    gate = False
    while True:
        now = time.monotonic()
        reject = coils[COIL] or now - changed_at > watchdog_s
        if reject != gate:
            gate = reject
            print(json.dumps({"reject": gate, "at": now}), flush=True)
        await asyncio.sleep(_LOOK_S)


def kill_inspectors(kills: int, heartbeat_s: float, seed: int, progress: Progress) -> Outcome:
    """Kill inspectors while the gate passes.

    Args:
        kills: How many.
        heartbeat_s: How often the heartbeat changes; the controller's watchdog is three times this.
        seed: Of the moments.
        progress: Called with kills.
    """
    moments = random.Random(seed)
    took_ms: list[float] = []
    with Controller(3 * heartbeat_s) as controller:
        for number in range(kills):
            # Passing verdicts hold for ever, so that only the watchdog can tell.
            inspector = _this("--inspect", str(controller.port), str(heartbeat_s), "3600")
            controller.wait_for(reject=False)
            time.sleep(moments.uniform(0, 3 * heartbeat_s))
            killed_at = time.monotonic()
            inspector.send_signal(signal.SIGKILL)
            inspector.wait()
            took_ms.append((controller.wait_for(reject=True) - killed_at) * 1000)
            progress("Killing", number + 1, kills)
    return Outcome(
        kills=kills,
        rejected=len(took_ms),
        watchdog_ms=3000 * heartbeat_s,
        longest_ms=max(took_ms),
        median_ms=sorted(took_ms)[len(took_ms) // 2],
    )


def reject_gate(
    kills: Annotated[int, typer.Option(help="How often the inspector is killed.", min=1)] = 20,
    heartbeat: Annotated[
        float, typer.Option(help="Seconds between changes of the heartbeat.", min=0.02)
    ] = 0.2,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Kill the inspector and see how soon the gate rejects."""
    with progress_bars() as progress:
        outcome = kill_inspectors(kills, heartbeat, seed, progress)
    if json:
        print_json(asdict(outcome))
        return
    table = facts("Inspector killed, gate at the controller")
    for name, value in asdict(outcome).items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:,.0f}")
    out.print(table)


def _this(*arguments: str, stdout: int | None = None) -> "subprocess.Popen[str]":
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "benchmarks.reject_gate", *arguments]
    return subprocess.Popen(command, cwd=root, stdout=stdout, text=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--control"]:
        control(int(sys.argv[2]), float(sys.argv[3]))
    elif sys.argv[1:2] == ["--inspect"]:
        inspect(*(float(argument) if "." in argument else int(argument) for argument in sys.argv[2:5]))  # type: ignore[arg-type]
    else:
        run(reject_gate)
