"""The benchmarks anyone can run, on data so small that their times mean nothing."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ..conftest import Line
from ..forked_python import run_forked

ROOT = Path(__file__).resolve().parents[2]
CORESET_KEYS = {
    *("ours_s", "plain_s", "reference_s", "plain_over_ours", "reference_over_ours"),
    *("plain_extrapolated", "reference_extrapolated", "plain_picks_made", "reference_picks_made"),
    *("identical", "identical_picks_checked", "ties", "first_difference", "picks_in_common"),
    *("radius_ours", "radius_plain", "radius_reference", "radius_ours_beside_reference"),
    *("radius_picks", "radius_full", "radius_full_as_reported"),
    *("ours_peak_mb", "plain_peak_mb", "reference_peak_mb"),
    *("rows", "dims", "picks", "source", "seed", "device", "versions", "cpu_count", "load_average"),
}


def _benchmark(name: str, *arguments: str | Path, returns: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_forked(
        f"import runpy\nrunpy.run_module('benchmarks.{name}', run_name='__main__', alter_sys=True)",
        list(map(str, arguments)),
        cwd=ROOT,
        timeout_s=240,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == returns, done.stderr
    return done


def _result(name: str, *arguments: str | Path) -> Any:
    return json.loads(_benchmark(name, *arguments, "--json").stdout)


def _rows(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.fixture
def from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The patches of three images, wide enough to be projected."""
    np.save(tmp_path / "rows.npy", _rows(3, 400, 160))
    return tmp_path / "rows.npy"


def test_the_coreset_is_compared_on_the_rows_of_a_file(stored: Path) -> None:
    found = _result("coreset", "--features", stored, "--fraction", "0.05")

    assert set(found) >= CORESET_KEYS
    assert (found["rows"], found["dims"], found["dims_before_projection"]) == (1200, 128, 160)
    assert found["picks"] == found["identical_picks_checked"] == found["radius_picks"] == 60
    assert not found["plain_extrapolated"]
    assert not found["reference_extrapolated"]
    assert found["identical"] is True
    assert found["first_difference"] is None
    assert found["radius_ours"] == found["radius_plain"] == found["radius_full"]
    assert found["radius_full_as_reported"] == pytest.approx(found["radius_full"], rel=1e-4)
    assert found["plain_over_ours"] == pytest.approx(found["plain_s"] / found["ours_s"])


def test_a_long_run_is_extrapolated_and_says_so(stored: Path) -> None:
    found = _result("coreset", "--features", stored, "--fraction", "300", "--limit-s", "0")

    assert found["plain_extrapolated"]
    assert found["reference_extrapolated"]
    assert found["picks"] == 300
    assert found["plain_picks_made"] == found["reference_picks_made"] == 200
    assert found["identical"] is True
    assert found["identical_picks_checked"] == found["radius_picks"] == 200
    assert found["radius_full"] < found["radius_ours"] == found["radius_plain"]


def test_without_a_file_rendered_parts_are_compared_in_a_table() -> None:
    done = _benchmark("coreset", "--rows", "500", "--fraction", "10%")

    assert "50 of 500 rows, 128 dims (rendered parts, pcedge-s)" in done.stdout
    assert "identical to plain greedy: yes" in done.stdout
    assert "Rendering" in done.stderr


def test_a_file_that_holds_no_rows_is_refused_in_words(tmp_path: Path) -> None:
    np.save(tmp_path / "wrong.npy", np.arange(5))

    done = _benchmark("coreset", "--features", tmp_path / "wrong.npy", returns=1)

    assert "holds int64 [5], not rows" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_embedding_is_compared_on_the_shapes_of_two_backbones() -> None:
    found = _result("embedding", "--repeats", "1")

    assert set(found["shapes"]) == {"wide_resnet50_2", "resnet18"}
    for shape in found["shapes"].values():
        assert shape["largest_difference"] < 1e-5
        assert shape["reference_over_ours"] == pytest.approx(shape["reference_ms"] / shape["ours_ms"])


