"""``pcedge index`` by the real command, and what chooses an index at watch, evaluate and verify."""

import json
from pathlib import Path
from typing import Any

from ..conftest import Line, Run


def _args(line: Line, *arguments: str | Path) -> tuple[str | Path, ...]:
    return (*arguments, "--models", line.models)


def test_an_index_is_compared_kept_used_and_proved(line: Line, pcedge: Run) -> None:
    done = pcedge(
        *_args(line, "index", "int8", "IVF16,SQ8:nprobe=4", "--images", line.dataset, "--use", "HNSW16"),
        "--json",
        torch=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    by_name = {one["name"]: one for one in found["indexes"]}

    assert list(by_name) == ["exact", "int8", "IVF16,SQ8:nprobe=4", "HNSW16"]
    assert (found["used"], found["kept"]) == ("HNSW16", ["HNSW16"])
    for name in ("exact", "int8"):
        cost = by_name[name]["cost"]
        assert (cost["recall"], cost["proved"], cost["score_error_largest"]) == (1.0, 1.0, 0.0)
        assert (cost["flips"], by_name[name]["file_bytes"]) == (0, 0)
    assert by_name["int8"]["memory_bytes"] < by_name["exact"]["memory_bytes"]
    assert by_name["int8"]["image_auroc"] == by_name["exact"]["image_auroc"]
    assert 0.5 < by_name["HNSW16"]["cost"]["recall"] <= 1.0
    assert "test images" in by_name["HNSW16"]["cost"]["source"]

    proved = pcedge(*_args(line, "verify"), torch=False)
    assert proved.returncode == 0, proved.stderr
    assert "searched by HNSW16, not exactly" in proved.stderr
    assert "The thresholds are from scores by exact search" in proved.stderr

    exact = pcedge(
        *_args(line, "watch", "--folder", line.dataset / "test" / "good", "--once", "--index", "int8"),
        *("--output", line.models / "out", "--max-frames", "2"),
        torch=False,
    )
    assert exact.returncode == 0, exact.stderr
    assert "its rows stay on disk" in exact.stderr
    assert "verified" in exact.stderr


def test_without_images_the_golden_frames_are_searched_for_and_nothing_changes(
    line: Line, pcedge: Run
) -> None:
    bundle = line.models / "line"
    before = {path: path.read_bytes() for path in sorted(bundle.rglob("*")) if path.is_file()}

    done = pcedge(*_args(line, "index"))

    assert done.returncode == 0, done.stderr
    assert "golden frames" in done.stdout
    assert all(name in done.stdout for name in ("exact", "int8", "HNSW32", "proved"))
    assert "is searched by exact; indexes it keeps: none" in done.stderr
    assert {path: path.read_bytes() for path in sorted(bundle.rglob("*")) if path.is_file()} == before


def test_what_cannot_be_is_said_in_words(line: Line, pcedge: Run, assert_clear: Any) -> None:
    assert_clear(pcedge(*_args(line, "index", "Nonsense")), "'Nonsense'", "could not parse", "HNSW32")
    assert_clear(pcedge(*_args(line, "index", "IVF999999,Flat")), "at least 999999 rows", "the bank has")
    assert_clear(
        pcedge("evaluate", line.dataset, "--model", line.models / "line", "--index", "HNSW32"),
        "keeps no index 'HNSW32'",
        "pcedge index 'HNSW32' --keep",
    )
