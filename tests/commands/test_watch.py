"""``pcedge watch`` on lines: several cameras, a line's file, folders across restarts, no secrets."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcedge.bundles.gate_files import gate_limits
from pcedge.camera import Event, Frame, ImageSink, Inspection, Summary, Verdict, render_part, write_image
from pcedge.errors import PcedgeError
from pcedge.inspection.runtimes import Candidate
from pcedge.line.config import read_line_file
from pcedge.line.open_line import Line, open_line
from pcedge.line.status import Watched
from pcedge.line.watch import WatchOptions, watch_line

LINE = """
[[camera]]
name = "left"
source = "synthetic:?fps=20&frames=12&seed=3&defects=0"
region = [0, 0, 384, 384]

[[camera]]
name = "right"
source = "incoming"
threshold = 0.0
mask = "mask.png"

[watch]
output = "out"
batch = 2
stall_s = 5

[sinks.pictures]
save = "all"

[sinks.sqlite]

[metrics]
port = 0
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    for number in range(3):
        write_image(tmp_path / "incoming" / f"{number}.png", render_part(number).image_rgb)
    mask = np.zeros((384, 384, 3), np.uint8)
    mask[:100] = 255
    write_image(tmp_path / "mask.png", mask)
    (tmp_path / "line.toml").write_text(LINE, encoding="utf-8")
    return tmp_path


def _watch(place: Path, models: Path, **more: Any) -> tuple[Summary, list[Event]]:
    """Watch the line in this process; its folders once."""
    events: list[Event] = []

    def note(event: Event, _frame: Frame, _inspection: Inspection) -> None:
        events.append(event)

    def raise_it(error: PcedgeError) -> None:
        raise error

    described = read_line_file(place / "line.toml")
    out = place / described.watch.output
    with open_line(
        described,
        out,
        models=models,
        choose=lambda _: Candidate("onnx", "cpu"),
        on_problem=raise_it,
        base=place,
        follow=False,
    ) as line:
        assert isinstance(line, Line)
        assert len(line.inspector.runtimes) == 1
        options = WatchOptions(out, sinks=described.sinks, metrics=described.metrics, batch=2)
        return watch_line(line, options, on_event=note, **more), events


def test_a_line_of_a_camera_and_a_folder_from_its_file_to_every_sink(exported_line: Any, place: Path) -> None:
    states: list[str] = []
    seen: list[Watched] = []

    summary, events = _watch(
        place,
        exported_line.models,
        on_ready=seen.append,
        on_state=lambda status: states.append(f"{status.name} {status.state.value}"),
    )

    right = [event for event in events if event.camera == "right"]
    left = [event for event in events if event.camera == "left"]
    assert [(event.name, event.verdict) for event in right] == [(f"{n}.png", Verdict.NG) for n in range(3)]
    assert {event.product for event in events} == {"line"}
    assert len(left) + summary.dropped == 12
    assert left[0].threshold == pytest.approx(0.63, abs=0.2)
    assert summary.faults == 0, summary.last_fault
    written = [json.loads(line) for line in (place / "out" / "events.jsonl").read_text().splitlines()]
    assert [line["id"] for line in written] == [event.id for event in events]
    files = [place / "out" / file for event in events for file in event.files.values()]
    assert len(files) >= 2 * len(right)
    assert all(file.is_file() for file in files)
    assert (place / "out" / "events.sqlite").is_file()
    assert {status.name for status in seen[0].stream.cameras} == {"left", "right"}


def test_a_folder_is_gone_through_once_across_restarts(exported_line: Any, place: Path) -> None:
    _, first = _watch(place, exported_line.models)
    write_image(place / "incoming" / "3.png", render_part(3).image_rgb)
    _, second = _watch(place, exported_line.models)

    assert [event.name for event in first if event.camera == "right"] == ["0.png", "1.png", "2.png"]
    assert [event.name for event in second if event.camera == "right"] == ["3.png"]


