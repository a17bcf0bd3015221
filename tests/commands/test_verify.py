"""Verify and watch by the real commands: what is proved, what is refused, and what is said."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcedge.bundles.bundle import Bundle
from pcedge.inspection.verification.certificate import certificate_path


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing was proved yet."""
    monkeypatch.setenv("PCEDGE_STATE", str(tmp_path / "state"))


def _certificate(line: Any) -> Path:
    return certificate_path(Bundle.open(line.models / "line"))


def _change_manifest(line: Any, **preprocessing: Any) -> None:
    path = line.models / "line" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["preprocessing"] |= preprocessing
    path.write_text(json.dumps(manifest))


def _watch(pcedge: Any, line: Any, tmp_path: Path, *options: str) -> Any:
    return pcedge(
        "watch", "--folder", line.dataset / "test" / "good", "--once", "--max-frames", "1",
        "--models", line.models, "--output", tmp_path / "out", *options,
    )  # fmt: skip


def test_verify_proves_every_stage_without_torch(pcedge: Any, line: Any) -> None:
    done = pcedge("verify", "--models", line.models, "--json", torch=False)

    assert done.returncode == 0, done.stderr
    (certificate,) = json.loads(done.stdout)["certificates"]
    stages = [stage["stage"] for stage in certificate["parity"]["stages"]]
    assert certificate["holds"] is True
    assert stages == ["preprocessing", "embedding", "search", "map", "score"]
    assert all(stage["largest"] <= stage["tolerance"] for stage in certificate["parity"]["stages"])
    assert certificate["frame_ms"] > 0
    assert certificate["machine"]["cores"] >= 1
    assert {"python", "numpy", "onnxruntime"} <= set(certificate["versions"])
    (kept,) = json.loads(_certificate(line).read_text())["certificates"]
    assert {"holds": True, **kept} == certificate


def test_verify_prints_a_table(pcedge: Any, line: Any) -> None:
    assert pcedge("verify", "--models", line.models).returncode == 0

    done = pcedge("verify", "--models", line.models, "--runtime", "torch")

    assert done.returncode == 0
    for word in ("preprocessing", "embedding", "search", "map", "score", "bank rows", "0 of 4 flip"):
        assert word in done.stdout
    assert "Verified" in done.stderr
    kept = json.loads(_certificate(line).read_text())["certificates"]
    assert sorted(one["runtime"] for one in kept) == ["onnx", "torch"]


@pytest.mark.parametrize(
    "changed",
    [{"image_size": 256, "crop": 224}, {"mean": [0.406, 0.456, 0.485]}, {"image_size": 256}],
)
def test_a_changed_pixel_rule_fails_verify_and_watch_and_is_named(
    pcedge: Any, line: Any, tmp_path: Path, changed: dict[str, Any]
) -> None:
    _change_manifest(line, **changed)

    verified = pcedge("verify", "--models", line.models)
    watched = _watch(pcedge, line, tmp_path)

    assert verified.returncode == 1
    assert "Not verified" in verified.stderr
    assert "the preprocessing differs" in verified.stderr
    assert watched.returncode == 1
    assert "the preprocessing differs" in watched.stderr
    assert "pcedge verify" in watched.stderr
    assert not (tmp_path / "out" / "events.jsonl").exists()


def test_unverified_runs_with_a_warning(pcedge: Any, line: Any, tmp_path: Path) -> None:
    _change_manifest(line, image_size=256, crop=224)

    done = _watch(pcedge, line, tmp_path, "--unverified")

    assert done.returncode == 0, done.stderr
    assert "not verified" in done.stderr
    assert len((tmp_path / "out" / "events.jsonl").read_text().splitlines()) == 1


def test_watch_proves_what_was_not_proved_here_and_keeps_the_proof(
    pcedge: Any, line: Any, tmp_path: Path
) -> None:
    assert not _certificate(line).exists()

    first = _watch(pcedge, line, tmp_path)
    kept = _certificate(line).read_bytes()
    second = _watch(pcedge, line, tmp_path)

    assert first.returncode == second.returncode == 0
    assert "verified" in first.stderr
    assert json.loads(kept)["certificates"]
    assert _certificate(line).read_bytes() == kept, "a valid certificate is used, not made again"


def test_a_forged_certificate_does_not_speak_for_other_files(pcedge: Any, line: Any, tmp_path: Path) -> None:
    """A certificate of this machine, but of another manifest: it is not valid, and the fault is found."""
    assert pcedge("verify", "--models", line.models).returncode == 0
    honest = _certificate(line)
    _change_manifest(line, image_size=256, crop=224)
    shutil.copy(honest, _certificate(line))

    assert json.loads(_certificate(line).read_text())["certificates"]
    assert _watch(pcedge, line, tmp_path).returncode == 1


def test_what_is_proved_counts_where_it_cannot_be_kept(pcedge: Any, line: Any, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")  # nothing can be written under that name, even by root

    verified = pcedge("verify", "--models", line.models)
    watched = _watch(pcedge, line, tmp_path)

    assert verified.returncode == 3
    assert "cannot be written" in verified.stderr
    assert watched.returncode == 0
    assert "cannot be written" in watched.stderr


def test_export_whose_certificate_cannot_be_written_is_partly_done(
    pcedge: Any, line: Any, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("")

    done = pcedge("export", "--trt", "--models", line.models, "--json")

    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert "cannot be written" in json.loads(done.stdout)["unsaved"]


def test_a_bundle_without_golden_frames_says_so(pcedge: Any, line: Any) -> None:
    path = line.models / "line" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {
        name: info for name, info in manifest["files"].items() if not name.startswith("golden/")
    }
    path.write_text(json.dumps(manifest))

    done = pcedge("verify", "--models", line.models)

    assert done.returncode == 1
    assert "has no golden frames" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_engine_runs_on_no_processor(pcedge: Any, line: Any) -> None:
    done = pcedge("verify", "--models", line.models, "--runtime", "tensorrt", "--device", "cpu")

    assert done.returncode == 1
    assert "cannot run on the device 'cpu'" in done.stderr


def test_a_changed_golden_frame_is_an_error_that_names_the_file(pcedge: Any, line: Any) -> None:
    stages = line.models / "line" / "golden" / "stages.npz"
    with np.load(stages) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["score"] = arrays["score"] * 2
    np.savez(stages, **arrays)

    done = pcedge("verify", "--models", line.models)

    assert done.returncode == 1
    assert os.fspath(Path("golden") / "stages.npz") in done.stderr


def test_a_bundle_that_was_not_exported_says_how(pcedge: Any, line: Any) -> None:
    path = line.models / "line" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"]["embedder.onnx"]
    path.write_text(json.dumps(manifest))

    done = pcedge("verify", "--models", line.models)

    assert done.returncode == 1
    assert "pcedge export" in done.stderr
