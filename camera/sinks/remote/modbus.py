"""Modbus TCP coils for a reject gate, and the heartbeat by which the remote endpoint knows that they hold.

A coil is True for reject. True is also its rest state: at the start, at the end, and whenever no passing
decision is fresh. The heartbeat coil changes with every cycle; a controller that sees it unchanged for
longer than its watchdog time must reject, whatever the coils say.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from pcedge.errors import MissingExtraError, OutputError

from ...events.event import Event, Phase
from ...frames import Verdict
from ...util.backoff import Backoff
from ..settings import Port, Positive, SinkKind, SinkTable, Text, VerdictName

if TYPE_CHECKING:
    from pymodbus.client import ModbusTcpClient

_TIMEOUT_S = 1.0
Coil = Annotated[int, Meta(ge=0, le=65535)]
_LONGEST_PAUSE_S = 5.0


class GateState:
    """Which coils pass at this moment.

    Args:
        coils: Coil address of each camera, or of every other camera under ``*``. Those that share a coil must
            all pass; of those under ``*`` that means all that have had an event.
        pass_s: For how long a passing decision holds.
        passing: Decisions that pass, once they are final.
    """

    def __init__(
        self, coils: Mapping[str, int], pass_s: float, passing: Collection[Verdict] = (Verdict.OK,)
    ) -> None:
        self._coils = dict(coils)
        self._pass_s = pass_s
        self._passing = frozenset(passing)
        self._pass_until = {camera: 0.0 for camera in self._coils if camera != "*"}

    def judge(self, event: Event, now: float) -> bool:
        """Take note of an event at monotonic time ``now``; False if its camera has no coil."""
        camera = event.camera or event.source
        if self._coil(camera) is None:
            return False
        passes = event.phase is Phase.END and event.decision in self._passing
        self._pass_until[camera] = now + self._pass_s if passes else 0.0
        return True

    def rejects(self, now: float) -> dict[int, bool]:
        """Coil addresses and whether each rejects."""
        passing: dict[int, bool] = {}
        for camera, until in self._pass_until.items():
            coil = self._coil(camera)
            if coil is not None:
                passing[coil] = passing.get(coil, True) and now < until
        return {coil: not passing.get(coil, False) for coil in sorted(set(self._coils.values()))}

    def next_change(self, now: float) -> float | None:
        """When a passing decision that holds now ends to do so, the soonest; None if there is none."""
        return min((until for until in self._pass_until.values() if until > now), default=None)

    def _coil(self, camera: str) -> int | None:
        return self._coils.get(camera, self._coils.get("*"))


class RejectGate:
    """Sets coils of a Modbus TCP server, from a thread of its own.

    A decision is set at once and only the newest counts: what could not be set is never set later.

    Args:
        host: The controller.
        state: Which coils, and when they pass.
        port: Its port.
        unit: Its unit number.
        heartbeat_coil: Address of the coil that changes with every cycle.
        heartbeat_s: How often it changes, and all coils are set anew.

    Attributes:
        retries: False, so that no decision comes twice and late.
    """

    retries = False

    def __init__(
        self,
        host: str,
        state: GateState,
        *,
        port: int = 502,
        unit: int = 1,
        heartbeat_coil: int,
        heartbeat_s: float = 0.5,
    ) -> None:
        self._host, self._port, self._unit = host, port, unit
        self._heartbeat_coil = heartbeat_coil
        self._heartbeat_s = heartbeat_s
        self._state = state
        self._beat = False
        self._changed = threading.Condition()
        self._stopped = False
        self._news = False
        self._fault: str | None = None  # before the first attempt
        self._client: ModbusTcpClient | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RejectGate:
        """Start connecting; waits up to a second for the controller to answer.

        Raises:
            MissingExtraError: pymodbus is not installed.
        """
        try:
            from pymodbus.client import ModbusTcpClient
        except ImportError as error:
            raise MissingExtraError("pymodbus", "line", "A reject gate") from error
        # What goes wrong is reported by `write`; without a handler Python would print it as well.
        logging.getLogger("pymodbus").addHandler(logging.NullHandler())
        self._client = ModbusTcpClient(self._host, port=self._port, timeout=_TIMEOUT_S, retries=0)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="reject gate", daemon=True)
        self._thread.start()
        with self._changed:  # so that the first part does not find a gate that is not there yet
            self._changed.wait_for(lambda: self._fault is not None, _TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        """Set every coil to reject and hang up."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(2 * _TIMEOUT_S)

    def write(self, event: Event) -> None:
        """Let the decision of an event set its camera's coil.

        Raises:
            OutputError: The camera has no coil, or the controller does not answer, so that the gate stays
                at reject there.
        """
        with self._changed:
            known = self._state.judge(event, time.monotonic())
            self._news = True
            self._changed.notify_all()
            fault = f"Modbus server {self._host}:{self._port}: no answer yet"
            if self._fault is not None:
                fault = self._fault
        if not known:
            raise OutputError(
                f"sinks.modbus: {event.camera or event.source} has no coil.",
                "Name one in coils, or one for '*'.",
            )
        if fault:
            raise OutputError(f"{fault}.", "The controller's watchdog must reject until it answers.")

    def _run(self) -> None:
        backoff = Backoff(self._heartbeat_s, max(_LONGEST_PAUSE_S, self._heartbeat_s))
        next_beat = 0.0
        while not self._stopped:
            now = time.monotonic()
            beat = now >= next_beat
            fault = self._cycle(beat=beat)
            if beat:
                next_beat = now + self._heartbeat_s
            with self._changed:
                self._fault = fault
                self._changed.notify_all()
                if fault:
                    self._changed.wait_for(lambda: self._stopped, backoff.next_s())
                else:
                    backoff.reset()
                    self._wait_until(next_beat)
        self._end()

    def _wait_until(self, next_beat: float) -> None:
        now = time.monotonic()
        ends = self._state.next_change(now)
        until = next_beat if ends is None else min(next_beat, ends)
        self._changed.wait_for(lambda: self._news or self._stopped, max(0.0, until - now))

    def _cycle(self, *, beat: bool) -> str:
        """Set the coils, and with them the heartbeat if it is due; returns what went wrong."""
        with self._changed:
            self._news = False
            coils = self._state.rejects(time.monotonic())
        fault = self._set(coils)
        if beat and not fault:
            self._beat = not self._beat
            fault = self._set({self._heartbeat_coil: self._beat})
        return fault

    def _set(self, coils: Mapping[int, bool]) -> str:
        from pymodbus import ModbusException

        assert self._client is not None
        where = f"Modbus server {self._host}:{self._port}"
        try:
            if not self._client.connected and not self._client.connect():
                return f"{where}: cannot be reached"
            for address, value in coils.items():
                answer = self._client.write_coil(address, value, device_id=self._unit)
                if answer.isError():
                    return f"{where}: refused to set coil {address}: {answer}"
        except (ModbusException, OSError) as error:
            self._client.close()
            return f"{where}: {error}"
        return ""

    def _end(self) -> None:
        if self._client is not None:
            if self._client.connected:
                self._set(dict.fromkeys(self._state.rejects(float("inf")), True))
            self._client.close()