def test_a_fit_is_split_by_stage_and_leaves_nothing_behind(tmp_path: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "line", train=5, test_good=0, per_defect=0, size=128)

    found = _result("fit", tmp_path / "line", "--backbone", "pcedge-s", "--coreset", "1%")

    assert found["images"] == 5
    assert found["bank_rows"] == int(5 * 784 * 0.01)
    assert {"load", "embed", "coreset", "calibrate", "write"} <= set(found["seconds"])
    assert found["total_s"] >= sum(found["seconds"].values())
    assert found["images_per_s"] == pytest.approx(5 / found["total_s"])
    assert "peak_mb" in found
    assert [path.name for path in tmp_path.iterdir()] == ["line"]


def test_teaching_a_mode_lowers_its_rejects_and_rolls_back_to_the_byte() -> None:
    line = ("--train", "12", "--per-defect", "1", "--size", "128", "--draws", "1")

    found = _result("teaching", "--backbone", "pcedge-s", "--coreset", "5%", *line)["datasets"]["line"]

    assert [mode["mode"] for mode in found["modes"]] == ["side light", "brushed finish"]
    assert all(mode["same_bytes"] for mode in found["modes"])
    assert all(mode["rejected_after"] <= mode["rejected_before"] for mode in found["modes"])
    assert all(mode["pictures"] == 7 for mode in found["modes"])
    alone = [one for one in found["defects"] if one["offered"] == "alone"]
    assert len(alone) == 6
    assert all(one["taught"] == 0 for one in alone)


@pytest.fixture
def resnet18(tmp_path: Path) -> Path:
    """ResNet-18 with random weights."""
    import torch
    from torchvision import models

    torch.manual_seed(0)
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


def test_the_shipped_network_is_compared_and_the_card_filled(tmp_path: Path, resnet18: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "line", train=4, test_good=2, per_defect=1, size=128)
    card = tmp_path / "card.md"
    shutil.copy(ROOT / "docs" / "reference" / "pcedge-s.md", card)
    quick = ("--untrained-seeds", "2", "--threads", "1", "--runs", "2")

    found = _result("compact", tmp_path / "line", "--weights", resnet18, *quick, "--card", card)

    rows = found["quality"]["line"]
    assert list(rows) == ["pcedge-s", "resnet18 mean", "resnet18 reference", "untrained 0", "untrained 1"]
    assert [row["dims"] for row in rows.values()] == [128, 384, 1024, 128, 128]
    assert all(0 <= row[key] <= 1 for row in rows.values() for key in ("image_auroc", "pixel_auroc"))
    assert set(found["gap_closed"]["line"]) == {"resnet18 mean", "resnet18 reference"}
    times = found["latency_ms"]["1"]
    assert found["times_faster"]["1"]["float32"] == times["resnet18 mean"] / times["pcedge-s"]
    assert found["times_faster"]["1"]["int8"] == times["resnet18 mean int8"] / times["pcedge-s int8"]
    assert found["sizes"]["pcedge-s"]["parameters"] == 947_040
    assert found["sizes"]["pcedge-s"]["multiply_adds"] == pytest.approx(374.4e6, rel=1e-3)
    text = card.read_text(encoding="utf-8")
    assert f"| line | image | {rows['pcedge-s']['image_auroc']:.3f} |" in text
    assert text.count("| dataset | AUROC |") == 1, "the earlier results are gone"
    assert text.startswith("# Model card: pcedge-s")
    assert "## Licence" in text


def test_a_card_without_a_place_for_results_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("nothing here")

    card = tmp_path / "card.md"

    done = _benchmark("compact", tmp_path, "--weights", "no.pth", "--card", card, returns=1)

    assert "has no place for results" in done.stderr


@pytest.mark.usefixtures("from_the_checkout")
def test_the_gap_is_counted_from_the_untrained_networks() -> None:
    from benchmarks.compact import gap_closed

    rows = {
        "pcedge-s": {"image_auroc": 0.8},
        "resnet18 mean": {"image_auroc": 0.9},
        "untrained 0": {"image_auroc": 0.5},
        "untrained 1": {"image_auroc": 0.6},
    }

    assert gap_closed(rows, "resnet18 mean") == pytest.approx(0.25 / 0.35)
    assert gap_closed({**rows, "resnet18 mean": {"image_auroc": 0.55}}, "resnet18 mean") is None


