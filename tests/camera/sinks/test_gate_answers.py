"""Controllers whose answers are none: the gate is not believed."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from pcedge.camera import Delivery, Event, GateState, RejectGate

pytest.importorskip("pymodbus")

Make = Callable[..., Event]
Until = Callable[[Callable[[], object]], None]
Answer = Callable[[int, int, bytes], bytes]
HEARTBEAT_S = 0.3


class Controller:
    """A Modbus TCP server that answers as it is told to: transaction, unit and request to bytes."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.coils: dict[int, bool] = {}
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, struct.error):
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", client.recv(7, socket.MSG_WAITALL))
                request = client.recv(length - 1, socket.MSG_WAITALL)
                _, address, value = struct.unpack(">BHH", request)
                self.coils[address] = bool(value)
                client.sendall(self.answer(transaction, unit, request))


def _packed(transaction: int, unit: int, body: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body


def _late(transaction: int, unit: int, body: bytes) -> bytes:
    time.sleep(2 * HEARTBEAT_S)
    return _packed(transaction, unit, body)


def _another_value(transaction: int, unit: int, body: bytes) -> bytes:
    return _packed(transaction, unit, body[:3] + (b"\0\0" if body[3] else b"\xff\0"))


ANSWERS: dict[str, Answer] = {
    "another unit": lambda transaction, _unit, body: _packed(transaction, 255, body),
    "another transaction": lambda transaction, unit, body: _packed(transaction ^ 0x55, unit, body),
    "another value": _another_value,
    "another coil": lambda transaction, unit, body: _packed(
        transaction, unit, body[:1] + b"\0\x09" + body[3:]
    ),
    "late": _late,
    "an error": lambda transaction, unit, body: _packed(transaction, unit, bytes([body[0] | 128, 2])),
    "no Modbus": lambda *_: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "nothing": lambda *_: b"",
}


@contextmanager
def _controller(answer: Answer) -> Iterator[Controller]:
    controller = Controller(answer)
    yield controller
    controller.close()


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none_is_a_trouble_until_there_is_one(name: str, event: Make, until: Until) -> None:
    with _controller(ANSWERS[name]) as controller:
        state = GateState({"cam0": 1}, 100.0)
        gate = RejectGate("127.0.0.1", state, port=controller.port, heartbeat_coil=0, heartbeat_s=HEARTBEAT_S)
        with Delivery({"modbus": gate}) as delivery:
            until(lambda: delivery.faults()[0].faulty)
            assert delivery.faults()[0].last_fault.startswith("Modbus server 127.0.0.1:")
            assert 0 not in controller.coils, "it beats though nothing is confirmed"

            controller.answer = _packed
            until(lambda: not delivery.faults()[0].faulty)
            delivery.put(event(1), None, None)  # type: ignore[arg-type]
            until(lambda: controller.coils.get(1) is False)
        assert controller.coils[1], "the end is at reject"


def test_at_the_end_reject_is_written_until_it_is_confirmed(event: Make, until: Until) -> None:
    with _controller(_packed) as controller:
        state = GateState({"cam0": 1}, 100.0)
        gate = RejectGate("127.0.0.1", state, port=controller.port, heartbeat_coil=0, heartbeat_s=HEARTBEAT_S)
        with gate:
            gate.write(event(1))
            until(lambda: controller.coils.get(1) is False)
            ends: list[float] = []

            def not_at_first(transaction: int, unit: int, body: bytes) -> bytes:
                if body[:3] == b"\x05\0\1":
                    ends.append(time.monotonic())
                return b"" if len(ends) == 1 else _packed(transaction, unit, body)

            controller.answer = not_at_first

    assert len(ends) >= 2
    assert controller.coils[1]
