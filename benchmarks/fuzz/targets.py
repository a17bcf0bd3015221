"""What is read, and by which code: a folder of sound inputs, and a reader for each."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np

from pcedge import open_inspector
from pcedge.adaptation.teaching.examples import read_examples
from pcedge.adaptation.teaching.lesson_log import read_log
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.drift_reference import rare_rows_of
from pcedge.bundles.files import describe_file
from pcedge.bundles.gate_files import gate_limits
from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.bundles.nominal_images import NOMINAL_FILE, KeptPictures
from pcedge.bundles.row_usage import read_usage
from pcedge.camera import (
    EventStore,
    Journal,
    JsonLines,
    NoFrame,
    Outbox,
    open_source,
    read_image,
    read_mask,
    render_part,
    write_image,
)
from pcedge.evaluation.reference.published import read_results
from pcedge.evaluation.runs.files import read_curves, read_run
from pcedge.inspection.runtimes import Candidate
from pcedge.inspection.verification.golden import read_golden
from pcedge.inspection.verification.verify import verify
from pcedge.line.config import read_line_file
from pcedge.networks.backbone_kinds.state_file import read_state
from pcedge.thresholds.calibration_data import read_evidence
from pcedge.thresholds.drift import drift_reference

from .network import receive, write_messages

_MOST_FRAMES = 100
LINE_FILE = """\
[watch]
output = "out"

[[camera]]
name = "left"
source = "synthetic:?frames=3"
region = [0, 0, 100, 100]
debounce = [2, 3]

[sinks.mqtt]
host = "127.0.0.1"
topic = "line/1"

[sinks.webhook]
url = "http://127.0.0.1:9/hook"

[metrics]
port = 0
"""
CSV_FILE = "tool,dataset,image_auroc\nanomalib,line,0.98\n"
_PART = render_part(1, size=64).image_rgb
Read = Callable[[Path], object]


def sound_inputs(folder: Path, bundle: Path, run: Path | None) -> None:
    """Write a sound input of every kind below ``folder``; those of bundles and runs are copied."""
    shutil.copytree(bundle, folder / "bundle")
    if run is not None:
        shutil.copytree(run, folder / "run")
    (folder / "line").mkdir()
    (folder / "line" / "line.toml").write_text(LINE_FILE)
    (folder / "table").mkdir()
    (folder / "table" / "others.csv").write_text(CSV_FILE)
    (folder / "out").mkdir()
    key = "file-0123abcd-0123456789abcdef"
    (folder / "out" / "judged.txt").write_text(f"\n{key}\n{key.replace('ab', 'ac')}")
    (folder / "out" / "events.jsonl").write_text(f'{{"name": "a", "id": "{key}"}}\n{{"name": "b"}}\n')
    (folder / "store").mkdir()
    _databases(folder / "store")
    (folder / "images").mkdir()
    picture = render_part(1, size=64).image_rgb
    for name in ("a.png", "a.jpg"):
        write_image(folder / "images" / name, picture)
    _other_images(folder / "images")
    (folder / "video").mkdir()
    _videos(folder / "video")
    (folder / "network").mkdir()
    write_messages(folder / "network")
    (folder / "weights").mkdir()
    shutil.copy(bundle / "backbone.safetensors", folder / "weights" / "a.safetensors")


def _videos(folder: Path) -> None:
    import cv2

    for name, code in (("a.avi", "MJPG"), ("a.mp4", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 10, (64, 64))
        for number in range(5):
            writer.write(np.ascontiguousarray(np.roll(_PART, number, axis=0)[..., ::-1]))
        writer.release()


def read_video(directory: Path) -> object:
    """Videos to their end, as ``watch`` reads them."""
    counts = []
    for path in sorted(directory.iterdir()):
        with open_source(str(path)) as source:
            frames = iter(lambda source=source: source.read(1.0), NoFrame.END)  # type: ignore[misc]
            counts.append(sum(1 for _ in zip(range(_MOST_FRAMES), frames, strict=False)))
    return counts


def _databases(folder: Path) -> None:
    outbox = Outbox(folder / "outbox.sqlite", max_messages=100)
    outbox.open()
    for number in range(20):
        outbox.add(str(number), "left", "{}")
    outbox.close()
    with EventStore(folder / "events.sqlite"):
        pass


def read_store(directory: Path) -> object:
    """Databases as a start of ``watch`` finds them."""
    outbox = Outbox(directory / "outbox.sqlite", max_messages=100)
    outbox.open()
    try:
        outbox.add("new", "left", "{}")
        return outbox.first(100)
    finally:
        outbox.close()
        with EventStore(directory / "events.sqlite"):
            pass


def _other_images(folder: Path) -> None:
    from PIL import Image

    image = Image.open(folder / "a.png")
    for name in ("a.tif", "a.bmp", "a.webp", "a.gif", "a.ppm", "a.avif", "a.jp2"):
        image.save(folder / name)
    image.convert("I;16").save(folder / "deep.png")


def read_bundle(directory: Path) -> object:
    """Everything of a bundle that is read, and a part judged by it."""
    bundle = Bundle.open(directory)
    bundle.check()
    bank = bundle.open_bank()
    bank.search(np.zeros((1, bank.dims), np.float32))
    read_golden(bundle)
    read_evidence(bundle)
    drift_reference(bundle, threshold=None, masked=False)
    rare_rows_of(bundle)
    gate_limits(bundle)
    read_log(bundle)
    read_examples(bundle)
    read_usage(directory, "0" * 64, bundle.manifest.bank.rows)
    KeptPictures(bundle.file(NOMINAL_FILE)).read(next(iter(bundle.manifest.threshold.held_out)))
    with open_inspector(bundle, runtime="onnx", device="cpu") as inspector:
        inspector.inspect(_PART)
    return verify(bundle, Candidate("onnx", "cpu"))


def read_output(directory: Path) -> object:
    """An output directory as a start of ``watch`` finds it."""
    with (
        Journal(directory / "judged.txt", directory / "events.jsonl") as journal,
        JsonLines(directory / "events.jsonl"),
    ):
        return len(journal)


def read_results_of(directory: Path) -> object:
    """A run, as ``report`` reads it."""
    return read_run(directory), read_curves(directory)


READERS: Mapping[str, Read] = {
    "bundle": read_bundle,
    "run": read_results_of,
    "line": lambda folder: read_line_file(folder / "line.toml"),
    "table": lambda folder: read_results(folder / "others.csv"),
    "out": read_output,
    "store": read_store,
    "images": lambda folder: [_both(path) for path in sorted(folder.iterdir())],
    "video": read_video,
    "network": receive,
    "weights": lambda folder: read_state(folder / "a.safetensors"),
}


def _both(path: Path) -> object:
    try:
        return read_mask(path)
    finally:
        read_image(path)


def reseal(directory: Path) -> None:
    """Let a bundle's manifest state the digests of its files as they are now, as a stranger can."""
    path = directory / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes())
        for name in manifest["files"]:
            manifest["files"][name] = msgspec.to_builtins(describe_file(directory / name))
    except (msgspec.MsgspecError, OSError, KeyError, TypeError, ValueError, RecursionError):
        return  # what is left of the manifest is the mutation
    path.unlink()  # it is a link to the sound one
    path.write_bytes(msgspec.json.encode(manifest))