@pytest.mark.usefixtures("from_the_checkout")
def test_the_radius_is_the_farthest_row_s_distance() -> None:
    from benchmarks.coverage import coverage_radius

    rows = _rows(700, 9)
    picks = np.array([3, 99, 650])

    found = coverage_radius(rows, picks, lambda done, total: None)

    distances = np.linalg.norm(rows[:, None].astype(float) - rows[picks], axis=2)
    assert found == pytest.approx(distances.min(axis=1).max(), rel=1e-6)


@pytest.mark.usefixtures("from_the_checkout")
def test_plain_greedy_follows_another_selection_through_ties_only() -> None:
    from benchmarks.baselines import PlainGreedy

    # Row 0 is nearest to the mean; 1 and 2 are at the same distance but for rounding, 3 and 4 are not.
    rows = np.array([[0, 0], [2, 0], [-2.0000002, 0], [0, 1], [0, -1.1]], np.float32)

    alike, apart = PlainGreedy(rows, np.array([0, 1, 2])), PlainGreedy(rows, np.array([0, 1, 2, 3, 4]))

    assert [alike.pick() for _ in range(3)] == [0, 1, 2]
    assert [apart.pick() for _ in rows] == [0, 1, 2, 4, 3]
    assert alike.ties == apart.ties == [(1, 1, 2)]
    assert (alike.parted, apart.parted) == (None, (3, 3, 4))


@pytest.mark.usefixtures("from_the_checkout")
def test_plain_greedy_and_the_reference_pick_the_farthest_row() -> None:
    from benchmarks.baselines import PlainGreedy, ReferenceSampler

    rows = np.array([[0], [1], [2], [3.5], [9]], np.float32)

    plain, reference = PlainGreedy(rows), ReferenceSampler(rows)

    # From 3.5, the row nearest to the mean; then 9 (5.5 away), 0 (3.5), 2 (1.5), 1 (1).
    assert [plain.pick() for _ in rows] == [3, 4, 0, 2, 1]
    # From the mean distances to all five: 9 is the farthest from the others.
    assert [reference.pick() for _ in range(2)] == [4, 0]


def test_search_compares_with_the_flat_index(tmp_path: Path) -> None:
    """Enough rows for the pruned search; the rows named are the same, and each image is searched for."""
    generator = np.random.default_rng(3)
    fading = np.exp(-0.03 * np.arange(128))
    np.save(tmp_path / "rows.npy", (generator.standard_normal((8, 300, 128)) * fading).astype(np.float32))

    found = _result("search", "--features", tmp_path / "rows.npy", "--fraction", "0.6", "--pictures", "2")

    assert (found["bank_rows"], found["dims"], found["pictures"]) == (1080, 128, 2)
    assert (found["identical"], found["different"], found["queries"]) == (True, 0, 600)
    assert found["flat_over_ours"] == pytest.approx(found["flat_ms"] / found["ours_ms"])
    assert len(found["ours_runs_ms"]) == len(found["flat_runs_ms"]) == 10


def test_search_notices_a_row_that_is_not_the_nearest(from_the_checkout: None) -> None:
    from benchmarks.search import _excess

    bank, queries = np.split(_rows(55, 8), [50])
    nearest = ((queries[:, None] - bank[None]) ** 2).sum(axis=2).argmin(axis=1)
    distances = ((queries - bank[nearest]) ** 2).sum(axis=1)
    assert _excess(bank, queries, distances, nearest, nearest).max() < 1e-5

    wrong = (nearest + 1) % 50
    away = ((queries - bank[wrong]) ** 2).sum(axis=1)

    assert (_excess(bank, queries, away, wrong, nearest) > 1e-3).all()
    assert (_excess(bank, queries, distances * 1.01, nearest, nearest) > 1e-3).all()


