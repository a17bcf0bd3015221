"""Modbus TCP sink: coils of a reject gate, with a heartbeat.

A coil is True for reject. That is also its default state: at the start, at the end, and when there is no
recent passing decision. The heartbeat coil toggles in every cycle. If a controller does not see it change
within its watchdog time, it must reject, whatever the state of the other coils.
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
from ...util.supervisor import Supervised
from ..settings import Port, Positive, SinkKind, SinkTable, Text, VerdictName

if TYPE_CHECKING:
    from pymodbus.client import ModbusTcpClient

_SHORTEST_TIMEOUT_S, _TIMEOUT_S = 0.2, 1.0
Coil = Annotated[int, Meta(ge=0, le=65535)]
_LONGEST_PAUSE_S, _RETRY_S = 5.0, 0.1


class GateState:
    """State of the coils, computed from the decisions.

    Args:
        coils: Coil address of each camera; ``*`` for all other cameras. Cameras that share a coil must all
            pass; for ``*`` these are the cameras that have had an event.
        pass_s: How long a passing decision is valid, in seconds.
        passing: Final decisions that pass.
    """

    def __init__(
        self, coils: Mapping[str, int], pass_s: float, passing: Collection[Verdict] = (Verdict.OK,)
    ) -> None:
        self._coils = dict(coils)
        self._pass_s = pass_s
        self._passing = frozenset(passing)
        self._pass_until = {camera: 0.0 for camera in self._coils if camera != "*"}

    def judge(self, event: Event, now: float) -> bool:
        """Apply an event at monotonic time ``now``; False if its camera has no coil."""
        camera = event.camera or event.source
        if self._coil(camera) is None:
            return False
        passes = event.phase is Phase.END and event.decision in self._passing
        self._pass_until[camera] = now + self._pass_s if passes else 0.0
        return True

    def rejects(self, now: float) -> dict[int, bool]:
        """Return the coil addresses and whether each rejects."""
        passing: dict[int, bool] = {}
        for camera, until in self._pass_until.items():
            coil = self._coil(camera)
            if coil is not None:
                passing[coil] = passing.get(coil, True) and now < until
        return {coil: not passing.get(coil, False) for coil in sorted(set(self._coils.values()))}

    def next_change(self, now: float) -> float | None:
        """Return when the next valid passing decision expires; None if there is none."""
        return min((until for until in self._pass_until.values() if until > now), default=None)

    def _coil(self, camera: str) -> int | None:
        return self._coils.get(camera, self._coils.get("*"))


class RejectGate:
    """Sets coils of a Modbus TCP server, on its own thread.

    A decision is set at once, and only the newest counts: a decision that could not be set is never set
    later. A coil counts as set once the controller has confirmed it: an answer of another unit or to another
    question, with another value, or later than the heartbeat is none. All coils are written again in every
    cycle until they are confirmed.

    Args:
        host: Address of the controller.
        state: The state of the coils.
        port: Port of the controller.
        unit: Unit id of the controller.
        heartbeat_coil: Address of the coil that toggles in every cycle.
        heartbeat_s: Interval in seconds at which it toggles and all coils are written.

    Attributes:
        retries: False, so that a decision is not set again later.
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
        self._timeout_s = min(max(heartbeat_s, _SHORTEST_TIMEOUT_S), _TIMEOUT_S)
        self._state = state
        self._beat = False
        self._changed = threading.Condition()
        self._stopped = False
        self._news = False
        self._fault: str | None = None  # before the first attempt
        self._client: ModbusTcpClient | None = None
        self._thread: Supervised | None = None

    def __enter__(self) -> RejectGate:
        """Start connecting; waits up to a second for the controller to answer.

        Raises:
            MissingExtraError: pymodbus is not installed.
        """
        try:
            from pymodbus.client import ModbusTcpClient
        except ImportError as error:
            raise MissingExtraError("pymodbus", "line", "A reject gate") from error
        # Errors are reported by `write`; without a handler Python would print them as well.
        logging.getLogger("pymodbus").addHandler(logging.NullHandler())
        self._client = ModbusTcpClient(self._host, port=self._port, timeout=self._timeout_s, retries=0)
        self._stopped = False
        self._thread = Supervised("reject gate", self._run).start()
        with self._changed:  # so that the gate is connected before the first part
            self._changed.wait_for(lambda: self._fault is not None, _TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        """Set every coil to reject and disconnect."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.end(2 * _TIMEOUT_S)

    def trouble(self) -> str:
        """Return why the controller cannot be believed; empty if it has confirmed what was set last."""
        return self._fault or ""

    def write(self, event: Event) -> None:
        """Set the coil of a camera from the decision of an event.

        Raises:
            OutputError: The camera has no coil, or the controller does not answer, so that the gate stays in
                its reject state.
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
                "Add it to coils, or add '*' for all other cameras.",
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
        """Set the coils, and the heartbeat if it is due; returns an error message, or an empty string."""
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
                if why := self._confirmed(self._client, address, value):
                    return f"{where}: {why}"
        except (ModbusException, OSError) as error:
            self._client.close()
            return f"{where}: no answer to coil {address}: {error}" if coils else f"{where}: {error}"
        return ""

    def _confirmed(self, client: ModbusTcpClient, address: int, value: bool) -> str:
        """Set a coil; returns why it does not count as set, or an empty string."""
        asked_s = time.monotonic()
        answer = client.write_coil(address, value, device_id=self._unit)
        took_s = time.monotonic() - asked_s
        if answer.isError():
            return f"refused to set coil {address}: {answer}"
        if (answer.address, list(answer.bits[:1])) != (address, [value]):
            client.close()
            return f"confirmed another coil than {address}, or another value"
        if took_s > self._timeout_s:
            client.close()  # so that no late answer is taken for one to the next question
            return f"answered only after {took_s:.1f} s, later than the heartbeat"
        return ""

    def _end(self) -> None:
        assert self._client is not None
        coils = dict.fromkeys(self._state.rejects(float("inf")), True)
        until = time.monotonic() + _TIMEOUT_S
        # Written again until confirmed: nobody sets the gate to reject after this.
        while self._set(coils) and time.monotonic() < until:
            time.sleep(_RETRY_S)
        self._client.close()


class ModbusTable(SinkTable, frozen=True):
    """``[sinks.modbus]``: coils of a reject gate.

    Attributes:
        host: Address of the controller, a Modbus TCP server.
        coils: Camera to coil address, ``{ left = 1 }``; ``"*"`` stands for all other cameras.
        heartbeat_coil: Address of the heartbeat coil, which toggles in every cycle.
        port: Port of the controller.
        unit: Unit id of the controller.
        heartbeat_s: Interval in seconds at which the heartbeat toggles and all coils are written.
        pass_s: How long a passing decision is valid, in seconds.
        passes: Decisions that pass; ``INVALID`` is not allowed.
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
            raise ValueError("modbus.passes contains INVALID, which must never pass")


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
