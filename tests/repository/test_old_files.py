"""Files that earlier versions wrote still open, and say what they said: see tests/data/before/README.md."""

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from pcedge import Bundle, Candidate, find_any_bundle, open_detector, read_image, read_log, rollback, verify
from pcedge.adaptation.teaching.examples import example_picture, read_examples
from pcedge.bundles.drift_reference import rare_rows_of
from pcedge.bundles.manifest import Precision
from pcedge.bundles.row_usage import read_usage
from pcedge.camera import Event, EventStore, Journal, JsonLines, Outbox, Phase, Verdict
from pcedge.evaluation.runs import find_runs, read_curves, read_run
from pcedge.line.config import read_line_file
from pcedge.studies.report import write_report
from pcedge.thresholds.drift import drift_reference

BEFORE = Path(__file__).parents[1] / "data" / "before"
KNOWN: dict[str, Any] = json.loads((BEFORE / "known.json").read_text("utf-8"))
EVENTS = 8


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("before")
    for packed in (BEFORE / "bundles").glob("*.tar.xz"):
        with tarfile.open(packed) as archive:
            archive.extractall(directory, filter="data")
    return directory


def _bundle(name: str, models: Path) -> Bundle:
    found = find_any_bundle(name, models)
    assert isinstance(found, Bundle)
    return found


@pytest.mark.parametrize("way", sorted(KNOWN["verdicts"]))
def test_a_bundle_judges_as_it_did(models: Path, way: str) -> None:
    name, precision, index = way.split()
    known = KNOWN["verdicts"][way]
    bundle = find_any_bundle(name, models)
    if isinstance(bundle, Bundle):
        bundle = bundle.searched_by(index)
    # An int8 network rounds differently on processors of other makes.
    tolerance = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.5}[precision]

    with open_detector(
        bundle, runtime="onnx", device="cpu", precision=cast(Precision, precision), review=True
    ) as detector:
        assert detector.threshold == known["threshold"]
        assert bundle.manifest.threshold.review == known["review"]
        for image, (score, verdict) in known["images"].items():
            found = detector.inspect(read_image(BEFORE / "images" / image))
            assert found.score == pytest.approx(score, rel=tolerance), image
            if precision != "int8":
                assert found.verdict.value == verdict, image


def test_a_bundle_is_proved_by_its_golden_frames(models: Path) -> None:
    for name in ("part", "small"):
        certificate = verify(_bundle(name, models), Candidate("onnx", "cpu", "fp32"))
        assert certificate.parity.holds, certificate


def test_a_bundle_tells_what_it_was_taught_and_goes_back(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "part", tmp_path / "part")
    bundle = _bundle("part", tmp_path)
    log = read_log(bundle)
    [example] = read_examples(bundle)

    assert [(entry.kind, entry.who, entry.added) for entry in log] == [
        ("fitted", "someone", 0),
        ("lesson", "someone", 14),
        ("examples", "someone", 0),
    ]
    assert [one.name for one in log[1].images] == ["0.png", "1.png", "2.png"]
    assert log[1].note == "another lamp"
    assert (example.kind, example_picture(bundle, example).shape) == ("defect", (128, 128, 3))
    assert bundle.manifest.bank.rows == 74

    rollback(bundle, 0)
    fitted = _bundle("part", tmp_path)
    assert fitted.manifest.bank.rows == 60
    assert fitted.manifest.files["bank.faiss"].sha256 == log[0].states["fp32"].bank_sha256


def test_what_a_line_counted_and_what_drift_is_measured_against_are_read(models: Path) -> None:
    bundle = _bundle("part", models)
    counted = read_usage(bundle.directory, bundle.manifest.files["bank.faiss"].sha256, 74)
    reference = drift_reference(bundle, threshold=None, masked=False).values

    assert counted is not None
    assert counted[0].sum() == 384
    assert np.count_nonzero(counted[1]) == np.count_nonzero(counted[0])
    assert {name: len(values) for name, values in reference.items() if name in ("light", "focus")} == {
        "light": 8,
        "focus": 8,
    }
    assert rare_rows_of(_bundle("small", models)) is not None


def test_a_line_file_means_what_it_meant() -> None:
    line = msgspec.to_builtins(read_line_file(BEFORE / "line.toml"))
    line["sinks"] = line["sinks"]["tables"]
    known = deepcopy(KNOWN["line"])
    for camera in known["cameras"]:  # a trigger of one kind had the keys of the others beside its own
        kind = camera["trigger"] and camera["trigger"]["by"]
        if kind and kind != "region":
            del camera["trigger"]["change"]

    assert list(_differences(known, line)) == []