def test_search_needs_pictures_and_something_to_search(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", _rows(100, 8))
    np.save(tmp_path / "one.npy", _rows(1, 100, 8))

    flat = _benchmark("search", "--features", tmp_path / "flat.npy", returns=1)
    one = _benchmark("search", "--features", tmp_path / "one.npy", returns=1)

    assert "rows without their images" in flat.stderr
    assert "nothing to search" in one.stderr


def test_a_bank_on_a_device_is_measured_beside_the_embedder_alone(exported_line: Any) -> None:
    bundle = exported_line.models / "line"

    done = _benchmark("device", bundle, "--device", "cpu", "--runs", "2", "--batch", "2", "--json")
    result = json.loads(done.stdout)

    assert result["runtime"] == "onnxruntime (CPU)"
    assert result["bank rows"] > 0
    assert all(value > 0 for name, value in result.items() if name.endswith("ms"))
    assert "pcedge[gpu]" in _benchmark("device", bundle, returns=1).stderr


def test_switching_is_measured_between_two_rendered_banks() -> None:
    found = _result("switch", "--rows", "1100", "--dims", "128", "--rounds", "1")

    assert [(bank["rows"], bank["dims"]) for bank in found["banks"]] == [(1100, 128)] * 2
    assert found["switch_ms"]["count"] == 100
    assert 0 < found["switch_ms"]["p50"] <= found["switch_ms"]["p99"] < 1000 * found["first_load_s"]
    assert found["load_s"]["count"] == 1
    assert found["first_frame_ms"]["count"] == found["second_frame_ms"]["count"] == 10


def test_switching_needs_two_products(tmp_path: Path) -> None:
    done = _benchmark("switch", tmp_path, returns=1)

    assert "two bundles of different names" in done.stderr


def test_indexes_are_compared_on_datasets_that_are_fitted_first(tmp_path: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "line", train=5, test_good=2, per_defect=1, size=128)

    found = _result("indexes", tmp_path / "line", "--backbone", "pcedge-s", "--index", "int8")

    [(title, dataset)] = found["datasets"].items()
    assert title.endswith("/line")
    assert (dataset["rows"], dataset["dims"]) == (392, 128)
    exact, int8 = dataset["indexes"]
    assert (exact["name"], int8["name"]) == ("exact", "int8")
    assert int8["image_auroc"] == exact["image_auroc"]
    assert int8["cost"]["recall"] == 1.0


def test_the_pixel_metrics_are_timed_on_made_up_maps() -> None:
    found = _result("metrics", "--images", "4", "--size", "64", "--limit", "0.05")

    assert (found["images"], found["pixels"], found["limit"]) == (4, 4 * 64 * 64, 0.05)
    assert 0 < found["defect_pixels"] < 0.07 * found["pixels"]
    assert found["total_s"] == pytest.approx(found["add_s"] + found["compute_s"])
    assert 0.7 < found["metrics"]["auroc"]["low"] <= found["metrics"]["auroc"]["value"] < 1
    assert "peak_mb" in found


def test_the_luck_of_the_coreset_is_measured_for_both_selections(tmp_path: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path, train=4, test_good=2, per_defect=1, size=64)

    found = _result(
        "selection",
        tmp_path,
        "--backbone",
        "pcedge-s",
        "--coreset",
        "20",
        "--seeds",
        "2",
        "--reference-seeds",
        "1",
    )

    assert [result["seed"] for result in found["pcedge"]] == [0, 1]
    assert len(found["reference"]) == 1
    assert all(0 <= result["image_auroc"] <= 1 for result in found["pcedge"] + found["reference"])


def test_a_bank_in_milvus_is_measured_and_survives_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="needs pcedge[milvus]")
    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "line", train=5, test_good=2, per_defect=1, size=64)

    found = _result(
        "milvus", tmp_path / "line", "--backbone", "pcedge-s", "--coreset", "1100", "--max-images", "2"
    )

    assert (found["killed"], found["same_neighbours"], found["rows"]) == (True, 1.0, 1100)
    assert found["largest_distance_error"] < 1e-5
    assert found["milvus_ms"] > found["exact_ms"]


