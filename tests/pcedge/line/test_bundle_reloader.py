import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pcedge.bundles.bundle import Bundle
from pcedge.errors import PcedgeError
from pcedge.line import bundle_reloader
from pcedge.line.bundle_reloader import Reloader
from pcedge.line.inspector_pool import Assignment, InspectorPool


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


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        ({"product": "a"}, {"product": "a", "dataset": "moved/part"}, True),
        ({"product": "a"}, {"product": "b"}, False),
        ({"product": "", "dataset": "lines/part"}, {"product": "a", "dataset": "lines/part"}, True),
        ({"product": "", "dataset": "lines/part"}, {"product": "", "dataset": "screws/good"}, False),
    ],
)
def test_a_line_takes_over_what_is_the_same_product_and_says_what_is_not(
    before: dict[str, str],
    after: dict[str, str],
    taken: bool,
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
) -> None:
    running = make_bundle(tmp_path / "m", **before)
    pool, told, problems = _Pool(Assignment(running)), threading.Event(), []

    def on_problem(problem: PcedgeError) -> None:
        problems.append(problem.what)
        told.set()

    with Reloader(
        cast(InspectorPool, pool),
        {"cam0": running.directory},
        on_reload=lambda *_: told.set(),
        on_problem=on_problem,
        poll_s=0.01,
    ):
        make_bundle(tmp_path / "m", **after)
        assert told.wait(timeout=60)

    assert [one.bundle.manifest.product for one in pool.replaced] == ([after["product"]] if taken else [])
    if not taken:
        assert "another product" in problems[0]
        assert before.get("dataset", "lines/part") in problems[0]


class _Pool:
    """What the reloader needs of a pool of inspectors."""

    def __init__(self, running: Assignment) -> None:
        self._running = running
        self.replaced: list[Assignment] = []

    def assignment(self, _camera: str) -> Assignment:
        return self._running

    def replace(self, _camera: str, assignment: Assignment) -> None:
        self.replaced.append(assignment)
