import threading
from pathlib import Path
from typing import Any

import pytest

from pcedge.errors import PcedgeError
from pcedge.line import bundle_reloader
from pcedge.line.bundle_reloader import Reloader


@pytest.mark.parametrize(
    "error", [ValueError("0 is no range"), KeyError("stage"), MemoryError(), PcedgeError("odd")]
)
def test_a_bundle_that_cannot_be_read_is_reported_and_the_next_one_taken(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str] = []
    told, opened = threading.Semaphore(0), threading.Semaphore(0)
    broken = True

    def open_bundle(_directory: Path) -> Any:
        if broken:
            raise error
        opened.release()
        raise PcedgeError("enough")

    def on_problem(problem: PcedgeError) -> None:
        problems.append(problem.what)
        told.release()

    monkeypatch.setattr(bundle_reloader, "open_any_bundle", open_bundle)
    manifest = tmp_path / "manifest.json"
    manifest.write_text("1")
    inspector: Any = None
    with Reloader(
        inspector, {"cam0": tmp_path}, on_reload=lambda *_: None, on_problem=on_problem, poll_s=0.01
    ):
        manifest.write_text("22")
        assert told.acquire(timeout=60)
        broken = False
        manifest.write_text("333")
        assert opened.acquire(timeout=60), "the thread has ended"

    assert str(error) in problems[0] or type(error).__name__ in problems[0]