def test_drift_is_looked_for_where_nothing_moves_and_where_something_does() -> None:
    small = ("--frames", "150", "--runs", "1", "--seeds", "1", "--train", "60", "--pictures", "12")

    found = _result("drift", *small, "--before", "0", "--longest", "300", "--only", "10 % darker")

    quiet = {kind for kind, one in found["made_up"].items() if one["promised"] and not one["alarms"]}
    assert quiet == {"noise", "heavy tails", "ties", "wander", "offset"}
    assert found["stationary"] == [{"frames": None, "named": [], "right": None, "text": ""}]
    [(name, [step])] = found["changes"].items()
    assert name == "10 % darker at once, after 0 frames"
    assert step["named"] == ["light"]
    assert step["right"] == step["frames"] <= 300
    assert "darker than at fit" in step["text"]


def test_a_teacher_that_is_killed_leaves_the_old_bank_or_the_new_one(
    line: Line, tmp_path: Path, from_the_checkout: None
) -> None:
    from benchmarks.teach_kills import lesson, survive

    for other in line.models.iterdir():
        if other.name != "line":
            other.unlink()

    found = survive(line.models / "line", lesson(tmp_path / "lesson"), kills=1, seed=0)

    assert (found.kills, found.old + found.new, found.faults) == (1, 1, [])


def test_what_looking_for_drift_costs_is_measured() -> None:
    found = _result("drift_cost", "--frames", "60", "--rounds", "1", "--max-us", "1e9")

    assert found.keys() == {"frames", "mean_us", "tenth_us", "tenth_p99_us", "others_us"}
    assert found["others_us"] < found["tenth_us"] <= found["tenth_p99_us"]


def test_fine_tuning_is_measured_before_and_after_and_on_the_way(tmp_path: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "line", train=16, test_good=2, per_defect=1, size=64)
    card = tmp_path / "page.md"
    shutil.copy(ROOT / "docs" / "results" / "finetuning.md", card)

    found = _result(
        "finetuning",
        tmp_path / "line",
        *("--backbone", "pcedge-s", "--coreset", "30", "--method", "cutmix"),
        *("--seeds", "2", "--epochs", "1", "--other-rate", "1e-3", "--card", card),
    )

    [dataset] = found["datasets"].values()
    assert [one["seed"] for one in dataset["before"]] == [0, 1]
    runs = dataset["methods"]["cutmix"]
    assert [(one["seed"], one["learning_rate"]) for one in runs] == [(0, 1e-4), (1, 1e-4), (0, 1e-3)]
    for one in runs:
        before, after = one["epochs"]
        assert one["kept"] == (one["last"] if one["kept_epoch"] else dataset["before"][one["seed"]])
        assert before["image_auroc"] == dataset["before"][one["seed"]]["image_auroc"]
        assert (before["cka"], before["gain"]) == (pytest.approx(1), 0)
        assert after["cka"] < 1
        assert f"| {after['separation']:.4f} | {after['gain']:+.4f} ± " in card.read_text() or one["seed"]
        assert all(0 <= one["last"][metric] <= 1 for metric in ("image_auroc", "pixel_auroc", "aupro"))


def test_false_reject_rates_asked_for_are_seen_beside_those_observed(tmp_path: Path) -> None:
    small = ("--line", "24", "--per-defect", "1", "--splits", "2", "--image-size", "64", "--coreset", "5%")

    found = _result("false_rejects", *small, "--backbone", "pcedge-s", "--plot", tmp_path / "observed.png")

    rows = found["sets"]["rendered line"]
    asked = {row["method"]: [one["asked"] for one in rows if one["method"] == row["method"]] for row in rows}
    # 16 and 8 images are calibrated on.
    assert asked == {"folds": [0.1, 0.2], "split": [0.2], "leave-one-out": [0.1, 0.2]}
    for row in rows:
        if row["method"] == "leave-one-out":
            assert row["proven"] is None
        else:
            assert row["proven"] >= row["asked"]
        assert 0 <= row["lowest"] <= row["observed"] <= row["highest"] <= 1
        assert 0 <= row["missed"] <= 1
    assert (tmp_path / "observed.png").stat().st_size > 1000


