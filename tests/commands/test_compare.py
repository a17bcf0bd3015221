"""``pcedge compare`` by the real command."""

import json
from pathlib import Path
from typing import Any

from ..conftest import Run

METHODS = '[small]\nabout = "a small bank"\ncoreset = "10"\n[absent]\nbackbone = "no-such-network"\n'


def test_methods_are_compared_and_what_cannot_be_run_is_named(pcedge: Run, tmp_path: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "bolt", train=6, test_good=2, per_defect=1, size=64)
    (tmp_path / "methods.toml").write_text(METHODS)
    arguments = ("compare", "bolt", "--methods-file", "methods.toml", "--methods", "small,absent")

    done = pcedge(
        *arguments,
        *("--backbone", "pcedge-s", "--image-size", "64", "--output", "runs", "--markdown", "docs/page.md"),
        "--json",
        cwd=tmp_path,
    )

    assert done.returncode == 3, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert [entry["method"] for entry in found["entries"]] == ["small"]
    assert [one["method"] for one in found["not_run"]] == ["absent"]
    assert "Not run: absent on bolt" in done.stderr
    page = (tmp_path / "docs" / "page.md").read_text()
    assert "pcedge compare bolt --methods-file methods.toml" in page
    assert "![" in page
    assert (tmp_path / "docs" / "page.png").stat().st_size > 1000
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        *("bolt-small", "comparison.json", "comparison.csv", "comparison.png")
    }


def test_an_unknown_method_lists_those_there_are(pcedge: Run, assert_clear: Any, tmp_path: Path) -> None:
    done = pcedge("compare", tmp_path, "--methods", "patchcore,best")

    assert_clear(done, "There is no method 'best'", "patchcore+clip", "--methods-file")


def test_a_report_that_cannot_be_written_is_said_before_the_work(
    pcedge: Run, assert_clear: Any, tmp_path: Path
) -> None:
    done = pcedge("compare", tmp_path, "--methods", "padim", "--report", "report.txt", cwd=tmp_path)

    assert_clear(done, "report.txt", "report.pdf or report.html")
    assert not list(tmp_path.iterdir())
