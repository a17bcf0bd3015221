"""All sinks together while the world around them fails: a full disk, nobody there, secrets that stay so."""

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcedge.camera import (
    Delivery,
    Event,
    Frame,
    Health,
    HealthServer,
    ImageSink,
    Inspection,
    JsonLines,
    SinksTable,
    SinkStatus,
    Verdict,
    open_sinks,
    read_image,
    read_sinks,
    sink_readings,
)

Until = Callable[[Callable[[], object]], None]
NOISE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
FRAME = Frame("cam0", 0, "x", 1_795_000_000.0, NOISE, camera="cam0")
NG = Inspection(Verdict.NG, 3.0, 2.0)
SECRETS = ("hunter2-Swordfish", "tok-8f3a1c", "pass-in-address")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk takes root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def _put(delivery: Delivery, first: int, count: int) -> None:
    for number in range(first, first + count):
        frame = replace(FRAME, index=number, captured_at=FRAME.captured_at + number)
        event = Event.of(frame, NG, 1.0, delivery.names(frame, NG))
        delivery.put(event, frame, NG)


def _report(delivery: Delivery, name: str) -> SinkStatus:
    return next(one for one in delivery.faults() if one.name == name)


def _settings(**more: Any) -> SinksTable:
    return read_sinks({"pictures": {"min_free_gb": 0}, **more})


def test_a_full_disk_stops_nothing_and_costs_no_verdict_once_there_is_room(
    small_disk: Path, tmp_path: Path, until: Until
) -> None:
    filler = small_disk / "filler"
    sinks = {**open_sinks(_settings(sqlite={}), small_disk), "elsewhere": JsonLines(tmp_path / "e.jsonl")}
    with Delivery(sinks) as delivery:
        _put(delivery, 0, 5)
        assert delivery.flush(10)
        filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free // 4096 * 4096))
        _put(delivery, 5, 100)
        until(lambda: all(_report(delivery, name).faulty for name in ("jsonl", "sqlite", "pictures")))
        until(lambda: _report(delivery, "elsewhere").written == 105)
        assert not _report(delivery, "elsewhere").faulty
        filler.unlink()
        until(lambda: _report(delivery, "jsonl").written == 105)
        until(lambda: _report(delivery, "sqlite").written == 105)

    lines = (small_disk / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(105))
    with closing(sqlite3.connect(small_disk / "events.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM event").fetchone() == (105,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    pictures = list((small_disk / "pictures").iterdir())
    assert all(np.array_equal(read_image(path), NOISE) for path in pictures), "no half pictures"
    assert len(pictures) == _report(delivery, "pictures").written
    assert _report(delivery, "pictures").lost == 105 - len(pictures) > 0


def test_a_disk_that_stays_full_does_not_keep_the_end_waiting(small_disk: Path, until: Until) -> None:
    with Delivery(open_sinks(_settings(sqlite={}), small_disk)) as delivery:
        (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free // 4096 * 4096))
        _put(delivery, 0, 50)
        until(lambda: _report(delivery, "jsonl").faulty)
        leaving = time.perf_counter()
    assert time.perf_counter() - leaving < 15, "as long as closing may take at most"

    for name in ("jsonl", "sqlite"):
        report = _report(delivery, name)
        assert report.written + report.lost == 50
        assert report.lost > 0


def test_no_secret_appears_anywhere(
    tmp_path: Path,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for module in ("paho.mqtt", "pymodbus", "prometheus_client"):
        pytest.importorskip(module)
    caplog.set_level(logging.DEBUG)
    password, token, in_address = SECRETS
    monkeypatch.setenv("MQTT_PASSWORD", password)
    (tmp_path / "token").write_text(token)
    output = tmp_path / "output"
    settings = _settings(
        sqlite={},
        clip={"min_free_gb": 0},
        mqtt={"host": "127.0.0.1", "port": 1, "username": "line", "password_env": "MQTT_PASSWORD"},
        webhook={
            "url": f"http://line:{in_address}@127.0.0.1:1/in?token={in_address}",
            "token_file": str(tmp_path / "token"),
        },
        modbus={"host": "127.0.0.1", "port": 1, "heartbeat_coil": 0, "coils": {"cam0": 1}},
    )
    sinks = open_sinks(settings, output)
    with (
        Delivery(sinks) as delivery,
        HealthServer(
            "127.0.0.1",
            0,
            readings=lambda: sink_readings(delivery.faults()),
            health=lambda: Health(True, True, {"sinks": [repr(one) for one in delivery.faults()]}),
        ) as server,
    ):
        _put(delivery, 0, 20)
        until(lambda: all(_report(delivery, name).faulty for name in ("mqtt", "webhook", "modbus")))
        pages = b"".join(
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}").read()
            for path in ("/metrics", "/healthz", "/readyz")
        )

    printed = capfd.readouterr()
    files = b"".join(path.read_bytes() for path in output.rglob("*") if path.is_file())
    everything = b"".join(
        [
            pages,
            files,
            printed.out.encode(),
            printed.err.encode(),
            caplog.text.encode(),
            repr([sinks, delivery.faults()]).encode(),
        ]
    )
    assert len(files) > 10_000
    assert b"pcedge_sink_faulty" in pages
    assert [secret for secret in SECRETS if secret.encode() in everything] == []


def test_sinks_of_every_kind_that_hang_delay_neither_the_inspection_nor_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> None:
        let_go.wait(60)

    let_go = threading.Event()
    monkeypatch.setattr(JsonLines, "write", hang)
    monkeypatch.setattr(ImageSink, "write_frame", hang)
    with Delivery(open_sinks(_settings(sqlite={}), tmp_path), close_within_s=0.5) as delivery:
        began = time.perf_counter()
        _put(delivery, 0, 50)
        assert delivery.flush(0.3) is False
    assert time.perf_counter() - began < 30

    assert _report(delivery, "sqlite").written + _report(delivery, "sqlite").lost == 50
    assert {one.name for one in delivery.faults() if one.abandoned} == {"jsonl", "pictures"}
    let_go.set()