def test_explanations_are_timed_and_compared(exported_line: Line) -> None:
    found = _result("explanation", exported_line.models / "line", exported_line.dataset)

    assert found["pictures"] == len(list((exported_line.dataset / "test").glob("*/*.png")))
    assert set(found["ms"]) == {"judge", "explain", "draw"}
    assert all(0 < taken["p50"] <= taken["p95"] for taken in found["ms"].values())
    assert found["times_typical"]["defective"]["median"] > found["times_typical"]["good"]["median"]
    assert 0.5 < found["auroc_of_times"] <= 1


def test_two_cameras_are_timed_from_capture_to_verdict(
    exported_line: Line, tmp_path: Path, from_the_checkout: None
) -> None:
    from benchmarks import line_latency
    from pcedge.bundles.bundle import Bundle
    from pcedge.errors import OptionError
    from pcedge.inspection.runtimes import Candidate
    from pcedge.inspection.verification.golden import read_golden
    from pcedge.line.inspector_pool import Assignment, InspectorPool

    bundle = Bundle.open(exported_line.models / "line")
    pictures = [golden.image_rgb for golden in read_golden(bundle)]
    assignments = {name: Assignment(bundle) for name in ("left", "right")}
    with InspectorPool(assignments, lambda _: Candidate("onnx", "cpu")) as inspector:
        trace = line_latency.trace_line(
            inspector, pictures, tmp_path / "shown", in_step=True, period_s=0.1, frames=12
        )
        black = [np.zeros_like(pictures[0])]
        with pytest.raises(OptionError, match="INVALID: black"):
            line_latency.trace_line(
                inspector, black, tmp_path / "black", in_step=False, period_s=0.05, frames=2
            )

    # The last frame of each camera is judged however busy this machine is.
    assert len(trace.total) >= 2
    for total, *parts in zip(trace.total, trace.waiting, trace.gate, trace.inference, strict=True):
        assert total >= sum(parts) - 1.0


def test_what_a_reconstruction_score_follows_from_is_measured(tmp_path: Path) -> None:
    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "line", train=12, test_good=3, per_defect=1, size=64)
    card = tmp_path / "page.md"
    shutil.copy(ROOT / "docs" / "results" / "ae-gan.md", card)
    small = ("--image-size", "64", "--epochs", "1", "--methods", "ae,gan", "--card", card)

    found = _result("reconstruction", tmp_path / "line", *small)["datasets"]["line"]

    page = card.read_text()
    for method, one in found.items():
        assert one["auroc"].keys() >= {"score", "map, largest", "score beside its looks", "brightness"}
        assert all(0 <= value <= 1 for by_kind in one["auroc"].values() for value in by_kind.values())
        assert all(-1 <= value <= 1 for value in one["follows"].values())
        assert 0 <= one["marks"]["rises"] <= 1
        assert f"| `{method}` on line | 1, 1 | {one['drawn']:.0%} | " in page


def test_mutated_inputs_are_read_or_refused_in_words(exported_line: Line) -> None:
    done = _benchmark("fuzz", "--cases", "250", "--bundle", exported_line.models / "line", "--json")

    found = json.loads(done.stdout)
    assert found["cases"] == sum(found["ended"].values()) == 250
    assert set(found["ended"]) == {"read", "refused"}
    assert (found["outside"], found["over_1_gb"], found["wrong"]) == (0, 0, [])


@pytest.mark.usefixtures("from_the_checkout")
def test_mutated_folder_trees_are_read_or_refused_and_every_file_is_counted(tmp_path: Path) -> None:
    from benchmarks.folder_trees import check_case

    kinds = []
    for seed in range(150):
        root = tmp_path / str(seed) / "case"
        root.mkdir(parents=True)
        outcome = check_case(seed, root)
        assert outcome.kind in ("read", "refused"), (seed, outcome)
        kinds.append(outcome.kind)
    assert kinds.count("read") > 30
