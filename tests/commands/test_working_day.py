"""A working day by the real commands: fit, export, evaluate, watch, on a small rendered line."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import faiss
import numpy as np
import pytest

from pcedge.camera import read_image, render_part, write_image

EVENT_KEYS = {
    "time", "source", "frame", "name", "score", "verdict", "threshold", "latency_ms", "reason", "files",
    "id", "phase", "camera", "product", "decision", "review_threshold", "regions", "p_value", "drift",
}  # fmt: skip


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_fit_writes_a_bundle_that_others_can_read(line: Any) -> None:
    bundle = line.models / "line"
    manifest = json.loads((bundle / "manifest.json").read_text())
    index = faiss.read_index(str(bundle / "bank.faiss"))

    assert (line.models / "current").read_text().strip() == "line"
    assert manifest["images"] == 24
    assert manifest["bank"]["rows"] == index.ntotal == int(24 * 28 * 28 * 0.1)
    assert index.d == manifest["embedding"]["dims"]
    on_disk = {
        path.relative_to(bundle).as_posix(): path.stat().st_size
        for path in bundle.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert {name: file["size"] for name, file in manifest["files"].items()} == on_disk
    assert {"bank.faiss", "bank_rows.npz", "embedder.onnx", "golden/stages.npz"} <= set(on_disk)


def test_fit_reports_in_json(pcedge: Any, exported_line: Any, tmp_path: Path) -> None:
    done = pcedge(
        "fit", exported_line.dataset, "--backbone", "pcedge-s",
        "--coreset", "500", "--models", tmp_path / "m", "--name", "flange", "--json",
    )  # fmt: skip
    report = json.loads(done.stdout)

    assert done.returncode == 0
    assert report["bank_rows"] == 500
    assert report["patches"] == 24 * 28 * 28
    assert Path(report["bundle"]) == tmp_path / "m" / "flange"
    assert set(report["seconds"]) == {"load", "embed", "coreset", "calibrate", "write"}
    # 24 images cannot support the usual 1 %: what they do support is used, and said.
    assert report["false_reject_rate"] == pytest.approx(1 / 25)


def test_the_same_fit_gives_the_same_bank_byte_for_byte(
    pcedge: Any, exported_line: Any, tmp_path: Path
) -> None:
    options = ("--backbone", "pcedge-s", "--models", tmp_path)

    assert pcedge("fit", exported_line.dataset, *options).returncode == 0

    for name in ("bank.faiss", "backbone.safetensors"):
        again, first = tmp_path / "line" / name, exported_line.models / "line" / name
        assert again.read_bytes() == first.read_bytes(), name


def test_a_plain_folder_of_good_images_is_enough(pcedge: Any, exported_line: Any, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(exported_line.dataset / "train" / "good", plain)

    done = pcedge("fit", plain, "--backbone", "pcedge-s", "--models", tmp_path / "m", "--coreset", "1%")

    assert done.returncode == 0, done.stderr
    assert "bank rows" in done.stdout
    assert (tmp_path / "m" / "plain" / "manifest.json").is_file()


def test_export_proves_parity_in_json(pcedge: Any, line: Any) -> None:
    done = pcedge("export", "--models", line.models, "--json")
    (certificate,) = json.loads(done.stdout)["certificates"]
    parity = certificate["parity"]

    assert done.returncode == 0
    assert [certificate[key] for key in ("runtime", "device", "precision")] == ["onnx", "cpu", "fp32"]
    assert (parity["frames"], parity["flips"]) == (4, 0)
    assert all(0 <= stage["largest"] <= stage["tolerance"] for stage in parity["stages"])


def test_export_to_tensorrt_without_tensorrt_is_partly_done(pcedge: Any, line: Any) -> None:
    done = pcedge("export", "--trt", "--models", line.models)

    assert done.returncode == 3
    assert "TensorRT cannot be used on this machine" in done.stderr
    assert "pcedge export --trt" in done.stderr
    assert (line.models / "line" / "embedder.onnx").is_file()
    assert "equals PyTorch" in done.stdout


@pytest.mark.parametrize("torch", [True, False])
def test_evaluate_gives_the_same_numbers_in_torch_and_from_the_exported_file(
    pcedge: Any, exported_line: Any, torch: bool
) -> None:
    runtime = "torch" if torch else "onnx"
    done = pcedge(
        "evaluate", exported_line.dataset, "--model", exported_line.models / "line",
        "--runtime", runtime, "--json", torch=torch,
    )  # fmt: skip
    result = json.loads(done.stdout)

    assert done.returncode == 0
    assert runtime in result["runtime"]
    assert (result["good"], result["defective"]) == (6, 12)
    for metric in ("image_auroc", "pixel_auroc", "pixel_auroc_anomalous", "aupro"):
        assert 0.6 < result[metric] <= 1, metric
    other = json.loads(
        pcedge(
            "evaluate",
            exported_line.dataset,
            "--model",
            exported_line.models / "line",
            "--runtime",
            "onnx",
            "--json",
        ).stdout
    )
    assert result["scores"] == pytest.approx(other["scores"], rel=1e-4)


def test_metrics_that_are_not_defined_are_null(pcedge: Any, line: Any) -> None:
    shutil.rmtree(line.dataset / "ground_truth")
    shutil.rmtree(line.dataset / "test" / "good")

    done = pcedge("evaluate", line.dataset, "--model", line.models / "line", "--json")
    result = json.loads(done.stdout)

    assert [result[key] for key in ("image_auroc", "pixel_auroc", "pixel_auroc_anomalous", "aupro")] == [
        None
    ] * 4
    assert result["defects_without_mask"] == 12


def test_watch_judges_a_folder_without_torch(pcedge: Any, exported_line: Any, tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    learned = sorted(
        (exported_line.dataset / "train" / "good").iterdir()
    )  # of new ones, one in 25 is rejected
    write_image(folder_file(folder, 0), read_image(learned[0]))
    write_image(folder_file(folder, 1), render_part(901, "missing_hole", size=300).image_rgb)
    write_image(folder_file(folder, 2), read_image(learned[1]))
    (folder / "9.png").write_bytes(b"not a picture")
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)

    done = pcedge(
        "watch", "--folder", folder, "--once", "--models", exported_line.models,
        "--output", tmp_path / "out", "--fail-on-ng", torch=False,
    )  # fmt: skip
    assert "Every user of this machine can write into" in done.stderr
    events = _events(done.stdout)

    assert done.returncode == 4, done.stderr
    assert [event["verdict"] for event in events] == ["OK", "NG", "OK", "INVALID"]
    assert all(set(event) == EVENT_KEYS for event in events)
    assert events[1]["score"] > events[1]["threshold"] > events[0]["score"]
    assert events[3]["score"] is None
    assert "9.png" in events[3]["name"]
    assert _events((tmp_path / "out" / "events.jsonl").read_text()) == events
    files = events[1]["files"]
    assert all(file.startswith("pictures/") for file in files.values())
    picture = read_image(tmp_path / "out" / files["picture"])
    heatmap = read_image(tmp_path / "out" / files["heatmap"])
    assert np.array_equal(picture, read_image(folder / "1.png"))
    assert heatmap.shape[0] > 300, "the reasons are below"
    assert np.abs(heatmap[:300, :300].astype(int) - picture).max() > 60, "the heatmap colours something"
    assert events[0]["files"] == {}
    assert "NG 1" in done.stderr


def test_the_heat_lies_on_the_defect(exported_line: Any) -> None:
    import pcedge

    bundle = pcedge.find_bundle(models=exported_line.models)
    with pcedge.open_inspector(bundle) as inspector:
        for seed in range(950, 956):
            part = render_part(seed, "missing_hole", size=500)
            inspection = inspector.inspect(part.image_rgb)
            assert inspection.score_map_hw is not None
            assert inspection.map_to_picture is not None
            row, column = np.unravel_index(inspection.score_map_hw.argmax(), inspection.score_map_hw.shape)
            x, y = inspection.map_to_picture @ np.array([column, row, 1.0])
            near = cv2.dilate(part.mask_hw.astype(np.uint8), np.ones((41, 41), np.uint8))
            assert near[round(y), round(x)], seed


def folder_file(folder: Path, number: int) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / f"{number}.png"


def test_watch_reads_a_video_and_exits_with_0_when_not_asked_about_ng(
    pcedge: Any, exported_line: Any, tmp_path: Path
) -> None:
    video = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (384, 384))
    for seed in range(5):
        writer.write(np.ascontiguousarray(render_part(seed, "chip").image_rgb[:, :, ::-1]))
    writer.release()

    done = pcedge(
        "watch", "--camera", video, "--models", exported_line.models, "--output", tmp_path / "out",
        "--save", "all", "--json",
    )  # fmt: skip
    events = _events(done.stdout)

    assert done.returncode == 0, done.stderr
    assert [event["frame"] for event in events] == [0, 1, 2, 3, 4]
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 10


def test_a_threshold_given_on_the_command_line_overrides_the_bundles(
    pcedge: Any, exported_line: Any, tmp_path: Path
) -> None:
    done = pcedge(
        "watch", "--camera", "synthetic:?frames=3", "--models", exported_line.models,
        "--output", tmp_path, "--threshold", "0", "--save", "none",
    )  # fmt: skip

    assert [event["verdict"] for event in _events(done.stdout)] == ["NG"] * 3
    assert {event["threshold"] for event in _events(done.stdout)} == {0.0}


def test_watch_takes_what_arrives_and_ends_cleanly_on_ctrl_c(exported_line: Any, tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    first = folder_file(folder, 0)
    write_image(first, render_part(1).image_rgb)
    command = [str(Path(sys.executable).with_name("pcedge")), "watch", "--folder", str(folder), "--models",
               str(exported_line.models), "--output", str(tmp_path / "out")]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["name"] == "0.png"
        write_image(folder_file(folder, 1), render_part(2, "missing_hole").image_rgb)
        assert json.loads(process.stdout.readline())["verdict"] == "NG"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)

    assert process.returncode == 0
    assert rest == ""
    assert re.search(r"OK 1\b.*NG 1\b", errors)
    assert "Traceback" not in errors


def test_help_imports_nothing_heavy_and_every_command_explains_itself(pcedge: Any) -> None:
    looking = [sys.executable, "-X", "importtime", "-m", "pcedge", "--help"]
    imported = subprocess.run(looking, capture_output=True, text=True, check=True).stderr
    assert re.search(r"\| +typer$", imported, re.MULTILINE)
    assert not re.search(r"\| +(torch|numpy|cv2|faiss|onnxruntime|numba|scipy)$", imported, re.MULTILINE)
    shown = pcedge("--help")
    assert shown.returncode == 0
    for command in ("fit", "export", "watch", "evaluate", "models", "demo"):
        assert command in shown.stdout
        assert "--json" in pcedge(command, "--help").stdout


def test_models_lists_bundles_and_chooses_the_current_one(pcedge: Any, line: Any) -> None:
    shutil.copytree(line.models / "line", line.models / "other")
    (line.models / "broken").mkdir()
    (line.models / "broken" / "manifest.json").write_text("{")

    done = pcedge("models", "--use", "other", "--models", line.models, "--json")
    listed = {row["name"]: row for row in json.loads(done.stdout)}

    assert listed["other"]["current"]
    assert not listed["line"]["current"]
    assert "damaged" in listed["broken"]["problem"]
    assert (line.models / "current").read_text().strip() == "other"


def test_a_fit_in_little_memory_goes_in_stages_and_says_what_that_means(
    pcedge: Any, exported_line: Any, tmp_path: Path
) -> None:
    options = ("--backbone", "pcedge-s", "--models", tmp_path, "--memory-gb")

    refused = pcedge("fit", exported_line.dataset, *options, "0.05")
    named = re.search(r"--memory-gb ([\d.]*\d)", refused.stderr)
    assert refused.returncode == 1
    assert named is not None
    done = pcedge("fit", exported_line.dataset, *options, named[1], "--json")
    report = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert report["guarantee"].startswith("staged")
    assert report["images"] == 22, "two of the 24 are held out for the threshold"
    assert report["bank_rows"] == int(22 * 784 * 0.1)
    assert report["radius"] > 0
    judged = json.loads(pcedge("evaluate", exported_line.dataset, "-m", tmp_path / "line", "--json").stdout)
    exact = json.loads(
        pcedge("evaluate", exported_line.dataset, "--model", exported_line.models / "line", "--json").stdout
    )
    assert judged["image_auroc"] == pytest.approx(exact["image_auroc"], abs=0.08)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_second_fit_computes_only_what_is_new(pcedge: Any, exported_line: Any, tmp_path: Path) -> None:
    options = ("--backbone", "pcedge-s", "--json")
    env = {"PCEDGE_CACHE": str(tmp_path / "cache")}
    folder = tmp_path / "line"
    shutil.copytree(exported_line.dataset / "train" / "good", folder)

    def fit(name: str, *more: str) -> dict[str, Any]:
        done = pcedge("fit", folder, *options, "--models", tmp_path / "m", "--name", name, *more, env=env)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    assert fit("cold")["cached"] == 0
    assert fit("warm")["cached"] == 24
    write_image(folder / "new.png", render_part(31337).image_rgb)
    assert fit("grown")["cached"] == 24
    assert fit("off", "--cache-gb", "0")["cached"] == 0
    banks = [(tmp_path / "m" / name / "bank.faiss").read_bytes() for name in ("cold", "warm")]
    assert banks[0] == banks[1]