def _differences(known: Any, found: Any, name: str = "") -> Iterator[str]:
    """What was known and is not the same now; what is new is none."""
    if isinstance(known, dict) and isinstance(found, dict):
        for key, value in known.items():
            yield from _differences(value, found.get(key), f"{name}.{key}")
    elif isinstance(known, list) and isinstance(found, list | tuple) and len(known) == len(found):
        for number, (one, other) in enumerate(zip(known, found, strict=True)):
            yield from _differences(one, other, f"{name}[{number}]")
    elif known != found:
        yield f"{name}: {known!r} is now {found!r}"


@pytest.fixture
def inspections(tmp_path: Path) -> Path:
    """What a watch left, to be written to."""
    return shutil.copytree(BEFORE / "inspections", tmp_path / "inspections")


def _events(inspections: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (inspections / "events.jsonl").read_text("utf-8").splitlines()]


def _event(found: dict[str, Any]) -> Event:
    names = ("time", "source", "frame", "name", "score", "threshold", "latency_ms", "id", "camera", "product")
    return Event(
        verdict=Verdict(found["verdict"]),
        decision=Verdict(found["decision"]),
        phase=Phase(found["phase"]),
        **{name: found[name] for name in names},
    )


def test_an_event_store_knows_its_events_and_takes_more(inspections: Path) -> None:
    first, *others = map(_event, _events(inspections))
    path = inspections / "events.sqlite"

    with EventStore(path) as store:
        assert all(store.holds(event) for event in (first, *others))
        store.write(first)
        store.write(replace(first, id="another"))
    with closing(sqlite3.connect(path)) as database:
        counts = dict(
            database.execute("SELECT verdict, count(*) FROM event WHERE id LIKE 'file-%' GROUP BY 1")
        )
        [(total,)] = database.execute("SELECT count(*) FROM event")

    assert counts == {"OK": 6, "NG": 2}
    assert total == EVENTS + 1


def test_events_are_appended_to(inspections: Path) -> None:
    before = (inspections / "events.jsonl").read_bytes()
    first = _event(_events(inspections)[0])

    with JsonLines(inspections / "events.jsonl") as lines:
        lines.write(first)

    after = (inspections / "events.jsonl").read_bytes()
    assert after.startswith(before)
    assert before.count(b"\n") == EVENTS
    # Whoever reads events finds every field that there was.
    assert _events(inspections)[0].keys() <= _events(inspections)[-1].keys()


@pytest.mark.parametrize("lost", [(), ("judged.txt",), ("events.jsonl",)])
def test_a_journal_knows_every_file_that_was_judged(inspections: Path, lost: tuple[str, ...]) -> None:
    keys = {event["id"] for event in _events(inspections)}
    for name in lost:
        (inspections / name).unlink()

    with Journal(inspections / "judged.txt", inspections / "events.jsonl") as journal:
        assert len(journal) == len(keys) == EVENTS
        assert all(key in journal for key in keys)


@pytest.mark.parametrize("name", ["mqtt", "webhook"])
def test_messages_wait_in_an_outbox(inspections: Path, name: str) -> None:
    outbox = Outbox(inspections / "outbox" / f"{name}.sqlite", max_messages=100)
    outbox.open()
    waiting = outbox.first(100)
    outbox.remove([waiting[0].number])
    left = len(outbox)
    outbox.close()

    assert [json.loads(message.body)["id"] for message in waiting] == [
        event["id"] for event in _events(inspections)
    ]
    assert {message.topic for message in waiting} == {"belt"}
    assert left == EVENTS - 1


def test_a_run_is_read_and_reported(tmp_path: Path) -> None:
    [directory] = find_runs([BEFORE / "runs"])
    run = read_run(directory)

    assert (run.name, run.settings.backbone, run.data.layout) == ("part", "pcedge-s", "mvtec-ad")
    assert run.value("image_auroc") == 0.25
    assert [row.verdict for row in run.images] == ["OK"] * EVENTS
    assert all((directory / shown.picture).is_file() for shown in run.pictures)
    assert read_curves(directory).pro is not None
    assert write_report([directory], tmp_path / "report.html").size > 10_000