class ModbusTable(SinkTable, frozen=True):
    """``[sinks.modbus]``: coils of a reject gate.

    Attributes:
        host: The controller, a Modbus TCP server.
        coils: Camera to coil address, ``{ left = 1 }``; ``"*"`` stands for all cameras that are not named.
        heartbeat_coil: Address of a coil that changes all the time.
        port: Of the controller.
        unit: Its unit number.
        heartbeat_s: How often the heartbeat changes and all coils are written again, in seconds.
        pass_s: For how long a passing decision holds, in seconds.
        passes: Decisions that pass; ``INVALID`` cannot.
    """

    host: Text
    coils: Annotated[dict[str, Coil], Meta(min_length=1)]
    heartbeat_coil: Coil
    port: Port = 502
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    heartbeat_s: Annotated[float, Meta(ge=0.05, le=60)] = 0.5
    pass_s: Positive = 0.5
    passes: tuple[VerdictName, ...] = ("OK",)

    def __post_init__(self) -> None:
        if self.heartbeat_coil in self.coils.values():
            raise ValueError("modbus.heartbeat_coil is also one of modbus.coils")
        if "INVALID" in self.passes:
            raise ValueError("modbus.passes has INVALID, and what could not be judged never passes")


def _make(table: ModbusTable, _output: Path) -> RejectGate:
    state = GateState(table.coils, table.pass_s, [Verdict(name) for name in table.passes])
    return RejectGate(
        table.host,
        state,
        port=table.port,
        unit=table.unit,
        heartbeat_coil=table.heartbeat_coil,
        heartbeat_s=table.heartbeat_s,
    )


KIND = SinkKind("modbus", ModbusTable, _make)