def test_fit_teaches_the_gate_what_pictures_look_like(exported_line: Any, place: Path) -> None:
    from pcedge.bundles.bundle import Bundle

    bundle = Bundle.open(exported_line.models / "line")
    limits = gate_limits(bundle)
    assert limits is not None
    assert limits.size_wh == (384, 384)
    assert bundle.manifest.threshold.review is not None
    assert bundle.manifest.threshold.review < bundle.manifest.threshold.score
    for path in (place / "incoming").iterdir():
        path.unlink()
    write_image(place / "incoming" / "dark.png", render_part(5).image_rgb // 4)
    write_image(place / "incoming" / "wide.png", np.tile(render_part(5).image_rgb, (1, 2, 1)))

    _, events = _watch(place, exported_line.models)

    reasons = {event.name: event.reason for event in events if event.camera == "right"}
    assert reasons["dark.png"].startswith("too dark: mean ")
    assert reasons["wide.png"].startswith("wrong size: 768 x 384")
    assert all(event.verdict is not Verdict.OK for event in events if event.camera == "right")


def test_metrics_and_health_tell_of_every_camera(exported_line: Any, place: Path) -> None:
    pytest.importorskip("prometheus_client")
    pages: dict[str, str] = {}

    def look(status: Any) -> None:
        if pages:
            return
        for page in ("metrics", "healthz"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=60) as got:
                pages[page] = got.read().decode()

    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    text = (place / "line.toml").read_text().replace("port = 0", f"port = {port}")
    (place / "line.toml").write_text(text.replace("frames=12", "frames=60"))

    _watch(place, exported_line.models, on_state=look)

    assert 'pcedge_camera_received_total{camera="left"}' in pages["metrics"]
    assert 'pcedge_camera_state{camera="right",state="RUNNING"}' in pages["metrics"]
    assert 'pcedge_drift{camera="left",quantity="light"} 0.0' in pages["metrics"]
    assert json.loads(pages["healthz"])["drift"] == {"left": {}, "right": {}}
    cameras = json.loads(pages["healthz"])["cameras"]
    assert {camera["camera"] for camera in cameras} == {"left", "right"}
    assert set(cameras[0]) >= {"state", "reason", "camera_fps", "processed_fps", "dropped_fps", "restarts"}


def test_the_command_watches_several_cameras_and_passes_over_what_was_judged(
    pcedge: Any, exported_line: Any, place: Path
) -> None:
    command = (
        "watch", "--camera", "synthetic:?frames=2&seed=4", "--camera", "synthetic:?frames=2&seed=5",
        "--camera", "folder:incoming", "--once", "--models", exported_line.models, "--output", "results",
        "--save", "none", "--review", "--no-drift",
    )  # fmt: skip

    first = pcedge(*command, cwd=place)
    second = pcedge(*command, cwd=place)

    def cameras(text: str) -> dict[str, int]:
        names = [json.loads(line)["camera"] for line in text.splitlines()]
        return {name: names.count(name) for name in sorted(set(names))}

    assert first.returncode == 0, first.stderr
    assert cameras(first.stdout) == {"folder:incoming": 3, "synthetic": 2, "synthetic-2": 2}
    assert cameras(second.stdout) == {"synthetic": 2, "synthetic-2": 2}
    assert "3 images judged before are passed over" in second.stderr
    assert '"state": "ENDED"' in first.stderr or '"state": "RUNNING"' in first.stderr


SECRETS = """
[[camera]]
name = "gate"
source_env = "GATE"

[[camera]]
name = "demo"
source = "synthetic:?frames=1"

[watch]
output = "out"
open_s = 1
trigger_port = 0
trigger_token_env = "TRIGGER_TOKEN"

[sinks.webhook]
url_env = "HOOK"
token_env = "HOOK_TOKEN"
verdicts = ["OK", "NG", "REVIEW", "INVALID"]
timeout_s = 1

[sinks.mqtt]
host = "127.0.0.1"
port = 9
username = "inspector"
password_env = "BROKER"

[sinks.sqlite]

[sinks.pictures]
save = "all"
"""


def test_no_secret_is_shown_or_kept(pcedge: Any, exported_line: Any, tmp_path: Path) -> None:
    """A secret in every place where one may be, all peers away, so that everything has something to say."""
    (tmp_path / "line.toml").write_text(SECRETS)
    secrets = {
        "GATE": "rtsp://inspector:hunter2@127.0.0.1:9/hunter2/live?token=hunter2&code=hunter2#hunter2",
        "MISTYPED": "rtsp//inspector:hunter2@127.0.0.1:9/live?access=hunter2",
        "HOOK": "http://inspector:hunter2@127.0.0.1:9/services/hunter2?sig=hunter2",
        "HOOK_TOKEN": "hunter2",
        "BROKER": "hunter2",
        "TRIGGER_TOKEN": "hunter2",
    }
    env = {**secrets, "PCEDGE_STATE": str(tmp_path / "state"), "PCEDGE_CACHE": str(tmp_path / "cache")}

    watched = pcedge(
        "watch", "--config", "line.toml", "--models", exported_line.models, "--max-seconds", "4",
        cwd=tmp_path, env=env,
    )  # fmt: skip
    others = [
        pcedge(*command, cwd=tmp_path, env=env)
        for command in (
            ("doctor", "--json"),
            ("service", "line.toml", "--user", "inspector"),
            ("watch", "--camera", secrets["GATE"], "--models", exported_line.models, "--max-seconds", "1"),
            ("watch", "--camera", secrets["MISTYPED"], "--models", exported_line.models),
        )
    ]

    assert watched.returncode == 3, watched.stderr
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert {(event["camera"], event["verdict"]) for event in events} >= {("gate", "INVALID")}
    assert all(word in watched.stderr for word in ("webhook", "mqtt")), "what is away is said"
    for done in (watched, *others):
        assert "hunter2" not in done.stdout + done.stderr, done.args
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"events.sqlite", "events.jsonl"} <= {path.name for path in kept}
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--config", "line.toml", "--camera", "0"), ("Name one thing to watch", "--config line.toml")),
        (("--config", "line.toml", "--threshold", "1"), ("--threshold", "for each camera")),
        (("--config", "none.toml"), ("none.toml: cannot be read",)),
    ],
)
def test_contradictions_are_refused(
    pcedge: Any, assert_clear: Any, place: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_clear(pcedge("watch", *arguments, cwd=place), *words)


def test_a_watch_that_is_killed_leaves_one_verdict_a_file(exported_line: Any, tmp_path: Path) -> None:
    from benchmarks.crash import survive

    report = survive(tmp_path / "work", exported_line.models / "line", files=30, kills=3, seed=1)

    assert report.good, report
    assert report.at_work > 0


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs Debian's package ffmpeg")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at connections in /proc")
def test_a_real_network_camera_may_fail_in_every_way_and_no_stale_frame_is_judged() -> None:
    from benchmarks.stream import try_everything

    report = try_everything(1)

    assert report.stale == []
    assert report.summary.verdicts[Verdict.INVALID] >= 3
    assert max(time for times in report.recoveries_s.values() for time in times) < 15


def test_watching_leaves_the_cores_to_the_network(tmp_path: Path) -> None:
    look = (
        "import sys, contextlib, threadpoolctl; from pcedge.cli.app import app\n"
        "with contextlib.suppress(BaseException): app(sys.argv[1:], standalone_mode=False)\n"
        "pools = threadpoolctl.threadpool_info()\n"
        "print(*(pool['num_threads'] for pool in pools if pool['internal_api'] == 'openblas'))"
    )
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", look, "watch", "--folder", tmp_path / "none", "--models", tmp_path],
        capture_output=True, text=True, check=True, env=free,
    )  # fmt: skip

    assert set(done.stdout.split()) == {"1"}, done.stderr


def test_many_frames_leave_nothing_behind(tmp_path: Path) -> None:
    from benchmarks.soak import soak

    report = soak(frames=1500, since=1000, output=tmp_path)

    assert report.lost == 0
    assert report.threads == []
    assert report.files == []
    assert report.growth(1000) < 0.05


def test_files_wait_for_a_slow_sink_and_lose_nothing(
    exported_line: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "incoming").mkdir()
    for number in range(40):
        write_image(tmp_path / "incoming" / f"{number:02}.png", np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "line.toml").write_text(
        '[[camera]]\nsource = "incoming"\nproduct = "line"\n[watch]\noutput = "out"\n', encoding="utf-8"
    )
    write = ImageSink.write_frame

    def slowly(self: ImageSink, event: Event, frame: Frame, inspection: Inspection) -> None:
        time.sleep(0.02)
        write(self, event, frame, inspection)

    monkeypatch.setattr(ImageSink, "write_frame", slowly)
    summary, events = _watch(tmp_path, exported_line.models)

    assert [event.verdict for event in events] == [Verdict.INVALID] * 40
    assert summary.faults == 0, summary.last_fault
    assert all((tmp_path / "out" / file).is_file() for event in events for file in event.files.values())
